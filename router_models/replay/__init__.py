"""Policies run again over what has been recorded."""
