"""The ledger's tables: their columns, in the order in which rows are written."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.store import rollup_tables

VERSION = 7
"""Of the database's layout; a newer one than this is refused."""


def _added(table: str, columns: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"ALTER TABLE {table} ADD COLUMN {name} {kind}" for name, kind in columns.items())


def _blanks(columns: Mapping[str, str]) -> dict[str, str | int | None]:
    """What an older record has in their place."""
    return {name: "" if kind.startswith("TEXT") else None for name, kind in columns.items()}


# From layout 4 on; null in older rows, but for texts, which are empty.
REQUEST_4 = {
    "check_cost": "INTEGER",
    "score_cost": "INTEGER",
    "gateway_cost": "INTEGER",
    "cache_write_tokens": "INTEGER",
    "attempt_count": "INTEGER",
    "call_count": "INTEGER",
    "finish_reason": "TEXT NOT NULL DEFAULT ''",
    "propensity": "REAL",
    "baseline_policy": "TEXT NOT NULL DEFAULT ''",
    "baseline_basis": "TEXT NOT NULL DEFAULT ''",
    "baseline_prompt_tokens": "INTEGER",
    "baseline_cached_tokens": "INTEGER",
    "baseline_completion_tokens": "INTEGER",
    "baseline_price_hash": "TEXT NOT NULL DEFAULT ''",
}
ATTEMPT_4 = {"price_hash": "TEXT NOT NULL DEFAULT ''"}
ATTEMPT_6 = {"fitted": "TEXT NOT NULL DEFAULT ''"}
CALL_4 = {
    "cache_write_1h_tokens": "INTEGER",
    "audio_input_tokens": "INTEGER",
    "audio_output_tokens": "INTEGER",
    "image_input_tokens": "INTEGER",
    "image_output_tokens": "INTEGER",
    "service_tier": "TEXT NOT NULL DEFAULT ''",
    "rate": "TEXT NOT NULL DEFAULT ''",
    "price_version": "TEXT NOT NULL DEFAULT ''",
    "price_hash": "TEXT NOT NULL DEFAULT ''",
    "input_cost": "INTEGER",
    "cached_input_cost": "INTEGER",
    "cache_write_cost": "INTEGER",
    "output_cost": "INTEGER",
    "request_cost": "INTEGER",
    "reasoning_cost": "INTEGER",
    "audio_cost": "INTEGER",
    "image_cost": "INTEGER",
}

# Money is in nano-dollars; `started_at` is a UNIX time in seconds, other times are seconds.
REQUEST = {
    "entry_id": "TEXT NOT NULL UNIQUE",
    "request_id": "TEXT NOT NULL",
    "started_at": "REAL NOT NULL",
    "route": "TEXT NOT NULL",
    "mode": "TEXT NOT NULL",
    "api": "TEXT NOT NULL",
    "stream": "INTEGER NOT NULL",
    "key": "TEXT NOT NULL",
    "session": "TEXT NOT NULL",
    "requested_model": "TEXT NOT NULL",
    "status": "INTEGER NOT NULL",
    "outcome": "TEXT NOT NULL",
    "tier": "TEXT NOT NULL",
    "start_tier": "TEXT NOT NULL",
    "start_reason": "TEXT NOT NULL",
    "reason": "TEXT NOT NULL",
    "escalated": "INTEGER NOT NULL",
    "degraded": "INTEGER NOT NULL",
    "difficulty": "REAL",
    "gain": "REAL",
    "p_good": "TEXT NOT NULL",
    "scorer": "TEXT NOT NULL",
    "threshold": "REAL",
    "prompt_tokens": "INTEGER NOT NULL",
    "cached_tokens": "INTEGER NOT NULL",
    "completion_tokens": "INTEGER NOT NULL",
    "reasoning_tokens": "INTEGER NOT NULL",
    "estimated": "INTEGER NOT NULL",
    "cost": "INTEGER NOT NULL",
    "discarded_cost": "INTEGER NOT NULL",
    "baseline_tier": "TEXT NOT NULL",
    "baseline_cost": "INTEGER NOT NULL",
    "seconds": "REAL",
    "first_token": "REAL",
    "overhead": "REAL",
    "decision": "REAL",
    "config": "TEXT NOT NULL",
    "escalations": "TEXT NOT NULL",
    "schema": "INTEGER NOT NULL",
    # From layout 2 on. `score` is what `difficulty` is the rank of.
    "score": "REAL",
    "profile": "TEXT NOT NULL DEFAULT ''",
    "unlike": "INTEGER",
    "candidate": "TEXT NOT NULL DEFAULT ''",
    "candidate_score": "REAL",
    "candidate_value": "REAL",
    # From layout 3 on. `decided` is JSON, see core/decided.py.
    "policy_start": "TEXT NOT NULL DEFAULT ''",
    "policy_reason": "TEXT NOT NULL DEFAULT ''",
    "decided": "TEXT",
    "shadow_cost": "INTEGER NOT NULL DEFAULT 0",
    "met": "INTEGER",
    "candidate_met": "INTEGER",
    **REQUEST_4,
}
ADDED: dict[str, str | int | None] = {
    "score": None,
    "profile": "",
    "unlike": None,
    "candidate": "",
    "candidate_score": None,
    "candidate_value": None,
    "prompt": None,
    "policy_start": "",
    "policy_reason": "",
    "decided": None,
    "shadow_cost": 0,
    "met": None,
    "candidate_met": None,
    **_blanks(REQUEST_4),
}
"""What a record lacks that a version before this one has left in its spool."""
ADDED_TO_ATTEMPT = {
    "broken": False,
    "altered": False,
    "fallen": False,
    "shadow": False,
    "rival": False,
    **_blanks(ATTEMPT_4 | ATTEMPT_6),
}
ADDED_TO_CHECK = {"broken": False}
ADDED_TO_CALL = _blanks(CALL_4)
"""The same of its attempts, of their checks, and of all calls."""
ATTEMPT = {
    "request": "INTEGER NOT NULL",
    "seq": "INTEGER NOT NULL",
    "tier": "TEXT NOT NULL",
    "recipe": "TEXT NOT NULL",
    "served": "INTEGER NOT NULL",
    "failure": "TEXT NOT NULL",
    "verdict": "TEXT NOT NULL",
    "reason": "TEXT NOT NULL",
    "confidence": "REAL",
    "late_verdict": "TEXT NOT NULL",
    "left": "INTEGER NOT NULL",
    "bare": "INTEGER NOT NULL",
    "released": "INTEGER NOT NULL",
    "cost": "INTEGER NOT NULL",
    "price_version": "TEXT NOT NULL",
    # From layout 3 on.
    "broken": "INTEGER NOT NULL DEFAULT 0",
    "altered": "INTEGER NOT NULL DEFAULT 0",
    "fallen": "INTEGER NOT NULL DEFAULT 0",
    "shadow": "INTEGER NOT NULL DEFAULT 0",
    "rival": "INTEGER NOT NULL DEFAULT 0",
    **ATTEMPT_4,
    # From layout 6 on. What was dropped and renamed for the tier, in the words of core/accepts.py.
    **ATTEMPT_6,
}
CALL = {
    "call_id": "TEXT PRIMARY KEY",
    "request": "INTEGER NOT NULL",
    "entry_id": "TEXT NOT NULL",
    "attempt": "INTEGER",
    "seq": "INTEGER NOT NULL",
    "purpose": "TEXT NOT NULL",
    "tier": "TEXT NOT NULL",
    "upstream": "TEXT NOT NULL",
    "model": "TEXT NOT NULL",
    "recipe": "TEXT NOT NULL",
    "status": "TEXT NOT NULL",
    "error": "TEXT NOT NULL",
    "bare": "INTEGER NOT NULL",
    "started_at": "REAL NOT NULL",
    "seconds": "REAL",
    "first_token": "REAL",
    "prompt_tokens": "INTEGER NOT NULL",
    "cached_tokens": "INTEGER NOT NULL",
    "cache_write_tokens": "INTEGER NOT NULL",
    "completion_tokens": "INTEGER NOT NULL",
    "reasoning_tokens": "INTEGER NOT NULL",
    "estimated": "INTEGER NOT NULL",
    "cost": "INTEGER NOT NULL",
    **CALL_4,
}
CHECK_RESULT = {
    "request": "INTEGER NOT NULL",
    "attempt": "INTEGER NOT NULL",
    "seq": "INTEGER NOT NULL",
    "check": "TEXT NOT NULL",
    "result": "TEXT NOT NULL",
    "reason": "TEXT NOT NULL",
    "confidence": "REAL",
    "seconds": "REAL NOT NULL",
    "cost": "INTEGER NOT NULL",
    "broken": "INTEGER NOT NULL DEFAULT 0",
}
TABLES = {"request": REQUEST, "attempt": ATTEMPT, "call": CALL, "check_result": CHECK_RESULT}
KEYS = {"request": "entry_id", "call": "call_id"}
PARTS = {
    "attempt": "request",
    "call": "request",
    "check_result": "request",
    "prompt": "entry_id",
    "label": "entry_id",
}
"""What goes with a request, and the column that says with which."""
STATEMENTS = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE segment (name TEXT PRIMARY KEY, offset INTEGER NOT NULL) WITHOUT ROWID",
    # Not unique: a client may choose its request's id, and choose it twice.
    "CREATE INDEX request_id ON request (request_id)",
    "CREATE INDEX request_started ON request (started_at)",
    "CREATE INDEX request_session ON request (session, started_at) WHERE session <> ''",
    "CREATE INDEX call_request ON call (request)",
    "CREATE INDEX call_started ON call (started_at)",
)
SCORED = "score IS NOT NULL AND start_reason <> 'override' AND mode <> 'off'"
"""Requests that say something of the policy's traffic; the index knows these alone."""
_LABEL = """CREATE TABLE label (
    entry_id TEXT NOT NULL, tier TEXT NOT NULL, source TEXT NOT NULL,
    score REAL NOT NULL, at REAL NOT NULL, PRIMARY KEY (entry_id, tier, source)
) WITHOUT ROWID"""
_PROMPT = "CREATE TABLE prompt (entry_id TEXT PRIMARY KEY, at REAL NOT NULL, signals TEXT NOT NULL)"
_TUNING = """CREATE TABLE tuning (
    number INTEGER PRIMARY KEY, route TEXT NOT NULL, scorer TEXT NOT NULL,
    made_at REAL NOT NULL, state TEXT NOT NULL
)"""
TUNING_STATEMENTS = (
    f"CREATE INDEX request_scored ON request (route, scorer) WHERE {SCORED}",
    *(_LABEL, _PROMPT, _TUNING),
    "CREATE INDEX prompt_at ON prompt (at)",
    "CREATE INDEX tuning_route ON tuning (route)",
)
MIGRATIONS = {
    1: (
        "ALTER TABLE request ADD COLUMN score REAL",
        "ALTER TABLE request ADD COLUMN profile TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE request ADD COLUMN unlike INTEGER",
        "ALTER TABLE request ADD COLUMN candidate TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE request ADD COLUMN candidate_score REAL",
        "ALTER TABLE request ADD COLUMN candidate_value REAL",
        *TUNING_STATEMENTS,
    ),
    2: (
        "ALTER TABLE request ADD COLUMN policy_start TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE request ADD COLUMN policy_reason TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE request ADD COLUMN decided TEXT",
        "ALTER TABLE request ADD COLUMN shadow_cost INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE request ADD COLUMN met INTEGER",
        "ALTER TABLE request ADD COLUMN candidate_met INTEGER",
        "ALTER TABLE attempt ADD COLUMN broken INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE attempt ADD COLUMN altered INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE attempt ADD COLUMN fallen INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE attempt ADD COLUMN shadow INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE attempt ADD COLUMN rival INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE check_result ADD COLUMN broken INTEGER NOT NULL DEFAULT 0",
    ),
    3: (
        *_added("request", REQUEST_4),
        *_added("attempt", ATTEMPT_4),
        *_added("call", CALL_4),
    ),
    4: (*rollup_tables.STATEMENTS_5, rollup_tables.MARK_ALL),
    5: _added("attempt", ATTEMPT_6),
    6: (*rollup_tables.TO_7, rollup_tables.MARK_ALL),
}
"""What makes the next layout of each older one."""


def create_statements() -> list[str]:
    """Write the SQL that makes an empty ledger."""
    return [
        *(_create(name) for name in TABLES),
        *(*STATEMENTS, *TUNING_STATEMENTS, *rollup_tables.STATEMENTS),
    ]


def insert_statement(table: str) -> str:
    """Write an insert of every column of `table`, leaving a row that is there already."""
    columns = TABLES[table]
    names = ", ".join(f'"{name}"' for name in columns)
    marks = ", ".join("?" * len(columns))
    values = f"INTO {table} ({names}) VALUES ({marks})"
    known = f" ON CONFLICT ({KEYS[table]}) DO NOTHING" if table in KEYS else ""
    return f"INSERT {values}{known}"


def _create(table: str) -> str:
    columns = [f'"{name}" {kind}' for name, kind in TABLES[table].items()]
    tail = ""
    if table == "request":
        columns.insert(0, "id INTEGER PRIMARY KEY")
    elif table == "attempt":
        columns.append("PRIMARY KEY (request, seq)")
        tail = " WITHOUT ROWID"
    elif table == "check_result":
        columns.append("PRIMARY KEY (request, attempt, seq)")
        tail = " WITHOUT ROWID"
    return f"CREATE TABLE {table} ({', '.join(columns)}){tail}"
