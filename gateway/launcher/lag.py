"""Watches how late the event loop comes round: what a busy or blocked gateway shows first."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

EVERY = 0.5
"""Seconds between two looks."""


@contextlib.asynccontextmanager
async def watching_lag(note: Callable[[float], None]) -> AsyncIterator[None]:
    """Note twice a second, while inside, by how many seconds the loop was late."""
    task = asyncio.create_task(_watch(note))
    try:
        yield
    finally:
        task.cancel()


async def _watch(note: Callable[[float], None]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + EVERY
        await asyncio.sleep(EVERY)
        note(max(0.0, loop.time() - due))
