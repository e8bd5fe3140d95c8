"""Where a draft waits that runs beside another one: nothing of it leaves until it is its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from gateway.core.chat import Delta

CAP = 256 * 1024
"""Bytes that may wait; over that the upstream is not read from until there is a decision."""
_OVERHEAD = 256
"""Bytes that a delta takes beside its text, roughly."""


def _nothing() -> None:
    pass


class Lane:
    """One draft's way to the client.

    `spoken` is told, once, that the draft has begun to say something; `first` is awaited before
    its first delta leaves.
    """

    def __init__(
        self,
        *,
        is_open: bool,
        spoken: Callable[[], None] = _nothing,
        first: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """A closed lane keeps what comes."""
        self._is_open = is_open
        self._spoken, self._first = spoken, first
        self._opened = asyncio.Event()
        self._waiting: list[Delta] = []
        self._size = 0
        self._has_spoken = False

    def speak(self) -> None:
        """Hear that something was said."""
        if not self._has_spoken:
            self._has_spoken = True
            self._spoken()

    async def clear(self, ready: Sequence[Delta]) -> list[Delta]:
        """Take what a gate has let through; return what may go to the client now, in order.

        Waits where too much waits already, until the lane is open.
        """
        self._waiting += ready
        if not self._is_open:
            self._size += sum(_OVERHEAD + len(delta.raw or b"") for delta in ready)
            if self._size < CAP:
                return []
            await self._opened.wait()
        if self._waiting and self._first is not None:
            first, self._first = self._first, None
            await first()
        return self.take()

    @property
    def is_clear(self) -> bool:
        """Does what comes from now on pass, with nothing before it?"""
        return self._is_open and self._first is None and not self._waiting

    def take(self) -> list[Delta]:
        """Return what waits."""
        waiting, self._waiting, self._size = self._waiting, [], 0
        return waiting

    def open(self) -> None:
        """Let what comes from now on pass, and what waits with it."""
        self._is_open = True
        self._opened.set()

    async def flush(self, send: Callable[[list[Delta]], Awaitable[None]]) -> None:
        """Send what waits, and what comes to wait meanwhile; then open."""
        while self._waiting:
            await send(self.take())
        self.open()
