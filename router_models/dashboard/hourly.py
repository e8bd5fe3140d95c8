"""The hours' roll-ups as plots want them: of one route, in as many steps as there is room for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from gateway.store.blocks import Row
from gateway.store.connection import Place
from gateway.store.rollup_tables import HOUR
from gateway.store.rollups import hours
from router_models.dashboard.asking import Asked

STEPS: Final = 96
"""The most points of a line over time."""
FRESH: Final = 3.0
"""Seconds for which the hours are not read again."""
_WIDTHS: Final = tuple(HOUR * each for each in (1, 2, 3, 4, 6, 8, 12, 24, 48, 72, 168, 336, 720))


def rolled(asked: Asked) -> list[Row]:
    """Read the roll-ups of the period; oldest first. Raises OSError."""
    found = _hours(asked.place, asked.since, asked.until, int(asked.now // FRESH))
    return [row for row in found if asked.route is None or row["route"] == asked.route]


@lru_cache(maxsize=4)
def _hours(place: Place, since: int, until: int, turn: int) -> list[Row]:
    """Read them once for all the page's parts: `turn` changes when they are to be read anew."""
    del turn
    return list(hours(place, since, until))


def stepped(asked: Asked, rows: Sequence[Row]) -> list[tuple[int, list[Row]]]:
    """Cut rows into steps of equal width, a multiple of an hour, from the period's first request
    to its end: when each begins, a UNIX time, and its rows; one without requests has none."""
    if not rows:
        return []
    first, width = rows[0]["hour"], _width_of(rows)
    end = min(asked.until, int(asked.now // HOUR + 1) * HOUR, rows[-1]["hour"] + width)
    first = first // width * width
    steps: dict[int, list[Row]] = {at: [] for at in range(first, max(end, first + 1), width)}
    for row in rows:
        steps.setdefault((row["hour"] - first) // width * width + first, []).append(row)
    return sorted(steps.items())


def _width_of(rows: Sequence[Row]) -> int:
    """Seconds of a step."""
    span = rows[-1]["hour"] + HOUR - rows[0]["hour"]
    return next((each for each in _WIDTHS if span / each <= STEPS), _WIDTHS[-1] * 4)


def added(rows: Iterable[Row], names: Sequence[str]) -> dict[str, int]:
    """Add up columns."""
    rows = list(rows)
    return {name: sum([row[name] for row in rows]) for name in names}


def about(asked: Asked) -> dict[str, Any]:
    """What was asked for, as every answer says it."""
    return {"since": asked.since, "until": asked.until, "route": asked.route}
