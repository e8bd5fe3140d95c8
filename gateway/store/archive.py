"""What the ledger remembers for tuning: scores, labels, and the states of each route's tuning."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from gateway.core.difficulty import start_index
from gateway.core.ports import Labelled, Scored, TuningRow
from gateway.store.connection import Place, as_os_error
from gateway.store.ledgers import ledger_at
from gateway.store.schema import SCORED

STATES_KEPT = 100
"""Of each route's tuning."""

# By name: SQLite's planner has no statistics, and would walk the whole table for a rare scorer.
_RECENT = f"""
SELECT id, score, difficulty, start_tier, start_reason, threshold, profile, unlike
FROM request INDEXED BY request_scored
WHERE route = :route AND scorer = :scorer AND {SCORED}
ORDER BY id DESC LIMIT :limit"""  # noqa: S608 - ours
_RECENT_FORMS = (_RECENT, _RECENT.replace(" INDEXED BY request_scored", ""))
# Of the index alone: no row is read, and none comes into Python.
_COUNTED = f"""
SELECT count(*) FROM (
    SELECT 1 AS one FROM request INDEXED BY request_scored
    WHERE route = :route AND scorer = :scorer AND {SCORED} AND id > :after LIMIT :many
) AS newer"""  # noqa: S608 - ours
_COUNTED_FORMS = (_COUNTED, _COUNTED.replace(" INDEXED BY request_scored", ""))
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
_LABELLED_FORMS = (
    _LABELLED,
    """
WITH named AS (
    SELECT DISTINCT entry_id FROM label
), newest AS (
    SELECT r.id, CASE WHEN r.scorer = :scorer THEN r.score ELSE r.candidate_score END AS score,
           CASE WHEN r.scorer = :scorer THEN r.met ELSE r.candidate_met END AS met, r.entry_id
    FROM named JOIN request AS r ON r.entry_id = named.entry_id
    WHERE r.route = :route AND (
        (r.scorer = :scorer AND r.score IS NOT NULL)
        OR (r.candidate = :scorer AND r.candidate_score IS NOT NULL)
    )
    ORDER BY r.entry_id DESC LIMIT :limit
)
SELECT newest.id, newest.score, newest.met, label.tier, avg(label.score) AS good
FROM newest JOIN label ON label.entry_id = newest.entry_id
GROUP BY newest.id, newest.score, newest.met, label.tier ORDER BY newest.id, label.tier""",
)
_NEWEST = "SELECT * FROM tuning WHERE number IN (SELECT max(number) FROM tuning GROUP BY route)"
_ALONE = ("SELECT 1", "LOCK TABLE tuning IN SHARE ROW EXCLUSIVE MODE")
"""Nobody else adds a state meanwhile: in SQLite, a transaction that writes is alone anyway."""
_INSERT = "INSERT INTO tuning (route, scorer, made_at, state) VALUES (?, ?, ?, ?)"
_FORGET = """
DELETE FROM tuning WHERE route = :route AND number NOT IN (
    SELECT number FROM tuning WHERE route = :route ORDER BY number DESC LIMIT :kept
)"""


class Archive:
    """Fits `core.ports.Archive`. Each call has a connection of its own, so any thread may call."""

    def __init__(self, place: Place) -> None:
        """`place` is the ledger's; it need not be there yet. Raises LedgerUnusable where the
        library for its database is missing."""
        self._ledger = ledger_at(place)

    def stamp(self) -> object:
        """Return what is another value once anything has been written to the ledger; None where
        that cannot be told. Raises OSError."""
        return self._ledger.stamp()

    def recent(self, route: str, scorer: str, limit: int) -> list[Scored]:
        """Return the newest scored requests, oldest first.

        Those that were given a tier, or asked for no policy (mode off), are not among them. An
        observed one counts as the policy would have started it. Raises OSError.
        """
        asked = {"route": route, "scorer": scorer, "limit": limit}
        with as_os_error(self._ledger), self._ledger.read() as connection:
            rows = connection.execute(self._ledger.forms(_RECENT_FORMS), asked).fetchall()
        first = _first_tiers(rows)
        return [_scored(row, first) for row in reversed(rows)]

    def has_scored(self, route: str, scorer: str, after: int, many: int) -> bool:
        """Are there so many of those whose number is over `after`? Raises OSError."""
        asked = {"route": route, "scorer": scorer, "after": after, "many": many}
        with as_os_error(self._ledger), self._ledger.read() as connection:
            found = connection.execute(self._ledger.forms(_COUNTED_FORMS), asked).fetchone()
        return int(found[0]) >= many

    def labelled(self, route: str, scorer: str, limit: int) -> list[Labelled]:
        """Return the newest labelled requests, oldest first, with this scorer's score: also one
        that it gave when it was only being tried. Of several sources, the mean is the label.

        Raises OSError.
        """
        asked = {"route": route, "scorer": scorer, "limit": limit}
        with as_os_error(self._ledger), self._ledger.read() as connection:
            rows = connection.execute(self._ledger.forms(_LABELLED_FORMS), asked).fetchall()
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
        with as_os_error(self._ledger), self._ledger.read() as connection:
            rows = [TuningRow(**row) for row in connection.execute(_NEWEST)]
        return {row.route: row for row in rows}

    def put_tuning(self, row: TuningRow, after: int) -> bool:
        """Add a state (its `number` is given here), unless the route's newest is no longer
        `after` (0: none); then return False. Of each route the newest hundred are kept.

        Raises OSError, also while somebody else holds the ledger locked.
        """
        with as_os_error(self._ledger), self._ledger.add() as connection:
            connection.execute(self._ledger.forms(_ALONE))
            query = "SELECT coalesce(max(number), 0) FROM tuning WHERE route = ?"
            if connection.execute(query, (row.route,)).fetchone()[0] != after:
                return False
            connection.execute(_INSERT, (row.route, row.scorer, row.made_at, row.state))
            connection.execute(_FORGET, {"route": row.route, "kept": STATES_KEPT})
        return True


def _first_tiers(rows: list[Any]) -> set[str]:
    """Name the tiers at which what the score left below had started: the route's first."""
    return {
        row["start_tier"] for row in rows if row["start_reason"] == "score" and not _reached(row)
    }


def _reached(row: Any) -> bool:
    return row["threshold"] is not None and start_index(row["difficulty"], (row["threshold"],)) > 0


def _scored(row: Any, first: set[str]) -> Scored:
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
