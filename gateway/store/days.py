"""A day of the ledger: its rows, table by table, and what they come to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from gateway.store.columns import TABLES
from gateway.store.connection import Connection

DAY: Final = 86_400
LABEL: Final = {
    "entry_id": "TEXT NOT NULL",
    "tier": "TEXT NOT NULL",
    "source": "TEXT NOT NULL",
    "score": "REAL NOT NULL",
    "at": "REAL NOT NULL",
}
EXPORTED: Final = {
    "request": {"id": "INTEGER NOT NULL", **TABLES["request"]},
    **{name: columns for name, columns in TABLES.items() if name != "request"},
    "label": LABEL,
}
"""Each table that a day has rows in, with its columns: all but the prompts."""
_OF_DAY = "r.started_at >= :start AND r.started_at < :end"


def start_of(day: date) -> int:
    """Return the UNIX time at which a day begins: in UTC, as everything here."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def day_of(at: float) -> date:
    """Return the day of a UNIX time."""
    return datetime.fromtimestamp(at, tz=UTC).date()


def summed(table: str) -> list[str]:
    """Name the columns that are added up: money, and tokens."""
    return [
        name
        for name, kind in EXPORTED[table].items()
        if kind.startswith("INTEGER") and name.endswith(("cost", "_tokens"))
    ]


def rows(connection: Connection, table: str, day: date) -> Iterator[tuple[Any, ...]]:
    """Read a table's rows of the requests that began on a day, in the order of EXPORTED's columns
    and, as far as the table has one, of time."""
    names = ", ".join(f'part."{name}"' for name in EXPORTED[table])
    order = ", ".join(_ORDER[table])
    query = f"SELECT {names} {_from(table)} ORDER BY {order}"
    for row in connection.execute(query, _bounds(day)):
        yield tuple(row)


def totals(connection: Connection, table: str, day: date) -> dict[str, int]:
    """Add the same rows up: `rows`, and each of `summed`."""
    sums = "".join(f', coalesce(sum(part."{name}"), 0) AS {name}' for name in summed(table))
    query = f"SELECT count(*) AS rows{sums} {_from(table)}"
    found = connection.execute(query, _bounds(day)).fetchone()
    return {name: int(found[name]) for name in ("rows", *summed(table))}


def days_before(connection: Connection, end: date) -> Iterator[date]:
    """Yield each day before `end` on which a request began, oldest first."""
    at = 0.0
    query = "SELECT min(started_at) FROM request WHERE started_at >= ? AND started_at < ?"
    while True:
        found = connection.execute(query, (at, start_of(end))).fetchone()
        if found[0] is None:
            return
        day = day_of(found[0])
        yield day
        at = start_of(day + timedelta(days=1))


_ORDER = {
    "request": ("part.id",),
    "attempt": ("part.request", "part.seq"),
    "call": ("part.request", "part.started_at", "part.call_id"),
    "check_result": ("part.request", "part.attempt", "part.seq"),
    "label": ("part.entry_id", "part.tier", "part.source"),
}


def _from(table: str) -> str:
    if table == "request":
        return f"FROM request AS part WHERE {_OF_DAY.replace('r.', 'part.')}"
    on = "part.entry_id = r.entry_id" if table == "label" else "part.request = r.id"
    return f'FROM "{table}" AS part JOIN request AS r ON {on} WHERE {_OF_DAY}'


def _bounds(day: date) -> dict[str, int]:
    return {"start": start_of(day), "end": start_of(day) + DAY}
