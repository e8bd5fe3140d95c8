"""The ledger in SQLite: opens it, and writes batches of records into it, each record once."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from operator import pos
from pathlib import Path
from typing import Any

from gateway.store.columns import SAID, TABLES
from gateway.store.connection import Inserted, LedgerUnusable
from gateway.store.flatten import (
    BLANKS,
    Part,
    Row,
    attempt_parts,
    call_part,
    known_parts,
    parts_of,
    prompt_of,
    shadow_cost,
)
from gateway.store.rollup_tables import hour_of
from gateway.store.schema import MIGRATIONS, VERSION, create_statements, insert_statement

BUSY_SECONDS = 1.0
KINDS = 256
"""Statements that are kept, one for each set of columns that rows of a table have come with: there
are few, for columns come by groups (`core.rows`). Over that, the oldest is made anew."""
_INSERT_PROMPT = "INSERT INTO prompt VALUES (?, ?, ?) ON CONFLICT (entry_id) DO NOTHING"
_PLACE = """
SELECT id, started_at,
       (SELECT coalesce(max(seq) + 1, 0) FROM attempt WHERE attempt.request = request.id)
FROM request WHERE entry_id = ?"""
_ADD_SHADOW_COST = "UPDATE request SET shadow_cost = shadow_cost + ? WHERE id = ?"
# The only writer is in one transaction: whoever rolls an hour up comes before it or behind it, and
# then a mark that is not taken yet is as good as another. Each slice of a batch would leave one.
_MARK = """
INSERT INTO rollup_due (hour) SELECT :hour
WHERE NOT EXISTS (SELECT 1 FROM rollup_due WHERE hour = :hour AND taken = 0)"""
_UNUSABLE = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
# sqlite3 binds neither of these as it is: for each, some thirty a request, it would look for a way
# to adapt it, make an AttributeError and drop that: a fifth of what writing a request takes.
sqlite3.register_adapter(bool, pos)  # 1 or 0
sqlite3.register_adapter(type(None), {}.get)  # type: ignore[arg-type] # None: None, in C alone
_UNWRITABLE = (sqlite3.InterfaceError, sqlite3.ProgrammingError, sqlite3.IntegrityError)

_log = logging.getLogger(__name__)


def connect(path: Path) -> sqlite3.Connection:
    """Open the ledger for writing; made (mode 0600) when it is not there, and brought to this
    version's layout when it has an older one.

    Raises LedgerUnusable for a newer ledger or a file that is something else, and
    sqlite3.OperationalError while somebody else holds it locked.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(
        path,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=KINDS,
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        # A prompt whose time is over is to be gone from the file, not only from its table.
        connection.execute("PRAGMA secure_delete = ON")
        _create_or_check(connection, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        if isinstance(error, sqlite3.OperationalError):
            raise
        raise LedgerUnusable(f"{path} is not a ledger: {error}. Name another file.") from error
    except LedgerUnusable:
        connection.close()
        raise
    return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open the ledger for reading alone; its rows go by their columns' names.

    Raises sqlite3.OperationalError when there is none.
    """
    return _connect_to(path, "ro", 5.0)


def connect_to_add(path: Path) -> sqlite3.Connection:
    """Open a ledger that is there, for a short write beside the drain's.

    Raises sqlite3.OperationalError when there is none.
    """
    connection = _connect_to(path, "rw", BUSY_SECONDS)
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _connect_to(path: Path, mode: str, timeout: float) -> sqlite3.Connection:
    place = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(place, uri=True, timeout=timeout, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing, and the only writer meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def insert(connection: sqlite3.Connection, records: Sequence[dict[str, Any]]) -> Inserted:
    """Write records (as `flatten.record_of` reads them) inside the caller's transaction.

    A record that is there already is left as it is; one that cannot be written is skipped.
    """
    connection.execute("SAVEPOINT batch")
    try:
        done = _insert(connection, records)
    except (*_UNUSABLE, *_UNWRITABLE):
        connection.execute("ROLLBACK TO batch")
        if len(records) == 1:
            done = _insert_odd(connection, records[0])
        else:
            done = sum((insert(connection, [record]) for record in records), Inserted())
    connection.execute("RELEASE batch")
    return done


def _insert_odd(connection: sqlite3.Connection, record: dict[str, Any]) -> Inserted:
    """Write a record that was refused, if it is for columns alone that a newer version has."""
    try:
        known = known_parts(record)
    except _UNUSABLE:
        return Inserted(malformed=1)
    return Inserted(malformed=1) if known == record else insert(connection, [known])


def read_offset(connection: sqlite3.Connection, segment: str) -> int:
    """Return how far a spool segment has been written to the ledger."""
    found = connection.execute("SELECT offset FROM segment WHERE name = ?", (segment,)).fetchone()
    return int(found[0]) if found else 0


def write_offset(connection: sqlite3.Connection, segment: str, offset: int) -> None:
    """Note how far a segment is written, in the transaction that writes it."""
    connection.execute("INSERT OR REPLACE INTO segment VALUES (?, ?)", (segment, offset))


def forget_offset(connection: sqlite3.Connection, segment: str) -> None:
    """Forget a segment that is gone."""
    connection.execute("DELETE FROM segment WHERE name = ?", (segment,))


def _create_or_check(connection: sqlite3.Connection, path: Path) -> None:
    with transaction(connection):
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        if not names:
            for statement in create_statements():
                connection.execute(statement)
            connection.execute("INSERT INTO meta VALUES ('schema', ?)", (str(VERSION),))
            return
        if not {"meta", "request", "call"} <= names:
            raise LedgerUnusable(f"{path} is another database, not a ledger. Name another file.")
        found = connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
        version = int(found[0]) if found else 0
        if version in MIGRATIONS:
            _migrate(connection, version)
            _log.warning("The ledger %s had layout %d, it has %d now.", path, version, VERSION)
        elif version != VERSION:
            age = "a newer" if version > VERSION else "an unknown"
            raise LedgerUnusable(
                f"{path} was written by {age} version: its layout is {version}, this one knows "
                f"{VERSION}. Upgrade waterfall, or name another file."
            )


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring the layout up step by step, in the caller's transaction: all of it or nothing."""
    for step in range(version, VERSION):
        for statement in MIGRATIONS[step]:
            connection.execute(statement)
    connection.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (str(VERSION),))


def _insert(connection: sqlite3.Connection, records: Sequence[dict[str, Any]]) -> Inserted:
    prompts: list[Row] = []
    written: list[float] = []
    parts: list[Part] = []
    for request, record in _insert_requests(connection, records):
        written.append(record["request"]["started_at"])
        prompts.extend(prompt_of(record))
        parts += parts_of(record, request)
    _put(connection, parts)
    connection.executemany(_INSERT_PROMPT, prompts)
    shadows = (_insert_shadow(connection, each) for each in records if "shadow" in each)
    written.extend(began for began in shadows if began is not None)
    _mark(connection, written)
    return Inserted(new=len(written), known=len(records) - len(written))


def _insert_requests(
    connection: sqlite3.Connection, records: Sequence[dict[str, Any]]
) -> list[tuple[int, dict[str, Any]]]:
    """Write the requests' own rows; return those that were not there already, with their rowids."""
    ((last,),) = connection.execute("SELECT coalesce(max(id), 0) FROM request")
    whole = (each for each in records if "shadow" not in each)
    numbered = list(enumerate(whole, last + 1))
    rows: list[Part] = [("request", (number,), record["request"]) for number, record in numbered]
    if _put(connection, rows) != len(rows):
        found = connection.execute("SELECT id FROM request WHERE id > ?", (last,))
        new = {number for (number,) in found}
        numbered = [each for each in numbered if each[0] in new]
    return numbered


def _put(connection: sqlite3.Connection, parts: Iterable[Part]) -> int:
    """Write rows, those of the same columns together; return how many were not there already."""
    kinds: dict[tuple[str, ...], list[Row]] = {}
    for table, said, part in parts:
        kind = (table, *part)
        rows = kinds.get(kind)
        if rows is None:
            rows = kinds[kind] = []
        rows.append((*said, *part.values()))
    new = 0
    for kind, rows in kinds.items():
        new += connection.executemany(_statement(kind), rows).rowcount
    return new


@lru_cache(KINDS)
def _statement(kind: tuple[str, ...]) -> str:
    """Write the insert of a table's rows that come with some of its columns. Raises KeyError for
    one that it has not."""
    table, *columns = kind
    for name in columns:
        TABLES[table][name]
    said = ("id",) if table == "request" else SAID[table]
    return insert_statement(table, (*said, *columns), BLANKS[table])


def _insert_shadow(connection: sqlite3.Connection, record: dict[str, Any]) -> float | None:
    """Add attempts to their request, which came before them; return when it began, None where
    they are there already.

    Raises ValueError when there is no such request.
    """
    ids = [call["call_id"] for attempt in record["attempts"] for call in attempt["calls"]]
    known = "SELECT 1 FROM call WHERE call_id = ?"
    if any(connection.execute(known, (each,)).fetchone() for each in ids):
        return None
    entry_id = record["shadow"]["entry_id"]
    found = connection.execute(_PLACE, (entry_id,)).fetchone()
    if found is None:
        raise ValueError(f"no request {entry_id} is known")
    request, began, place = found
    for seq, attempt in enumerate(record["attempts"], place):
        _put(connection, attempt_parts(attempt, request, seq, entry_id, "shadow"))
        _add_shadow_cost(connection, request, attempt["attempt"]["cost"])
    return float(began)


def _mark(connection: sqlite3.Connection, started_at: Sequence[float]) -> None:
    hours = [{"hour": hour} for hour in {hour_of(each) for each in started_at}]
    connection.executemany(_MARK, hours)


def _add_shadow_cost(connection: sqlite3.Connection, request: int, cost: int) -> None:
    connection.execute(_ADD_SHADOW_COST, (cost, request))


def put_calls(
    connection: sqlite3.Connection, record: dict[str, Any], calls: Sequence[dict[str, Any]]
) -> None:
    """Write calls that the ledger does not know, with the request that they are of where it does
    not know that either, inside the caller's transaction. Both are whole rows."""
    new = _put(connection, [("request", (None,), record)])
    query = "SELECT id, started_at FROM request WHERE entry_id = ?"
    request, began = connection.execute(query, (record["entry_id"],)).fetchone()
    if not new:
        _add_shadow_cost(connection, request, shadow_cost(calls))
    _put(connection, [call_part(call, request) for call in calls])
    _mark(connection, [began])
