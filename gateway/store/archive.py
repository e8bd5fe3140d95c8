"""What the ledger remembers for tuning: scores, labels, and the states of each route's tuning."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from gateway.core.difficulty import start_index
from gateway.core.ports import Labelled, Scored, TuningRow
from gateway.store.schema import SCORED
from gateway.store.sqlite import as_os_error, connect_to_add, connect_to_read, transaction

STATES_KEPT = 100
"""Of each route's tuning."""

# By name: the planner has no statistics here, and would walk the whole table for a rare scorer.
_RECENT = f"""
SELECT id, score, difficulty, start_tier, start_reason, threshold, profile, unlike
FROM request INDEXED BY request_scored
WHERE route = :route AND scorer = :scorer AND {SCORED}
ORDER BY id DESC LIMIT :limit"""  # noqa: S608 - ours
# CROSS JOIN: from the labels, which are few, to their requests, and never the other way round. The
# ids begin with their time: the newest come first without sorting, and the rest is not read.
_LABELLED = """
WITH newest AS (
    SELECT r.id, r.entry_id,
           CASE WHEN r.scorer = :scorer THEN r.score ELSE r.candidate_score END AS score,
           CASE WHEN r.scorer = :scorer THEN r.met ELSE r.candidate_met END AS met
    FROM label CROSS JOIN request AS r ON r.entry_id = label.entry_id
    WHERE r.route = :route AND (
        (r.scorer = :scorer AND r.score IS NOT NULL)
        OR (r.candidate = :scorer AND r.candidate_score IS NOT NULL)
    )
    GROUP BY label.entry_id ORDER BY label.entry_id DESC LIMIT :limit
)
SELECT newest.id, newest.score, newest.met, label.tier, avg(label.score) AS good
FROM newest CROSS JOIN label ON label.entry_id = newest.entry_id
GROUP BY newest.id, label.tier ORDER BY newest.id, label.tier"""
_NEWEST = "SELECT * FROM tuning WHERE number IN (SELECT max(number) FROM tuning GROUP BY route)"
_INSERT = "INSERT INTO tuning (route, scorer, made_at, state) VALUES (?, ?, ?, ?)"
_FORGET = """
DELETE FROM tuning WHERE route = :route AND number NOT IN (
    SELECT number FROM tuning WHERE route = :route ORDER BY number DESC LIMIT :kept
)"""


class Archive:
    """Fits `core.ports.Archive`. Each call has a connection of its own, so any thread may call."""

    def __init__(self, path: Path) -> None:
        """`path` is the ledger's; it need not be there yet."""
        self._path = path

    def recent(self, route: str, scorer: str, limit: int) -> list[Scored]:
        """Return the newest scored requests, oldest first.

        Those that were given a tier, or asked for no policy (mode off), are not among them. An
        observed one counts as the policy would have started it. Raises OSError.
        """
        asked = {"route": route, "scorer": scorer, "limit": limit}
        with as_os_error(self._path), closing(connect_to_read(self._path)) as connection:
            rows = connection.execute(_RECENT, asked).fetchall()
        first = _first_tiers(rows)
        return [_scored(row, first) for row in reversed(rows)]

    def labelled(self, route: str, scorer: str, limit: int) -> list[Labelled]:
        """Return the newest labelled requests, oldest first, with this scorer's score: also one
        that it gave when it was only being tried. Of several sources, the mean is the label.

        Raises OSError.
        """
        asked = {"route": route, "scorer": scorer, "limit": limit}
        with as_os_error(self._path), closing(connect_to_read(self._path)) as connection:
            rows = connection.execute(_LABELLED, asked).fetchall()
        newest = {row["id"]: row for row in rows}
        good: defaultdict[int, dict[str, float]] = defaultdict(dict)
        for row in rows:
            good[row["id"]][row["tier"]] = row["good"]
        return [
            Labelled(number, row["score"], good[number], bool(row["met"]))
            for number, row in newest.items()
        ]

    def tunings(self) -> Mapping[str, TuningRow]:
        """Return the newest state of each route. Raises OSError."""
        with as_os_error(self._path), closing(connect_to_read(self._path)) as connection:
            rows = [TuningRow(**row) for row in connection.execute(_NEWEST)]
        return {row.route: row for row in rows}

    def put_tuning(self, row: TuningRow, after: int) -> bool:
        """Add a state (its `number` is given here), unless the route's newest is no longer
        `after` (0: none); then return False. Of each route the newest hundred are kept.

        Raises OSError, also while somebody else holds the ledger locked.
        """
        with (
            as_os_error(self._path),
            closing(connect_to_add(self._path)) as connection,
            transaction(connection),
        ):
            query = "SELECT coalesce(max(number), 0) FROM tuning WHERE route = ?"
            if connection.execute(query, (row.route,)).fetchone()[0] != after:
                return False
            connection.execute(_INSERT, (row.route, row.scorer, row.made_at, row.state))
            connection.execute(_FORGET, {"route": row.route, "kept": STATES_KEPT})
        return True


def _first_tiers(rows: list[sqlite3.Row]) -> set[str]:
    """Name the tiers at which what the score left below had started: the route's first."""
    return {
        row["start_tier"] for row in rows if row["start_reason"] == "score" and not _reached(row)
    }


def _reached(row: sqlite3.Row) -> bool:
    return row["threshold"] is not None and start_index(row["difficulty"], (row["threshold"],)) > 0


def _scored(row: sqlite3.Row, first: set[str]) -> Scored:
    by_score = row["start_reason"] in {"score", "mode", "probe"}
    return Scored(
        number=row["id"],
        score=row["score"],
        value=row["difficulty"],
        above=_reached(row) if by_score else row["start_tier"] not in first,
        threshold=row["threshold"],
        profile=row["profile"],
        unlike=None if row["unlike"] is None else bool(row["unlike"]),
    )
