"""The difficulty scorer's workshop: outcomes in, a checked artefact and its honest card out."""
