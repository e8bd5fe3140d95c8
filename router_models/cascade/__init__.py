"""Judging the answer, offline: recorded evidence, a combiner fitted to it, policies and replays."""
