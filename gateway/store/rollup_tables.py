"""The tables of the hourly roll-ups: what is kept of an hour, and which hours are due."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
SUMS_7 = {"gateway_cost": "sum(r.gateway_cost)", "draft_cost": "sum(c.draft_cost)"}
"""From layout 7 on, as `SUMS`; `draft_cost` is the part of `serve_cost` that bought no answer. Zero
in hours whose requests had been deleted before."""


_LATER: Final = "INTEGER NOT NULL DEFAULT 0"


def _table(added: Mapping[str, str]) -> str:
    keys = [f"{name} {'INTEGER' if name == 'hour' else 'TEXT'} NOT NULL" for name in KEYS]
    sums = [f"{name} INTEGER NOT NULL" for name in (*SUMS, *COUNTS)]
    seconds = [f"{name} REAL NOT NULL" for name in SECONDS]
    later = [f"{name} {_LATER}" for name in added]
    key = f"PRIMARY KEY ({', '.join(KEYS)})"
    columns = ", ".join([*keys, *sums, *seconds, *later, key])
    return f"CREATE TABLE rollup_hour ({columns}) WITHOUT ROWID"


_DUE = (
    # A mark for each batch, and not one for each hour: writers that shared a row would wait for
    # each other.
    """CREATE TABLE rollup_due (
    number INTEGER PRIMARY KEY, hour INTEGER NOT NULL, taken REAL NOT NULL DEFAULT 0
)""",
    "CREATE INDEX rollup_due_hour ON rollup_due (hour)",
)
REPORTS = (
    # `sums` is JSON, see `blocks.pack`. The rest says which requests they are of.
    """CREATE TABLE report_hour (
    hour INTEGER NOT NULL, requests INTEGER NOT NULL, cost INTEGER NOT NULL,
    shadow_cost INTEGER NOT NULL, sums TEXT NOT NULL, PRIMARY KEY (hour)
)""",
)
"""What an hour comes to for reports; from layout 8 on."""
STATEMENTS_5 = (_table({}), *_DUE)
STATEMENTS = (_table(SUMS_7), *_DUE)
MARK_ALL = (
    "INSERT INTO rollup_due (hour) "
    "SELECT DISTINCT CAST(started_at / 3600 AS INTEGER) * 3600 FROM request"
)
"""Marks every hour that a ledger has requests of: all of them are added up again."""
TO_7 = tuple(f"ALTER TABLE rollup_hour ADD COLUMN {name} {_LATER}" for name in SUMS_7)
"""Makes layout 7 of the one before, but for the sums: `MARK_ALL` has them made."""


def mark(connection: Connection, started_at: Iterable[float]) -> None:
    """Mark the hours of requests that are written, in the transaction that writes them."""
    for hour in sorted({hour_of(each) for each in started_at}):
        connection.execute("INSERT INTO rollup_due (hour) VALUES (?)", (hour,))


def hour_of(at: float) -> int:
    """Return the UNIX time at which the hour of `at` began."""
    return int(at // HOUR) * HOUR
