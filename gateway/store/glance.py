"""Requests of the past at a glance: a few of their columns, of some drawn by chance, or of those
that somebody looks for. However large the ledger is, only so many rows are read."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any, Final

from gateway.store.blocks import Period, Row, plain
from gateway.store.connection import Connection, Place
from gateway.store.ledgers import reading
from gateway.store.sample import AT_ONCE, as_list, draw_numbers

COLUMNS: Final = (
    *("id", "entry_id", "request_id", "started_at", "route", "mode", "stream", "requested_model"),
    *("outcome", "status", "tier", "start_tier", "start_reason", "reason", "escalated", "degraded"),
    *("difficulty", "gain", "threshold", "prompt_tokens", "completion_tokens", "cost", "session"),
    *("baseline_cost", "seconds", "first_token", "overhead", "decision", "escalations"),
)
LOOKED_AT: Final = 4_000
"""The most requests that one search looks at, newest first: whoever finds too few goes on there."""
_COLUMNS = ", ".join(f"r.{name}" for name in COLUMNS)
Cursor = tuple[float, int]
"""Where a search goes on: when a request started, and its number."""
FILTERS: Final = {
    "tier": "r.tier = :tier",
    "start_tier": "r.start_tier = :start_tier",
    "outcome": "r.outcome = :outcome",
    "start_reason": "r.start_reason = :start_reason",
    "escalated": "r.escalated = :escalated",
    "degraded": "r.degraded = :degraded",
    "session": "r.session = :session",
}
"""What a search can ask for, by the name of its value."""


def glance(place: Place, period: Period, count: int, chance: random.Random) -> list[Row]:
    """Draw at most so many of a period's requests, each as likely as any other. Raises OSError."""
    with reading(place) as connection:
        order = draw_numbers(connection, period, count, chance)
        found: list[Row] = []
        for at in range(0, len(order), AT_ONCE):
            where = f"r.id IN ({as_list(order[at : at + AT_ONCE])}){period.where}"
            found += _rows(connection, where, period.values)
            if len(found) >= count:
                break
    return found[:count]


def look_for(
    place: Place,
    period: Period,
    wanted: Mapping[str, Any],
    most: int,
    before: Cursor | None = None,
) -> tuple[list[Row], Cursor | None]:
    """Look for a period's requests that fit `wanted` (names of FILTERS), newest first; `before`
    goes on where an earlier search has ended. Return at most so many, and where to go on: None
    where there is nothing more. Raises OSError."""
    at, number = before or (None, None)
    values = period.values | dict(wanted) | {"at": at, "number": number}
    where = "".join(f" AND {FILTERS[name]}" for name in wanted)
    older = "" if before is None else " AND (r.started_at, r.id) < (:at, :number)"
    span = (
        "SELECT r.started_at, r.id FROM request AS r"  # noqa: S608 - ours
        f" WHERE 1 = 1{period.where}{older}"
        f" ORDER BY r.started_at DESC, r.id DESC LIMIT {LOOKED_AT}"
    )
    with reading(place) as connection:
        looked: list[Cursor] = [(row[0], row[1]) for row in connection.execute(span, values)]
        found: list[Row] = []
        for start in range(0, len(looked), AT_ONCE):
            part = [number for _, number in looked[start : start + AT_ONCE]]
            rows = _rows(connection, f"r.id IN ({as_list(part)}){where}", values)
            found += sorted(rows, key=lambda row: (row["started_at"], row["id"]), reverse=True)
            if len(found) > most:
                return found[:most], (found[most - 1]["started_at"], found[most - 1]["id"])
    return found, looked[-1] if len(looked) == LOOKED_AT else None


def named(place: Place, asked: str, most: int) -> list[Row]:
    """The newest requests of one id: the client's own, or the entry's. Raises OSError."""
    with reading(place) as connection:
        for column in ("request_id", "entry_id"):
            query = (
                f"SELECT {_COLUMNS} FROM request AS r WHERE r.{column} = :asked"  # noqa: S608 - ours
                f" ORDER BY r.started_at DESC LIMIT {int(most)}"
            )
            found = [_row(row) for row in connection.execute(query, {"asked": asked})]
            if found:
                return found
    return []


def _rows(connection: Connection, where: str, values: Mapping[str, Any]) -> list[Row]:
    query = f"SELECT {_COLUMNS} FROM request AS r WHERE {where}"  # noqa: S608 - ours
    return [_row(row) for row in connection.execute(query, values)]


def _row(row: Any) -> Row:
    flags = {name: bool(row[name]) for name in ("stream", "escalated", "degraded")}
    return {**plain(row), **flags, "escalations": json.loads(row["escalations"])}
