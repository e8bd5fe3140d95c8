"""Offline work on the router: train, calibrate and evaluate the artefacts that `gateway` reads."""
