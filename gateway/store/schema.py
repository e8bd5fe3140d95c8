"""The ledger's tables as SQL makes them, and what makes this layout of an older one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from gateway.store import rollup_tables
from gateway.store.columns import TABLES, alterations

VERSION = 8
"""Of the database's layout; a newer one than this is refused."""


REQUEST, ATTEMPT, CALL, CHECK_RESULT = TABLES.values()
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
TRACE = (
    # A client's trace, which several requests may be of.
    "CREATE INDEX request_trace ON request (trace_id) WHERE trace_id <> ''",
)
MIGRATIONS = {
    1: (*alterations(2), *TUNING_STATEMENTS),
    2: alterations(3),
    3: alterations(4),
    4: (*rollup_tables.STATEMENTS_5, rollup_tables.MARK_ALL),
    5: alterations(6),
    6: (*rollup_tables.TO_7, rollup_tables.MARK_ALL),
    7: (*alterations(8), *TRACE, *rollup_tables.REPORTS, rollup_tables.MARK_ALL),
}
"""What makes the next layout of each older one."""


def create_statements() -> list[str]:
    """Write the SQL that makes an empty ledger."""
    return [
        *(_create(name) for name in TABLES),
        *(*STATEMENTS, *TUNING_STATEMENTS, *rollup_tables.STATEMENTS),
        *(*TRACE, *rollup_tables.REPORTS),
    ]


def insert_statement(
    table: str, columns: Sequence[str], others: Mapping[str, object] = MappingProxyType({})
) -> str:
    """Write an insert into `table` with a mark for each of `columns`, leaving a row that is there
    already; it says itself what `others` have, but for those that are among the first."""
    said = {name: value for name, value in others.items() if name not in columns}
    names = ", ".join(f'"{name}"' for name in (*columns, *said))
    marks = ", ".join((*("?" * len(columns)), *map(_literal, said.values())))
    values = f"INTO {table} ({names}) VALUES ({marks})"
    known = f" ON CONFLICT ({KEYS[table]}) DO NOTHING" if table in KEYS else ""
    return f"INSERT {values}{known}"


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    return f"'{value}'" if isinstance(value, str) else repr(value)


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
