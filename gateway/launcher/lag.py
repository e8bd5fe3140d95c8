"""Watches how late the event loop comes round, and who blocks it: a thread beside it looks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable
from typing import Final

EVERY = 0.5
"""Seconds between two looks."""
BLOCKED: Final = 1.0
"""Seconds without a turn of the loop after which it is said to be blocked."""
DEPTH: Final = 20
"""Frames of the stack that are told."""
_log = logging.getLogger("waterfall")


@contextlib.asynccontextmanager
async def watching_lag(
    note: Callable[[float], None],
    blocked: Callable[[], None] = lambda: None,
    tasks: Callable[[int], None] = lambda _: None,
) -> AsyncIterator[None]:
    """Note twice a second, while inside, by how many seconds the loop was late, and how many
    `tasks` it has; where it does not come round for a second, log once what it is doing, and tell
    `blocked`, from a thread."""
    dog = _Watchdog(threading.get_ident(), blocked)
    task = asyncio.create_task(_watch(note, tasks, dog))
    dog.start()
    try:
        yield
    finally:
        task.cancel()
        dog.ended.set()
        await asyncio.to_thread(dog.join)


async def _watch(
    note: Callable[[float], None], tasks: Callable[[int], None], dog: _Watchdog
) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + EVERY
        await asyncio.sleep(EVERY)
        dog.turned = time.monotonic()
        note(max(0.0, loop.time() - due))
        tasks(len(asyncio.all_tasks()))


class _Watchdog(threading.Thread):
    """Looks whether the loop of a thread still turns: what blocks it cannot tell of it."""

    def __init__(self, thread: int, blocked: Callable[[], None]) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._thread, self._blocked = thread, blocked
        self._told = 0.0
        self.turned = time.monotonic()
        self.ended = threading.Event()

    def run(self) -> None:
        """Look, until it is told to end."""
        while not self.ended.wait(EVERY / 2):
            turned = self.turned
            since = time.monotonic() - turned - EVERY
            if since > BLOCKED and turned != self._told:
                self._told = turned
                self._blocked()
                _log.error("the event loop is blocked for %.1f s, by\n%s", since, self._stack())

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._thread)  # noqa: SLF001 (the only way to see it)
        return "".join(traceback.format_stack(frame)[-DEPTH:]) if frame else "(nothing)"
