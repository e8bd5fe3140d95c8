"""The way to the shared state: when that does not answer it is left alone for a while, so that no
request waits for it more than once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from gateway.core.allowance import Drawn
from gateway.shared import Draw, MemoryShared, Shared, SharedDown

T = TypeVar("T")
MEETING = 1.0
"""Seconds that the first trip may take: it connects, and brings the script along."""
REST = 1.0
"""Seconds for which a shared state that has failed is not asked."""


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
        self._met = False

    @property
    def up(self) -> bool:
        """Did it answer when it was asked last?"""
        return not self._rest_until

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
        if self._clock() < self._rest_until:
            raise SharedDown("It did not answer a moment ago.")
        self.trips += 1
        try:
            async with asyncio.timeout(self._timeout if self._met else max(self._timeout, MEETING)):
                found = await work(self.shared)
        except (SharedDown, TimeoutError) as error:
            self.failed()
            raise SharedDown("It does not answer.") from error
        self._met = True
        if self._rest_until:
            self._rest_until = 0.0
            self.alone.forget_pools()
        return found

    def failed(self) -> None:
        """Count a trip that came to nothing, and let it rest."""
        self.failures += 1
        self._rest_until, self._met = self._clock() + REST, True
