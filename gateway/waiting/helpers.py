"""A few helpers for one user's function: a call that hangs is killed, and nothing else waits.

The first is started with the gateway, the others when they are needed, and what was lost is
replaced: at once, and ever more slowly while one is lost after the other without an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import Any, Final

from gateway.core.scorer_spec import HELPERS
from gateway.waiting.helper import Ended, Helper, NotFound, Order
from gateway.waiting.threads import WAITING, Taken, Threads

GRACE: Final = 0.5
"""Seconds for which a call goes on that nobody waits for any more: starting a process costs more
than waiting for one that is only slow, and any client may leave."""
_PAUSE: Final = 0.1
_LONGEST: Final = 10.0
_CLOSING: Final = 1.0

_log = logging.getLogger("waterfall")


class Helpers:
    """At most `most` processes. Asked on one event loop, though it may be made anywhere."""

    def __init__(self, order: Order, most: int = HELPERS) -> None:
        """Start the first one. Blocks. Raises NotFound, or OSError where nothing can be started."""
        self._order, self._most = order, most
        first = Helper(order)
        self.version = first.version
        """Of the function's module."""
        self._all: set[Helper] = {first}
        self._idle: list[Helper] = [first]
        self._waiting: deque[asyncio.Future[Helper]] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._threads = Threads(2)
        """For what blocks: starting, and seeing the end."""
        self._starting = 0
        self._lost = 0
        """How many were lost since the last answer, or could not be started."""
        self._due = 0.0
        self._failure: Exception | None = None
        """Why the last one could not be started."""
        self._closed = False

    async def ask(self, told: bytes) -> dict[str, Any]:
        """Make a call: `told` is its arguments, as JSON. Raises Ended, Taken, or OSError where no
        helper can be started. After a cancel it goes on for GRACE, and is then killed."""
        helper = await self._take()
        asking = self._task(self._converse(helper, told))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            asyncio.get_running_loop().call_later(GRACE, asking.cancel)
            raise

    def close(self) -> None:
        """Kill them all. Blocks shortly; for where nothing is under way."""
        self._closed = True
        for helper in self._all:
            helper.kill()
        for helper in self._all:
            helper.let_go()
        self._all.clear()
        self._threads.close()

    async def aclose(self) -> None:
        """Kill them all, and see what is under way end."""
        self._closed = True
        for helper in self._all:
            helper.kill()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSING)
        await asyncio.to_thread(self.close)

    # ------------------------------------------------------------------ whose turn it is

    async def _take(self) -> Helper:
        while self._idle:
            helper = self._idle.pop()
            if helper.alive:
                return helper
            self._lose(helper)  # something has ended it meanwhile
        now = asyncio.get_running_loop().time()
        if now >= self._due:
            self._hire()
        if self._failure is not None and not self._all and not self._starting:
            raise OSError(f"it cannot be started: {self._failure}") from self._failure
        if len(self._waiting) >= WAITING:
            raise Taken("every helper is taken")
        turn: asyncio.Future[Helper] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._release(turn.result())
            raise

    def _release(self, helper: Helper) -> None:
        """Give it to whoever has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(helper)
                return
        self._idle.append(helper)

    async def _converse(self, helper: Helper, told: bytes) -> dict[str, Any]:
        try:
            answer = await helper.ask(told)
        except BaseException:
            self._lose(helper)
            raise
        self._lost = 0
        self._release(helper)
        return answer

    # ------------------------------------------------------------------ how many there are

    def _hire(self) -> None:
        """Start one more, unless there are enough."""
        if not self._closed and len(self._all) + self._starting < self._most:
            self._starting += 1
            self._task(self._start())

    async def _start(self) -> None:
        try:
            helper = await self._threads.run(self._begin)
        except (NotFound, OSError) as error:
            self._starting -= 1
            self._fail(error)
        else:
            self._starting -= 1
            self._failure = None
            self._all.add(helper)
            self._release(helper)

    def _begin(self) -> Helper:
        helper = Helper(self._order)
        if self._closed:  # meanwhile: nobody would end it
            helper.kill()
            helper.let_go()
            raise NotFound("it is wanted no more")
        return helper

    def _fail(self, error: Exception) -> None:
        if self._closed:
            return
        if self._failure is None:
            _log.error("No process for %s.%s: %s", self._order.module, self._order.name, error)
        self._failure = error
        self._replace()
        if self._all:
            return
        for turn in self._waiting:
            if not turn.done():
                turn.set_exception(OSError(f"it cannot be started: {error}"))
        self._waiting.clear()

    def _lose(self, helper: Helper) -> None:
        helper.kill()
        if self._closed:
            return
        self._all.discard(helper)
        self._task(self._threads.run(helper.let_go))
        self._replace()

    def _replace(self) -> None:
        """Start another; the later, the more were lost in a row."""
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        self._lost += 1
        pause = 0.0 if self._lost == 1 else min(_PAUSE * 2.0 ** min(self._lost, 30), _LONGEST)
        self._due = loop.time() + pause
        loop.call_later(pause, self._hire)

    def _task(self, coroutine: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        with contextlib.suppress(asyncio.CancelledError):
            task.exception()  # looked at, so that nobody complains that it never was


__all__ = ["GRACE", "Ended", "Helpers", "NotFound", "Order"]
