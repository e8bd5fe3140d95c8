"""A bound on how much happens at once, with a fair queue that survives cancellation."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress


class Slots:
    """`limit` slots; a slot given back goes straight to whoever has waited longest.

    Because a slot never lies free while somebody waits, nobody can overtake the queue.
    """

    __slots__ = ("_limit", "_waiters", "used")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiters: deque[asyncio.Future[None]] = deque()
        self.used = 0

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._waiters)

    def take(self) -> bool:
        """Takes a slot if one is free."""
        if self.used >= self._limit:
            return False
        self.used += 1
        return True

    async def wait(self) -> None:
        """Waits in line for a slot; raises what `refuse` was given."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # Cancelled after the slot was handed over: without this the slot is lost for ever.
                self.give()
            else:
                with suppress(ValueError):
                    self._waiters.remove(turn)
            raise

    def give(self) -> None:
        """Gives a slot back."""
        while self._waiters:
            turn = self._waiters.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.used -= 1

    def refuse(self, error: Exception) -> None:
        """Sends everybody who waits away with `error`."""
        while self._waiters:
            turn = self._waiters.popleft()
            if not turn.done():
                turn.set_exception(error)
