"""The ledger's two databases as a proof needs them: what to configure, how to take them away."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.core.database_url import DatabaseUrl
from gateway.store.connection import Place


@dataclass(frozen=True, slots=True)
class Database:
    """A ledger's place; `away` keeps every writer out of it while inside, and `how` says how."""

    place: Place
    how: str
    away: Callable[[], AbstractContextManager[None]]

    @property
    def url(self) -> str:
        """What the configuration says."""
        return f"sqlite:///{self.place}" if isinstance(self.place, Path) else self.place.url


Opening = Callable[[Path], AbstractContextManager[Database]]


@contextmanager
def sqlite_file(folder: Path) -> Iterator[Database]:
    """A file in the proof's folder; it is locked."""
    path = folder / "waterfall.db"

    @contextmanager
    def away() -> Iterator[None]:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield
            connection.execute("ROLLBACK")

    yield Database(path, "database locked for", away)


@contextmanager
def postgres_server(_: Path) -> Iterator[Database]:
    """A server of the proof's own, as it comes: a commit is on the disk. It is stopped."""
    from loadtests.postgres import server  # noqa: PLC0415 - it needs psycopg

    with server() as running:

        @contextmanager
        def away() -> Iterator[None]:
            running.stop()
            yield
            running.start()

        yield Database(DatabaseUrl(running.create("ledger")), "server stopped for", away)
