"""A few threads for a user's function: what hangs there hangs there, and nothing else waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Final, TypeVar

THREADS: Final = 4
WAITING: Final = 256
"""Calls that may wait for a thread; beyond that there is no point in waiting."""
T = TypeVar("T")


class Taken(TimeoutError):
    """Too much is waiting for a thread already."""


class Threads:
    """At most `limit` threads, each started when it is first needed.

    They are daemons, unlike an executor's: a function that never returns must not keep the
    process from ending.
    """

    def __init__(self, limit: int = THREADS) -> None:
        """Start with none."""
        self._limit = limit
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._started = 0
        self._lock = threading.Lock()
        self._open = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in one of the threads; what it raises, whatever it is, comes as Exception.

        A cancel leaves work that has begun to itself, and drops work that has not. Raises Taken.
        """
        with self._lock:
            if self._open >= self._limit + WAITING:
                raise Taken("every thread is taken")
            self._open += 1
            if self._open > self._started < self._limit:
                self._started += 1
                threading.Thread(target=self._serve, name="function", daemon=True).start()
        future: Future[T] = Future()
        self._work.put(lambda: self._do(future, work))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Let every thread end that is not in a call."""
        for _ in range(self._started):
            self._work.put(None)

    def _serve(self) -> None:
        while (do := self._work.get()) is not None:
            do()

    def _do(self, future: Future[T], work: Callable[[], T]) -> None:
        try:
            if future.set_running_or_notify_cancel():
                future.set_result(work())
        except BaseException as error:  # noqa: BLE001 (SystemExit too: it is not ours to obey here)
            odd = isinstance(error, StopIteration) or not isinstance(error, Exception)
            future.set_exception(RuntimeError(f"it raised {error!r}") if odd else error)
        finally:
            with self._lock:
                self._open -= 1
