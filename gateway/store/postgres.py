"""The ledger in PostgreSQL: opens it, makes its tables or brings them up, and reads it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import psycopg
from psycopg.adapt import Dumper, Loader
from psycopg.rows import RowMaker

from gateway.core.database_url import DatabaseUrl
from gateway.store.connection import Connection, LedgerUnusable, Rows, Values
from gateway.store.postgres_schema import create_statements, translate
from gateway.store.postgres_writer import PostgresWriter
from gateway.store.schema import MIGRATIONS, VERSION

LOCK = 0x7761_7465
"""The advisory lock of whoever makes the tables or brings them up."""
CONNECT_SECONDS = 3
_ADDING = "-c lock_timeout=1s -c statement_timeout=5s"
_WRITING = "-c lock_timeout=5s"
_OPTIONS: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "application_name": "waterfall",
    # A server that is gone without a word is noticed, by the drain and by whoever labels.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_NAMED = re.compile(r"(?<![:\w]):([a-z_][a-z_0-9]*)")
_OURS = ("request", "attempt", "call", "check_result", "label", "prompt", "tuning", "segment")

_log = logging.getLogger(__name__)


class Row:
    """A row that goes by its columns' names and by their numbers, as SQLite's do."""

    __slots__ = ("_names", "_values")

    def __init__(self, names: Sequence[str], values: Sequence[Any]) -> None:
        """`values` are in the order of `names`."""
        self._names = names
        self._values = values

    def keys(self) -> Sequence[str]:
        """Name the columns."""
        return self._names

    def __getitem__(self, key: str | int) -> Any:
        return self._values[self._names.index(key) if isinstance(key, str) else key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class _Number(Loader):
    """Sums of whole numbers are whole numbers, and averages floats: nobody here wants a Decimal."""

    def load(self, data: bytes | bytearray | memoryview) -> int | float:
        written = bytes(data)
        return int(written) if written.lstrip(b"-").isdigit() else float(written)


def _rows(cursor: psycopg.Cursor[Any]) -> RowMaker[Row]:
    names = [column.name for column in cursor.description or ()]

    def make(values: Sequence[Any]) -> Row:
        return Row(names, values)

    return make


@cache
def marks(sql: str) -> str:
    """Write SQLite's marks for values, `?` and `:name`, as psycopg's."""
    return _NAMED.sub(r"%(\1)s", sql).replace("?", "%s")


class _Flag(Dumper):
    """Yes and no are 1 and 0 here, as in SQLite."""

    oid = psycopg.adapters.types["int8"].oid

    def dump(self, obj: bool) -> bytes:
        return b"1" if obj else b"0"


class _NoColumn(Dumper):
    """What no column is for, and psycopg would write as something else."""

    def dump(self, obj: object) -> bytes:
        raise TypeError(f"no column holds a {type(obj).__name__}")


class Speaking:
    """A connection that is asked with SQLite's marks for values. Fits `connection.Connection`."""

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        """`connection` stays its opener's."""
        self._connection = connection

    def execute(self, sql: str, values: Values = (), /) -> Rows:
        """Carry a statement out."""
        return self._connection.execute(marks(sql), values)


class Streaming:
    """The same for reading: rows are fetched as they are asked for, however many there are."""

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        """`connection` is in a transaction."""
        self._connection = connection
        self._cursors: list[psycopg.ServerCursor[Row]] = []

    def execute(self, sql: str, values: Values = (), /) -> Rows:
        """Begin a query."""
        cursor = self._connection.cursor(name=f"c{len(self._cursors)}")
        self._cursors.append(cursor)
        cursor.itersize = 1000
        cursor.execute(marks(sql), values)
        return cursor

    def close(self) -> None:
        """Let go of all queries."""
        for cursor in self._cursors:
            cursor.close()


def connect(url: DatabaseUrl, options: str = "") -> psycopg.Connection[Row]:
    """Open a connection. Raises psycopg.Error."""
    given = psycopg.conninfo.conninfo_to_dict(url.url)
    own = {name: value for name, value in _OPTIONS.items() if name not in given}
    own["options"] = f"{given.get('options') or ''} {options}".strip()
    connection = psycopg.connect(url.url, autocommit=True, row_factory=_rows, **own)
    connection.adapters.register_loader("numeric", _Number)
    connection.adapters.register_dumper(bool, _Flag)
    for kind in (list, dict, tuple):
        connection.adapters.register_dumper(kind, _NoColumn)
    return connection


@dataclass(frozen=True, slots=True)
class PostgresLedger:
    """Fits `connection.Ledger`."""

    url: DatabaseUrl

    def __str__(self) -> str:
        return self.url.shown

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What is raised while it cannot be had."""
        return (psycopg.Error, OSError)

    def prepare(self) -> None:
        """Make the tables, or bring them up."""
        with closing(connect(self.url, _WRITING)) as connection:
            _create_or_check(connection, str(self))

    def write(self) -> PostgresWriter:
        """Open it for writing."""
        connection = connect(self.url, _WRITING)
        try:
            _create_or_check(connection, str(self))
            return PostgresWriter(connection, Speaking(connection))
        except BaseException:
            connection.close()
            raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open one moment's view of it."""
        with closing(connect(self.url)) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            with connection.transaction(), closing(Streaming(connection)) as streaming:
                yield streaming

    @contextmanager
    def add(self) -> Iterator[Connection]:
        """Open it for a short write: one transaction."""
        with closing(connect(self.url, _ADDING)) as connection, connection.transaction():
            yield Speaking(connection)

    def stamp(self) -> None:
        """It would have to be asked."""

    def forms(self, sql: tuple[str, str]) -> str:
        """Choose PostgreSQL's form."""
        return sql[1]


def _create_or_check(connection: psycopg.Connection[Row], name: str) -> None:
    """Make the tables where there are none, or bring them up: one process alone, all or nothing."""
    if _layout(connection) == VERSION:
        return
    # The lock is the session's, and the transaction begins under it: one that had looked before it
    # waited would go on not to see what was made meanwhile.
    connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
    try:
        with connection.transaction():
            found = _layout(connection)
            if found is None:
                _create(connection, name)
            elif found != VERSION:
                _migrate(connection, found, name)
    finally:
        if not connection.broken:
            connection.execute("SELECT pg_advisory_unlock(%s)", (LOCK,))


def _layout(connection: psycopg.Connection[Row]) -> int | None:
    if not _there(connection, "meta"):
        return None
    row = connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
    return int(row[0]) if row else None


def _there(connection: psycopg.Connection[Row], table: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (f'"{table}"',)).fetchone()
    return bool(row and row[0])


def _create(connection: psycopg.Connection[Row], name: str) -> None:
    strange = [table for table in ("meta", *_OURS) if _there(connection, table)]
    if strange:
        raise LedgerUnusable(
            f"{name} has a table {strange[0]!r} that is no ledger's. Name another database."
        )
    for statement in create_statements():
        connection.execute(_plain(statement))
    connection.execute("INSERT INTO meta VALUES ('schema', %s)", (str(VERSION),))


def _migrate(connection: psycopg.Connection[Row], version: int, name: str) -> None:
    if version > VERSION or any(step not in MIGRATIONS for step in range(version, VERSION)):
        age = "a newer" if version > VERSION else "an unknown"
        raise LedgerUnusable(
            f"{name} was written by {age} version: its layout is {version}, this one knows "
            f"{VERSION}. Upgrade waterfall, or name another database."
        )
    for step in range(version, VERSION):
        for statement in MIGRATIONS[step]:
            connection.execute(_plain(translate(statement)))
    connection.execute("UPDATE meta SET value = %s WHERE name = 'schema'", (str(VERSION),))
    _log.warning("The ledger %s had layout %d, it has %d now.", name, version, VERSION)


def _plain(statement: str) -> bytes:
    """A statement without values: psycopg takes one that was put together as bytes only."""
    return statement.encode()
