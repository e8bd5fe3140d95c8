"""Figures of the ledger for the dashboard, made in a process of their own: reading and replaying a
large ledger is work, and whoever is served must not wait for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, Final

from gateway.config import LedgerSettings
from gateway.core.errors import BadRequest, GatewayError, NotFound, NotReady
from gateway.waiting.function import NotFound as NoFunction
from gateway.waiting.function import UserFunction
from gateway.waiting.guard import Endless, Raised, Unusable

GROUP: Final = "waterfall.dashboard"
"""Entry points of who answers: serving does not need them."""
PROCESSES: Final = 2
LIMIT: Final = 30.0
"""Seconds that an answer may take; then its process is ended."""
IDLE: Final = 300.0
"""Seconds after the last question when the processes are ended."""
_log = logging.getLogger("waterfall")


class Figures:
    """Whoever answers is started by the first question, and ended when there are none."""

    def __init__(self, place: str, shown: str, wall: Callable[[], float]) -> None:
        """`place` is the ledger's path or address, `shown` the same without a password."""
        self.shown = shown
        self._place = place
        self._wall = wall
        self._starting = asyncio.Lock()
        self._function: UserFunction | None = None
        self._closed = False
        self._under_way = 0
        self._idle: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def ask(self, name: str, given: Mapping[str, str]) -> tuple[str, str]:
        """Answer a question with a text and its media type. Raises BadRequest, NotFound, NotReady
        where nobody can answer, or GatewayError."""
        self._under_way += 1
        try:
            async with asyncio.timeout(LIMIT):
                function = await self._started()
                told = await function(name, self._place, dict(given), self._wall())
        except (TimeoutError, Endless) as error:
            raise NotReady("The ledger is slow: ask for a shorter period.") from error
        except (OSError, Raised, Unusable) as error:
            _log.error("dashboard: %s: %s %s", name, error, error.__cause__ or "")
            raise GatewayError("The figures could not be made: the log says why.") from error
        finally:
            self._under_way -= 1
            self._wait_on()
        return _read(told)

    def warm(self) -> None:
        """Start whoever answers, before anything is asked."""
        task = asyncio.create_task(self._warm())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        """End the processes; nothing is answered any more."""
        self._closed = True
        await self._let_go()

    async def _warm(self) -> None:
        try:
            await (await self._started())("ready", self._place, {}, self._wall())
        except (GatewayError, OSError, Raised, Unusable, Endless) as error:
            _log.error("dashboard: nobody can answer: %s", error)
        self._wait_on()

    async def _started(self) -> UserFunction:
        async with self._starting:
            if self._closed:
                raise NotReady("The gateway is stopping.")
            if self._function is None:
                self._function = await asyncio.to_thread(_open)
            return self._function

    def _wait_on(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(IDLE, self._rest)

    def _rest(self) -> None:
        if not self._under_way:
            task = asyncio.create_task(self._let_go())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _let_go(self) -> None:
        async with self._starting:
            if self._idle is not None:
                self._idle.cancel()
            function, self._function = self._function, None
        if function is not None:
            await function.aclose()


def figures_of(ledger: LedgerSettings, wall: Callable[[], float]) -> Figures:
    """Return what answers of a ledger; `wall` reads UNIX time. Nothing is started yet."""
    address = ledger.database.url if ledger.database else str(ledger.path)
    return Figures(address, str(ledger.place), wall)


def _open() -> UserFunction:
    """Start a first process. Blocks. Raises NotFound, or OSError where none can be started."""
    for entry in entry_points(group=GROUP):
        module, _, name = entry.value.partition(":")
        try:
            return UserFunction(module, name, PROCESSES)
        except NoFunction as error:
            raise OSError(str(error)) from error
    raise NotFound("What makes the figures is not installed: the package `router_models`.")


def _read(told: Any) -> tuple[str, str]:
    if "text" in told:
        return told["text"], told.get("type", "application/json")
    message, param = told["refused"], told["param"]
    if told.get("down"):
        raise NotReady(message, retry_after=1)
    if told.get("missing"):
        raise NotFound(message)
    raise BadRequest(message, param=param)
