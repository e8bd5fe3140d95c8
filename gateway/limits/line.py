"""The way to the shared state: when that does not answer, twice in a row, it is left alone for a
while, so that requests do not wait for it again and again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from gateway.core.allowance import Drawn
from gateway.shared import Draw, MemoryShared, Shared, SharedDown

T = TypeVar("T")
MEETING = 1.0
"""Seconds that the first trip may take: it connects, and brings the script along."""
REST = 1.0
"""Seconds for which a shared state that has failed twice in a row is not asked."""


class Line:
    """`alone` is what this process goes on by while nobody answers."""

    def __init__(
        self, shared: Shared, holder: str, clock: Callable[[], float], timeout: float
    ) -> None:
        """`holder` is this process's name; `timeout` is for one trip, in seconds."""
        self.shared, self.alone = shared, MemoryShared(clock)
        self._holder, self._holders = holder, 0
        self.failures, self.trips = 0, 0
        self._clock, self._timeout, self._rest_until = clock, timeout, 0.0
        self._failed_at: float | None = None
        self._met = False
        self._errands: set[asyncio.Task[None]] = set()

    @property
    def up(self) -> bool:
        """Did it answer when it was asked last?"""
        return self._failed_at is None

    def name_holder(self) -> str:
        """Name another holder: what one has used is counted under its name, so none has two
        lives."""
        self._holders += 1
        return f"{self._holder}.{self._holders}"

    async def draw(self, draws: Sequence[Draw]) -> list[Drawn]:
        """Draw in one trip. Raises as `ask`."""
        return await self.ask(lambda shared: shared.draw(draws))

    async def ask(self, work: Callable[[Shared], Awaitable[T]]) -> T:
        """Make one trip. Raises SharedDown, at once while it rests."""
        if self.rests:
            raise SharedDown("It did not answer a moment ago.")
        self.trips += 1
        began = self._clock()
        try:
            async with _within(self._timeout if self._met else max(self._timeout, MEETING)):
                found = await work(self.shared)
        except (SharedDown, TimeoutError) as error:
            self.failed(began)
            raise SharedDown("It does not answer.") from error
        self._met = True
        if self._failed_at is not None:
            self._failed_at, self._rest_until = None, 0.0
            self.alone.forget_pools()
        return found

    @property
    def rests(self) -> bool:
        """Is it left alone just now?"""
        return self._clock() < self._rest_until

    def later(self, errand: Coroutine[Any, Any, None]) -> None:
        """Run an errand beside everything else, until `drop_errands` at the latest."""
        task = asyncio.create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def drop_errands(self) -> None:
        """Cancel what is still running."""
        running = [*self._errands]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def failed(self, began: float) -> None:
        """Count a trip that `began` then and came to nothing. One alone may have been bad luck: it
        rests after a second one, that began when the first had failed."""
        self.failures += 1
        self._met = True
        if self._failed_at is None:
            self._failed_at = self._clock()
        elif began >= self._failed_at:
            self._rest_until = self._clock() + REST


@contextlib.asynccontextmanager
async def _within(seconds: float) -> AsyncGenerator[None]:
    """Raise TimeoutError after so many seconds; where this loop was busy when they were over, as
    much later: the answer may have come, and nobody has read it yet."""
    loop = asyncio.get_running_loop()
    due = loop.time() + seconds

    def ring() -> None:
        now = loop.time()
        limit.reschedule(now + min(now - due, seconds))

    async with asyncio.timeout(None) as limit:
        timer = loop.call_at(due, ring)
        try:
            yield
        finally:
            timer.cancel()
