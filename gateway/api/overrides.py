"""What a request asks of the policy through its x-waterfall headers."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import lru_cache

from gateway.api.auth import Key
from gateway.api.http import Scope, by_name, header
from gateway.core.difficulty import are_thresholds
from gateway.core.errors import BadRequest
from gateway.core.limits import Limits
from gateway.core.money import nano
from gateway.core.routing import Mode, Overrides, change_overrides

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h)?", re.ASCII)
_DOLLARS = re.compile(r"\d{0,9}\.?\d{0,12}(?:[eE]-?\d{1,2})?", re.ASCII)
_SCALE = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
_SESSION = re.compile(r"[\x21-\x7e]{1,256}")
_HEADERS = frozenset(
    b"x-waterfall-" + name
    for name in (b"tier", b"threshold", b"mode", b"max-cost-usd", b"deadline")
)
_MODES: dict[str, Mode] = {"enforce": "enforce", "observe": "observe", "off": "off"}
_MOST_DOLLARS = 1_000_000


def read(scope: Scope, key: Key, tier: str | None) -> Overrides:
    """Read the overrides; `tier` is the one named as the request's model, if it was.

    Raises BadRequest naming the header, Forbidden when the key may not send it.
    """
    if tier is not None:
        key.require("tier", "model")
    if _HEADERS.isdisjoint(by_name(scope)):  # as nearly always
        return _plain(tier)
    tier = header(scope, b"x-waterfall-tier") or tier
    thresholds = header(scope, b"x-waterfall-threshold")
    mode = header(scope, b"x-waterfall-mode")
    for name, value in (("tier", tier), ("threshold", thresholds), ("mode", mode)):
        if value is not None:
            key.require(name)
    return Overrides(
        tier=tier,
        thresholds=None if thresholds is None else _thresholds(thresholds),
        mode=None if mode is None else _mode(mode),
        ceiling=_ceiling(header(scope, b"x-waterfall-max-cost-usd")),
        deadline=_deadline(header(scope, b"x-waterfall-deadline")),
    )


@lru_cache
def _plain(tier: str | None) -> Overrides:
    """Return what a request asks for that names at most a tier of the configuration's, as its
    model: one value for all of them."""
    return Overrides(tier=tier)


def in_mode(asked: Overrides, mode: Mode) -> Overrides:
    """Return the overrides with the mode that is settled."""
    return change_overrides(asked, mode=mode)


def within(asked: Overrides, limits: Limits) -> Overrides:
    """Lower a ceiling to what the key may spend on one request."""
    most = limits.request
    if most is None:
        return asked
    return replace(asked, ceiling=most if asked.ceiling is None else min(most, asked.ceiling))


def session(scope: Scope) -> str:
    """Return the session's name, empty without one. Raises BadRequest."""
    name = header(scope, b"x-waterfall-session")
    if name is None:
        return ""
    if not _SESSION.fullmatch(name):
        raise _wrong("session", "1 to 256 printable characters without spaces")
    return name


def wants_details(scope: Scope) -> bool:
    """Did the client ask a stream for its money, as a comment at its end?"""
    return (header(scope, b"x-waterfall-details") or "").lower() == "true"


def _wrong(name: str, expected: str) -> BadRequest:
    full = f"x-waterfall-{name}"
    return BadRequest(f"The header {full} must be {expected}.", param=full)


def _thresholds(text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) + 0.0 for part in text.split(","))  # -0 is told back as 0
    except ValueError as error:
        raise _wrong("threshold", "numbers from 0 to 1, never falling") from error
    if not are_thresholds(values):
        raise _wrong("threshold", "numbers from 0 to 1, never falling")
    return values


def _mode(text: str) -> Mode:
    if text not in _MODES:
        raise _wrong("mode", "enforce, observe or off")
    return _MODES[text]


def _ceiling(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        amount = float(text) if _DOLLARS.fullmatch(text) else math.nan
    except ValueError as error:
        raise _wrong("max-cost-usd", "a number of dollars over 0") from error
    if not 0 < amount <= _MOST_DOLLARS:
        raise _wrong("max-cost-usd", "a number of dollars over 0")
    return nano(amount)


def _deadline(text: str | None) -> float | None:
    if text is None:
        return None
    match = _DURATION.fullmatch(text)
    seconds = float(match[1]) * _SCALE[match[2]] if match else 0.0
    if seconds <= 0:
        raise _wrong("deadline", "a duration over 0 in ms, s, m or h, such as 20s or 500ms")
    return seconds
