"""What the page asks for: a period in whole hours, a route, and what else belongs to a question."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.core.database_url import DatabaseUrl
from gateway.store.blocks import Period
from gateway.store.connection import Place
from gateway.store.rollup_tables import HOUR

DEFAULT_DAYS: Final = 7
_LONGEST: Final = 64


class Refused(ValueError):
    """A value that is of no use; the message says what is wanted."""

    def __init__(self, message: str, param: str, *, missing: bool = False) -> None:
        """`param` is the value's name; `missing` says that what it names is not there."""
        super().__init__(message)
        self.param = param
        self.missing = missing


@dataclass(frozen=True, slots=True)
class Asked:
    """A question: `since` and `until` are UNIX times of whole hours, [since, until); `given` holds
    all values as they were sent."""

    place: Place
    since: int
    until: int
    route: str | None
    given: Mapping[str, Any]
    now: float

    @property
    def period(self) -> Period:
        """Which requests it is of."""
        return Period(self.since, self.until, self.route)

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """Read a number. Raises Refused."""
        return _number(self.given, name, default, low, high)

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """Read a whole number. Raises Refused."""
        return int(self.number(name, default, low, high))


def read(place: str, given: Mapping[str, Any], now: float) -> Asked:
    """Read a question. Without a period it is of the last week. Raises Refused."""
    latest = now + 366 * 86_400.0
    until = _number(given, "until", now, 0.0, latest)
    since = _number(given, "since", until - DEFAULT_DAYS * 86_400.0, 0.0, latest)
    first, end = math.floor(since / HOUR) * HOUR, math.ceil(until / HOUR) * HOUR
    if first >= end:
        raise Refused("since must come before until.", "since")
    route = given.get("route") or None
    return Asked(
        DatabaseUrl(place) if "://" in place else Path(place), first, end, route, given, now
    )


def _number(given: Mapping[str, Any], name: str, default: float, low: float, high: float) -> float:
    written = given.get(name)
    if written in {None, ""}:
        return default
    try:
        value = float(str(written)[:_LONGEST])
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise Refused(f"{name} must be a number from {low:g} to {high:g}.", name)
    return value
