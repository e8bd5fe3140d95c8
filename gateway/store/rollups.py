"""Hourly roll-ups: an hour is added up once it is over, and again after a late row.

Whoever writes rows marks their hours in the same transaction. Whoever rolls an hour up takes its
marks away first, and adds it up whole after that: so whatever was marked by then is in the sums,
and what is marked later makes the hour due again. Nothing is ever added twice.
"""

from __future__ import annotations

import secrets
from operator import itemgetter
from typing import Any, Final

from gateway.store.blocks import Period, block_of_time, numbers, pack
from gateway.store.connection import Connection, Place, Writer
from gateway.store.ledgers import reading
from gateway.store.rollup_tables import COUNTS, HOUR, KEYS, SECONDS, SUMS, SUMS_7

TAKEN_SECONDS: Final = 60.0
"""For how long an hour is left to whoever has taken it up."""
_SIGNS = 1 << 62
KEPT_FROM: Final = "kept_from"
"""The name in `meta` of the UNIX time before which requests may have been deleted."""

_ADDED = SUMS | COUNTS | SECONDS | SUMS_7
_NUMBERS = tuple(_ADDED)
_PURPOSES = ", ".join(
    f"sum(CASE WHEN one.purpose = '{purpose}' THEN one.cost ELSE 0 END) AS {purpose}_cost"
    for purpose in ("serve", "score", "check")
)
_ADDING_UP = (f"coalesce({sql}, 0) AS {name}" for name, sql in _ADDED.items())
# The numbers are said of each table: a server that has to guess reads all calls there are.
_ADDED_UP = f"""
SELECT {", ".join(f"r.{key}" for key in KEYS[1:])}, {", ".join(_ADDING_UP)}
FROM request AS r LEFT JOIN (
    SELECT one.request, count(*) AS calls, {_PURPOSES},
           sum(CASE WHEN one.status = 'unsettled' THEN 1 ELSE 0 END) AS unsettled,
           sum(CASE WHEN one.purpose = 'serve' AND a.served = 0 THEN one.cost ELSE 0 END)
               AS draft_cost
    FROM "call" AS one JOIN request AS q ON q.id = one.request
    LEFT JOIN attempt AS a ON a.request = one.request AND a.seq = one.attempt
                          AND a.request >= :low AND a.request <= :high
    WHERE one.request >= :low AND one.request <= :high
      AND q.started_at >= :hour AND q.started_at < :end
    GROUP BY one.request
) AS c ON c.request = r.id
WHERE r.started_at >= :hour AND r.started_at < :end
GROUP BY {", ".join(f"r.{key}" for key in KEYS[1:])}"""  # noqa: S608 - ours
_PUT = f"""
INSERT INTO rollup_hour ({", ".join((*KEYS, *_NUMBERS))})
VALUES ({", ".join(f":{name}" for name in (*KEYS, *_NUMBERS))})"""  # noqa: S608 - ours
_HERE = """
FROM rollup_hour WHERE hour >= :since AND hour < :until
AND NOT EXISTS (SELECT 1 FROM rollup_due WHERE rollup_due.hour = rollup_hour.hour
                AND rollup_due.hour >= :kept_from)"""
_ROLLED = f"SELECT * {_HERE}"
_SERVED = f"SELECT route, tier, sum(requests) AS requests {_HERE} GROUP BY route, tier"
_OLDEST = """
SELECT min(hour) FROM rollup_due
WHERE hour <= ? AND hour NOT IN (SELECT hour FROM rollup_due WHERE taken > ?)"""
_DUE = "SELECT DISTINCT hour FROM rollup_due WHERE hour >= :since AND hour < :until"


def kept_from(connection: Connection) -> int:
    """Return the UNIX time before which requests may have been deleted; 0 where none were."""
    found = connection.execute("SELECT value FROM meta WHERE name = ?", (KEPT_FROM,)).fetchone()
    return int(found[0]) if found else 0


def roll_up(writer: Writer, now: float) -> bool:
    """Add up the oldest hour that is due, and over by `now`, a UNIX time; say whether there may be
    more. Hours of which requests have been deleted stay as they are.

    Nobody waits while it adds up, and others leave its hour alone for a minute. Of two that roll
    one hour up all the same, the later counts, as it has seen all that the earlier has.
    """
    connection = writer.connection
    sign = secrets.randbelow(_SIGNS)
    with writer.transaction():
        hour = _claim(connection, now, sign)
    if hour is None:
        return False
    rows, report = _added_up(connection, hour), _for_reports(connection, hour)
    with writer.transaction():
        done = connection.execute("DELETE FROM rollup_due WHERE number = ?", (sign,))
        if done.rowcount == 1:
            connection.execute("DELETE FROM rollup_hour WHERE hour = ?", (hour,))
            for row in rows:
                connection.execute(_PUT, row)
            connection.execute("DELETE FROM report_hour WHERE hour = ?", (hour,))
            connection.execute("INSERT INTO report_hour VALUES (?, ?, ?, ?, ?)", report)
    return True


def _claim(connection: Connection, now: float, sign: int) -> int | None:
    """Put one mark of one's own in the place of an hour's: the hour stays due until it is done."""
    start = kept_from(connection)
    connection.execute("DELETE FROM rollup_due WHERE hour < ?", (start,))
    asked = (now - HOUR, now - TAKEN_SECONDS)
    (hour,) = connection.execute(_OLDEST, asked).fetchone()
    if hour is None:
        return None
    connection.execute("DELETE FROM rollup_due WHERE hour = ?", (hour,))
    connection.execute("INSERT INTO rollup_due VALUES (?, ?, ?)", (sign, hour, now))
    return int(hour)


def hours(place: Place, since: float, until: float) -> list[dict[str, Any]]:
    """Read the roll-ups of the hours that begin in [since, until), UNIX times; oldest first.

    A row for each combination of `rollup_tables.KEYS`. What is not rolled up yet is added up here:
    the sums are always those of the requests. Raises OSError.
    """
    return sorted(_rows(place, _ROLLED, since, until), key=itemgetter(*KEYS))


def served(place: Place, since: float, until: float) -> list[dict[str, Any]]:
    """Count the `requests` of the same hours by `route` and `tier`; in no order, and more than one
    row for the same where hours are not rolled up yet. Raises OSError."""
    return _rows(place, _SERVED, since, until)


def _rows(place: Place, rolled: str, since: float, until: float) -> list[dict[str, Any]]:
    with reading(place) as connection:
        start = kept_from(connection)
        asked = {"since": since, "until": until, "kept_from": start}
        rows = [dict(row) for row in connection.execute(rolled, asked).fetchall()]
        due = connection.execute(_DUE, {"since": max(since, start), "until": until}).fetchall()
        for each in due:
            rows += _added_up(connection, int(each[0]))
    return rows


def _for_reports(connection: Connection, hour: int) -> tuple[int, int, int, int, str]:
    """Make an hour's row of `report_hour`."""
    sums = block_of_time(connection, Period(float(hour), float(hour + HOUR)))
    cost, shadows = (sum(row[name] for row in sums.requests) for name in ("cost", "shadow_cost"))
    return hour, sums.count, cost, shadows, pack(sums)


def _added_up(connection: Connection, hour: int) -> list[dict[str, Any]]:
    ends = numbers(connection, Period(float(hour), float(hour + HOUR)))
    if ends is None:
        return []
    asked = {"hour": hour, "end": hour + HOUR, "low": ends[0], "high": ends[1]}
    return [{"hour": hour, **dict(row)} for row in connection.execute(_ADDED_UP, asked).fetchall()]
