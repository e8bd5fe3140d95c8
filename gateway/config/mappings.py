"""Mappings and lists whose names are the user's: headers, ratios, parameters."""

from __future__ import annotations

import re

from gateway.config import quantities
from gateway.config.fields import mapping
from gateway.config.problems import nearest
from gateway.core.accepts import DEMANDS, MEANINGFUL

_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
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


def droppable(value: object) -> list[str]:
    """Parameters without which a request still asks for the same."""
    names = _parameters(value)
    vital = [name for name in names if name in MEANINGFUL]
    if vital:
        raise ValueError(
            f"may not have {', '.join(vital)}: without it a request asks for something else; "
            "what a server does not take goes into refuse"
        )
    return names


def renames(value: object) -> dict[str, str]:
    """Parameters by the names that the server has for them."""
    known = mapping(value)
    return dict(zip(_parameters([*known]), _parameters([*known.values()]), strict=True))


def demands(value: object) -> list[str]:
    """What a server does not give, each as core/accepts.py calls it."""
    names = _parameters(value)
    for name in names:
        if name not in DEMANDS:
            raise ValueError(
                f"must be a list of {', '.join(DEMANDS)}; {nearest(name, DEMANDS, 'known')}"
            )
    return names


def _parameters(value: object) -> list[str]:
    given = value if isinstance(value, list) else [None]
    if not all(isinstance(each, str) and _FIELD.fullmatch(each) for each in given):
        raise ValueError("must be names of parameters, such as seed")
    return [str(each) for each in given]
