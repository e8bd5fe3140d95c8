"""A shared state in a small SQLite file: for every process of one machine, and for the next run.

Blocks are drawn from it, so that most requests do not touch it. It outlives the processes, not a
loss of power: the last draws may be missing then, and who draws states them anew.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import orjson

from gateway.core.allowance import Drawn
from gateway.shared.pools import drawn
from gateway.shared.port import Draw, SharedDown

T = TypeVar("T")
MOST = 100_000
"""Rows that are kept of what may go; over that a tenth of them do, the longest unused first."""
_MAY_GO = {
    "pool": ("name LIKE '%:usd:session %'",),
    "kept": ("name LIKE 'reply%'", "NOT (name LIKE 'once:%' AND substr(state, 1, 1) = x'75')"),
}
"""What may go before its time, in this order. Pools of sessions: of all others there are as many as
there are limits. Cached replies, and then all but the claims of requests that are under way."""
LARGEST = 512 << 20
"""Bytes of values that are kept, likewise."""
_EVERY = 256
"""Writes between two looks at what is over."""
_TABLES = """
CREATE TABLE IF NOT EXISTS pool (name TEXT PRIMARY KEY, state BLOB, until REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, state BLOB, until REAL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pool_until ON pool (until);
CREATE INDEX IF NOT EXISTS kept_until ON kept (until);
"""
_PUT = "INSERT INTO {0} VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET state = ?2, until = ?3"
_GET = "SELECT state FROM {0} WHERE name = ? AND until > ?"


class FileShared:
    """Fits gateway.shared.port.Shared. Its work is done in a thread of its own."""

    def __init__(self, path: Path, wall: Callable[[], float], timeout: float) -> None:
        """`wall` is UNIX time in seconds; `timeout` is for how many a lock is waited for.

        Raises OSError or sqlite3.Error where there can be no such file.
        """
        self._wall, self._writes = wall, 0
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._connection = sqlite3.connect(
            path, timeout=timeout, isolation_level=None, check_same_thread=False
        )
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.executescript(_TABLES)
        except sqlite3.Error:
            self._connection.close()
            raise
        self._thread = ThreadPoolExecutor(1, "shared")

    async def draw(self, draws: Sequence[Draw]) -> list[Drawn]:
        """See the port."""
        return await self._run(lambda: self._draw(draws))

    def _draw(self, draws: Sequence[Draw]) -> list[Drawn]:
        now, found = self._wall(), []
        with self._writing():
            for each in draws:
                after, came = drawn(self._read("pool", each.name, now), each, now)
                row = (each.name, orjson.dumps(after), now + each.keep)
                self._connection.execute(_PUT.format("pool"), row)
                found.append(came)
        return found

    def _read(self, table: str, name: str, now: float) -> Any:
        row = self._connection.execute(_GET.format(table), (name, now)).fetchone()
        return None if row is None else orjson.loads(row[0]) if table == "pool" else row[0]

    async def get(self, name: str) -> bytes | None:
        """See the port."""
        return await self._run(lambda: self._read("kept", name, self._wall()))

    async def put(self, name: str, value: bytes, seconds: float) -> None:
        """See the port."""

        def put() -> None:
            with self._writing():
                self._put(name, value, seconds)

        await self._run(put)

    def _put(self, name: str, value: bytes, seconds: float) -> None:
        self._connection.execute(_PUT.format("kept"), (name, value, self._wall() + seconds))

    async def claim(self, name: str, value: bytes, seconds: float) -> bytes | None:
        """See the port."""

        def claim() -> bytes | None:
            with self._writing():
                there: bytes | None = self._read("kept", name, self._wall())
                if there is None:
                    self._put(name, value, seconds)
                return there

        return await self._run(claim)

    async def drop(self, name: str) -> None:
        """See the port."""

        def drop() -> None:
            self._connection.execute("DELETE FROM kept WHERE name = ?", (name,))

        await self._run(drop)

    async def aclose(self) -> None:
        """See the port."""
        await asyncio.to_thread(self._thread.shutdown)
        self._connection.close()

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.Error, RuntimeError) as error:  # RuntimeError: closed meanwhile
            raise SharedDown(str(error)) from error

    @contextmanager
    def _writing(self) -> Any:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._writes += 1
            if self._writes % _EVERY == 1:
                self._sweep()
        except BaseException:
            self._connection.rollback()
            raise
        self._connection.commit()

    def _sweep(self) -> None:
        """Delete what is over, and what is too much."""
        for table in ("pool", "kept"):
            self._connection.execute(f"DELETE FROM {table} WHERE until < ?", (self._wall(),))  # noqa: S608 (two names of ours)
            counted = f"SELECT count(*), coalesce(sum(length(state)), 0) FROM {table}"  # noqa: S608 (as above)
            count, size = self._connection.execute(counted).fetchone()
            much = count - MOST * 9 // 10 if count > MOST else 0
            much = max(much, count // 4 if size > LARGEST else 0)
            for what in _MAY_GO[table]:
                if much <= 0:
                    break
                oldest = f"(SELECT name FROM {table} WHERE {what} ORDER BY until LIMIT ?)"  # noqa: S608 (as above)
                deleting = f"DELETE FROM {table} WHERE name IN {oldest}"  # noqa: S608 (as above)
                much -= self._connection.execute(deleting, (much,)).rowcount
