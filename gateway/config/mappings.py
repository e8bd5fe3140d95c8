"""Mappings whose names are the user's: headers, ratios."""

from __future__ import annotations

import re

from gateway.config import quantities
from gateway.config.fields import mapping

_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LINE = re.compile(r"[ -~]+")


def headers(value: object) -> dict[str, str]:
    """Headers of ours to somebody: names, and text that fits a line."""
    known = mapping(value)
    for key, text in known.items():
        if not (_NAME.fullmatch(key) and isinstance(text, str) and _LINE.fullmatch(text)):
            raise ValueError("must be a mapping of headers' names to text of one line")
    return known


def ratios(value: object) -> dict[str, float]:
    """How long, by name, something is, taking another for 1."""
    if not isinstance(value, dict):
        raise ValueError("must be a mapping of tiers to numbers, such as {small: 1.2}")
    return {str(each): quantities.number(ratio, 0.01, 100) for each, ratio in value.items()}
