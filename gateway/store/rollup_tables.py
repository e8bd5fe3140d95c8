"""The tables of the hourly roll-ups: what is kept of an hour, and which hours are due."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gateway.store.connection import Connection

HOUR: Final = 3600

KEYS = ("hour", "route", "mode", "start_tier", "tier", "outcome")
"""A row for each of these; `hour` is the UNIX time at which it begins."""
SUMS = {
    "requests": "count(*)",
    "streamed": "sum(r.stream)",
    "escalated": "sum(r.escalated)",
    "degraded": "sum(r.degraded)",
    "estimated": "sum(r.estimated)",
    "prompt_tokens": "sum(r.prompt_tokens)",
    "cached_tokens": "sum(r.cached_tokens)",
    "completion_tokens": "sum(r.completion_tokens)",
    "reasoning_tokens": "sum(r.reasoning_tokens)",
    "cost": "sum(r.cost)",
    "discarded_cost": "sum(r.discarded_cost)",
    "baseline_cost": "sum(r.baseline_cost)",
    "shadow_cost": "sum(r.shadow_cost)",
    "calls": "sum(c.calls)",
    "unsettled_calls": "sum(c.unsettled)",
    "serve_cost": "sum(c.serve_cost)",
    "score_cost": "sum(c.score_cost)",
    "check_cost": "sum(c.check_cost)",
}
"""Whole numbers, each with what it is the sum of: `r` is a request, `c` what its calls come to.
Money is in nano-dollars. `cost` is `serve_cost` + `score_cost` + `check_cost`."""
SECONDS = {
    "seconds": "sum(r.seconds)",
    "first_token_seconds": "sum(r.first_token)",
}
"""Sums of seconds, where they are known; of the first token's, `first_tokens` counts them."""
COUNTS = {"timed": "count(r.seconds)", "first_tokens": "count(r.first_token)"}


def _table() -> str:
    keys = [f"{name} {'INTEGER' if name == 'hour' else 'TEXT'} NOT NULL" for name in KEYS]
    sums = [f"{name} INTEGER NOT NULL" for name in (*SUMS, *COUNTS)]
    seconds = [f"{name} REAL NOT NULL" for name in SECONDS]
    key = f"PRIMARY KEY ({', '.join(KEYS)})"
    return f"CREATE TABLE rollup_hour ({', '.join([*keys, *sums, *seconds, key])}) WITHOUT ROWID"


STATEMENTS = (
    _table(),
    # A mark for each batch, and not one for each hour: writers that shared a row would wait for
    # each other.
    """CREATE TABLE rollup_due (
    number INTEGER PRIMARY KEY, hour INTEGER NOT NULL, taken REAL NOT NULL DEFAULT 0
)""",
    "CREATE INDEX rollup_due_hour ON rollup_due (hour)",
)
MARK_ALL = (
    "INSERT INTO rollup_due (hour) "
    "SELECT DISTINCT CAST(started_at / 3600 AS INTEGER) * 3600 FROM request"
)
"""Marks every hour of a ledger that has had no roll-ups."""


def mark(connection: Connection, started_at: Iterable[float]) -> None:
    """Mark the hours of requests that are written, in the transaction that writes them."""
    for hour in sorted({hour_of(each) for each in started_at}):
        connection.execute("INSERT INTO rollup_due (hour) VALUES (?)", (hour,))


def hour_of(at: float) -> int:
    """Return the UNIX time at which the hour of `at` began."""
    return int(at // HOUR) * HOUR
