"""The ledger in SQLite as the store's other parts have it: its place, and its writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.store import sqlite
from gateway.store.connection import Connection, Inserted
from gateway.store.days import DAY
from gateway.store.schema import PARTS

EXPIRE_BATCH = 500
"""Requests that are deleted in one transaction: others may write in between."""
_OLD = "SELECT id, entry_id FROM request WHERE started_at >= ? AND started_at < ? LIMIT ?"


class SqliteWriter:
    """Fits `connection.Writer`."""

    at_once = 16

    def __init__(self, connection: sqlite3.Connection) -> None:
        """`connection` is as `sqlite.connect` opens it; it is closed with this."""
        self.connection: Connection = connection
        self._connection = connection

    def transaction(self) -> AbstractContextManager[None]:
        """All of it or nothing, and the only writer meanwhile."""
        return sqlite.transaction(self._connection)

    def insert(self, records: Sequence[dict[str, Any]]) -> Inserted:
        """Write records inside the caller's transaction."""
        return sqlite.insert(self._connection, records)

    def read_offset(self, segment: str) -> int:
        """Return how far a spool segment has been written to the ledger."""
        return sqlite.read_offset(self._connection, segment)

    def write_offset(self, segment: str, offset: int) -> None:
        """Note how far a segment is written."""
        sqlite.write_offset(self._connection, segment, offset)

    def forget_offset(self, segment: str) -> None:
        """Forget a segment that is gone."""
        sqlite.forget_offset(self._connection, segment)

    def knows_call(self, call_id: str) -> bool:
        """Is this call in the ledger?"""
        query = "SELECT 1 FROM call WHERE call_id = ?"
        return self._connection.execute(query, (call_id,)).fetchone() is not None

    def put_calls(self, record: dict[str, Any], calls: Sequence[dict[str, Any]]) -> None:
        """Write calls, with their request where that is not known."""
        sqlite.put_calls(self._connection, record, calls)

    def make_ready(self, now: float) -> None:
        """Nothing has to be."""

    def horizon(self, before: float) -> int:
        """Return when a day began: days are deleted whole."""
        return int(before // DAY) * DAY

    def expire(self, end: int) -> bool:
        """Delete a batch of the requests that began before a horizon, and all that is theirs."""
        with self.transaction():
            return self._delete(0, end) == EXPIRE_BATCH

    def delete(self, start: int, check: Callable[[int], None]) -> None:
        """Delete a day's requests in one transaction."""
        with self.transaction():
            check(start + DAY)
            while self._delete(start, start + DAY):
                pass

    def _delete(self, start: int, end: int) -> int:
        found = self._connection.execute(_OLD, (start, end, EXPIRE_BATCH)).fetchall()
        for table, column in PARTS.items():
            ids = [(row[0 if column == "request" else 1],) for row in found]
            statement = f'DELETE FROM "{table}" WHERE {column} = ?'  # noqa: S608 - ours
            self._connection.executemany(statement, ids)
        self._connection.executemany(
            "DELETE FROM request WHERE id = ?", [(row[0],) for row in found]
        )
        return len(found)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


@dataclass(frozen=True, slots=True)
class SqliteLedger:
    """Fits `connection.Ledger`."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What is raised while it cannot be had."""
        return (sqlite3.Error, OSError)

    def prepare(self) -> None:
        """Make the tables. Raises as `sqlite.connect`."""
        sqlite.connect(self.path).close()

    def write(self) -> SqliteWriter:
        """Open it for writing. Raises as `sqlite.connect`."""
        connection = sqlite.connect(self.path)
        connection.row_factory = sqlite3.Row
        return SqliteWriter(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open one moment's view of it."""
        with closing(sqlite.connect_to_read(self.path)) as connection:
            connection.execute("BEGIN")
            yield connection

    @contextmanager
    def add(self) -> Iterator[Connection]:
        """Open it for a short write: one transaction, and the only writer meanwhile."""
        with (
            closing(sqlite.connect_to_add(self.path)) as connection,
            sqlite.transaction(connection),
        ):
            yield connection

    def stamp(self) -> object:
        """Return when its files were written, and how long they are: a commit goes into the log
        beside it, and from there into the file."""
        return [
            _written(each) for each in (self.path, self.path.with_name(f"{self.path.name}-wal"))
        ]

    def forms(self, sql: tuple[str, str]) -> str:
        """Choose SQLite's form."""
        return sql[0]


def _written(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except FileNotFoundError:  # the log goes with whoever is last to close it
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
