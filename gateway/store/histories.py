"""Whole requests of the past, one after another: what a replay decides again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from gateway.store.connection import Connection, Place
from gateway.store.ledgers import reading

_REQUESTS = """
SELECT * FROM request WHERE route = :route AND decided IS NOT NULL ORDER BY id"""
_PARTS = {
    "attempt": "SELECT part.* FROM attempt AS part JOIN request ON request.id = part.request"
    " WHERE route = :route AND decided IS NOT NULL ORDER BY part.request, part.seq",
    "call": 'SELECT part.* FROM "call" AS part JOIN request ON request.id = part.request'
    " WHERE route = :route AND decided IS NOT NULL"
    " ORDER BY part.request, part.attempt, part.seq",
    "check_result": "SELECT part.* FROM check_result AS part"
    " JOIN request ON request.id = part.request WHERE route = :route AND decided IS NOT NULL"
    " ORDER BY part.request, part.attempt, part.seq",
    "label": "SELECT request.id AS request, part.tier, avg(part.score) AS good FROM label AS part"
    " JOIN request ON request.entry_id = part.entry_id"
    " WHERE route = :route AND decided IS NOT NULL GROUP BY request.id, part.tier"
    " ORDER BY request.id",
}
_ROUTES = """
SELECT route, count(*) AS requests, sum(CASE WHEN decided IS NULL THEN 1 ELSE 0 END) AS without
FROM request GROUP BY route ORDER BY requests DESC, route"""


@dataclass(frozen=True, slots=True)
class History:
    """One request: its row, its attempts' (each with its `calls` and `checks`), the calls of its
    scorer, and its labels, 0 to 1, by tier; of several sources the mean."""

    row: Mapping[str, Any]
    attempts: tuple[Mapping[str, Any], ...] = ()
    scoring: tuple[Mapping[str, Any], ...] = ()
    good: Mapping[str, float] = field(default_factory=dict)


def routes(place: Place) -> dict[str, tuple[int, int]]:
    """Return each route's number of requests, and how many of them hold nothing that they could be
    decided on again (an older version's, and recovered ones); the busiest first.

    Raises OSError when there is no ledger of this layout.
    """
    with reading(place) as connection:
        found = connection.execute(_ROUTES)
        return {row["route"]: (row["requests"], row["without"]) for row in found}


def histories(place: Place, route: str) -> Iterator[History]:
    """Read a route's requests in the order in which they were kept, those that can be decided
    again. One moment's view of the ledger; a few rows in memory at a time.

    Raises OSError when there is no ledger of this layout.
    """
    with reading(place) as connection:
        yield from read_histories(connection, route)


def read_histories(connection: Connection, route: str) -> Iterator[History]:
    """Read the same over a connection whose rows go by their columns' names."""
    parts = {name: _Parts(connection, sql, route) for name, sql in _PARTS.items()}
    for row in connection.execute(_REQUESTS, {"route": route}):
        yield history_of(row, {name: each.of(row["id"]) for name, each in parts.items()})


class _Parts:
    """A table's rows in the order of their requests, handed out request by request."""

    def __init__(self, connection: Connection, sql: str, route: str) -> None:
        rows = connection.execute(sql, {"route": route})
        self._groups = groupby((dict(row) for row in rows), key=lambda row: row["request"])
        self._next: tuple[int, list[dict[str, Any]]] | None = None

    def of(self, request: int) -> list[dict[str, Any]]:
        if self._next is None:
            group = next(self._groups, None)
            self._next = (group[0], list(group[1])) if group else None
        if self._next is None or self._next[0] != request:
            return []
        found, self._next = self._next[1], None
        return found


def _is_of(call: Mapping[str, Any], attempt: int) -> bool:
    """Is it one of the attempt's own calls? A check's are told by the check's cost."""
    return call["attempt"] == attempt and call["purpose"] in {"serve", "shadow"}


def history_of(row: Any, parts: Mapping[str, list[dict[str, Any]]]) -> History:
    """Put a request's row and its rows of the other tables, each in order, together."""
    calls, checks = parts["call"], parts["check_result"]
    attempts = (
        {
            **each,
            "calls": [call for call in calls if _is_of(call, each["seq"])],
            "checks": [check for check in checks if check["attempt"] == each["seq"]],
        }
        for each in parts["attempt"]
    )
    return History(
        row={
            **dict(row),
            "decided": json.loads(row["decided"]),
            "p_good": json.loads(row["p_good"]),
        },
        attempts=tuple(attempts),
        scoring=tuple(call for call in calls if call["purpose"] == "score"),
        good={label["tier"]: label["good"] for label in parts["label"]},
    )
