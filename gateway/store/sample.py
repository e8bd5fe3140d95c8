"""Some whole requests of the past, drawn by chance: what a replay can go over in a second."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from gateway.store.blocks import Period
from gateway.store.connection import Connection, Place
from gateway.store.histories import History, history_of
from gateway.store.ledgers import reading

AT_ONCE: Final = 500
"""So many rows are asked for by their numbers in one statement."""
NEAR: Final = 20_000
"""Numbers within which a time's first and last requests are looked for at a ledger's ends."""
_ALL: Final = "SELECT (SELECT min(id) FROM request), (SELECT max(id) FROM request)"
_BEFORE: Final = "SELECT id FROM request WHERE started_at < :at ORDER BY started_at DESC LIMIT 1"
_AFTER: Final = "SELECT id FROM request WHERE started_at >= :at ORDER BY started_at LIMIT 1"
_PARTS: Final = {
    "attempt": "SELECT * FROM attempt WHERE request IN ({ids}) ORDER BY request, seq",
    "call": 'SELECT * FROM "call" WHERE request IN ({ids}) ORDER BY request, attempt, seq',
    "check_result": "SELECT * FROM check_result WHERE request IN ({ids})"
    " ORDER BY request, attempt, seq",
    "label": "SELECT r.id AS request, l.tier, avg(l.score) AS good FROM label AS l"
    " JOIN request AS r ON r.entry_id = l.entry_id WHERE r.id IN ({ids}) GROUP BY r.id, l.tier",
}


def sample(
    place: Place, period: Period, count: int, chance: random.Random, *, labelled: bool = False
) -> list[History]:
    """Draw at most so many of a period's requests that can be decided again, each as likely as any
    other; in their order. `labelled` draws among those that somebody has judged. Raises OSError."""
    with reading(place) as connection:
        if labelled:
            order = _labelled(connection, period, count, chance)
        else:
            order = draw_numbers(connection, period, count, chance)
        ids = sorted(_draw(connection, period, count, order))
        parts = (ids[at : at + AT_ONCE] for at in range(0, len(ids), AT_ONCE))
        return [history for part in parts for history in _read(connection, part)]


def draw_numbers(
    connection: Connection, period: Period, count: int, chance: random.Random
) -> list[int]:
    """Draw numbers between the period's first and last: all of them, where they are few."""
    # Of any route: their numbers lie among each other's, and to look at the route is to read all.
    low, high = _first_and_last(connection, Period(period.since, period.until))
    if low is None or high is None:
        return []
    numbers = range(low, high + 1)
    wanted = max(16 * count, AT_ONCE)
    return chance.sample(numbers, len(numbers) if len(numbers) < 2 * wanted else wanted)


def _first_and_last(connection: Connection, time: Period) -> tuple[int | None, int | None]:
    """The least and the greatest number of a time's requests. Numbers nearly follow time, so that
    what is of nearly all of a ledger is told from its ends, and not by looking at all of it."""
    least, greatest = connection.execute(_ALL).fetchone()
    if least is None:
        return None, None
    sides = (time.since, _BEFORE, "ASC", "<=", least), (time.until, _AFTER, "DESC", ">=", greatest)
    found: list[int] = []
    for bound, outside, order, within, end in sides:
        there = bound is not None and connection.execute(outside, {"at": bound}).fetchone()
        if there and abs(there[0] - end) > NEAR:
            break
        # The plus keeps the database from going by the time, and sorting all there is.
        query = (
            f"SELECT r.id FROM request AS r WHERE r.id {within} :edge"  # noqa: S608 - ours
            f"{time.where.replace('r.started_at', '+r.started_at')} ORDER BY r.id {order} LIMIT 1"
        )
        edge = end + (2 * NEAR if order == "ASC" else -2 * NEAR)
        row = connection.execute(query, time.values | {"edge": edge}).fetchone()
        if row is None:
            break
        found.append(row[0])
    if len(found) == len(sides):
        return found[0], found[1]
    span = f"SELECT min(r.id), max(r.id) FROM request AS r WHERE 1 = 1{time.where}"  # noqa: S608
    low, high = connection.execute(span, time.values).fetchone()
    return low, high


def _labelled(
    connection: Connection, period: Period, count: int, chance: random.Random
) -> list[int]:
    """The numbers of some of the period's requests with labels, in an order that chance has made:
    all of them, or so many that there are enough."""
    entries = [
        row[0] for row in connection.execute("SELECT DISTINCT entry_id FROM label ORDER BY 1")
    ]
    chance.shuffle(entries)
    found: list[int] = []
    for at in range(0, len(entries), AT_ONCE):
        part = entries[at : at + AT_ONCE]
        query = (
            "SELECT r.entry_id, r.id FROM request AS r"  # noqa: S608 - ours
            f" WHERE r.entry_id IN ({', '.join(f':e{n}' for n in range(len(part)))})"
            f" AND r.decided IS NOT NULL{period.where}"
        )
        values = period.values | {f"e{n}": entry for n, entry in enumerate(part)}
        there = dict(tuple(row) for row in connection.execute(query, values))
        found += [there[entry] for entry in part if entry in there]
        if len(found) >= count:
            break
    return found


def _draw(connection: Connection, period: Period, count: int, order: Sequence[int]) -> list[int]:
    """Take numbers in their order, until enough of them are the period's requests."""
    found: list[int] = []
    for at in range(0, len(order), AT_ONCE):
        part = order[at : at + AT_ONCE]
        query = (
            f"SELECT r.id FROM request AS r WHERE r.id IN ({as_list(part)})"  # noqa: S608 - numbers
            f" AND r.decided IS NOT NULL{period.where}"
        )
        there = {row[0] for row in connection.execute(query, period.values)}
        found += [number for number in part if number in there]
        if len(found) >= count:
            break
    return found[:count]


def _read(connection: Connection, ids: Sequence[int]) -> list[History]:
    parts: dict[str, defaultdict[int, list[dict[str, Any]]]] = {}
    for name, sql in _PARTS.items():
        parts[name] = defaultdict(list)
        for row in connection.execute(sql.format(ids=as_list(ids))):
            parts[name][row["request"]].append(dict(row))
    query = f"SELECT * FROM request WHERE id IN ({as_list(ids)}) ORDER BY id"  # noqa: S608 - numbers
    return [
        history_of(row, {name: rows[row["id"]] for name, rows in parts.items()})
        for row in connection.execute(query)
    ]


def as_list(ids: Sequence[int]) -> str:
    """Write numbers as SQL's list has them."""
    return ", ".join(map(str, ids))
