"""Deadlines by one timer for all: nearly none of them is ever reached, and a timer that is set and
cancelled for each request costs it more than all that is done here."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

_GRAIN = 0.002
"""Seconds: clocks of event loops are coarse, and a timer this early is on time."""


class Deadlines:
    """The deadlines of what is under way, on one event loop."""

    __slots__ = ("_open", "_timer", "_timer_at")

    def __init__(self) -> None:
        """Begin with none."""
        self._open: set[Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def within(self, seconds: float) -> Deadline:
        """Return a context that ends so many seconds from now, as that of `asyncio.timeout`."""
        return Deadline(self, asyncio.get_running_loop(), seconds)

    def add(self, deadline: Deadline) -> None:
        """Have a deadline kept."""
        self._open.add(deadline)
        if self._timer is None or deadline.at < self._timer_at:
            self._wake_at(deadline)

    def drop(self, deadline: Deadline) -> None:
        """Forget it, if it is kept. The timer stays: it fires, looks, and sleeps on."""
        self._open.discard(deadline)

    def _wake_at(self, first: Deadline) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = first.at
        self._timer = first.loop.call_at(first.at, self._look, first.loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        self._timer = None
        for each in [one for one in self._open if one.at <= now + _GRAIN]:
            self._open.discard(each)
            each.ring()
        if self._open:
            self._wake_at(min(self._open, key=_at))


class Deadline:
    """One deadline, as a context: the task inside it is cancelled when it passes, and leaving then
    raises TimeoutError. A cancel of another's passes through."""

    __slots__ = ("_all", "_before", "_rung", "_task", "at", "loop")

    def __init__(self, kept: Deadlines, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._all, self.loop = kept, loop
        self.at = loop.time() + seconds
        self._rung = False

    def lift(self) -> None:
        """Have it pass without a word from now on, if it has not passed."""
        self._all.drop(self)

    def ring(self) -> None:
        """It has passed."""
        self._rung = True
        self._task.cancel()

    def __enter__(self) -> None:
        task = asyncio.current_task(self.loop)
        if task is None:
            raise RuntimeError("a deadline is a task's")
        self._task: asyncio.Task[Any] = task
        self._before = task.cancelling()
        self._all.add(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._all.drop(self)
        # As asyncio.timeout tells its own cancel from another's (Python's documentation of it).
        ours = self._rung and self._task.uncancel() <= self._before
        if ours and kind is asyncio.CancelledError:
            raise TimeoutError from error


def _at(deadline: Deadline) -> float:
    return deadline.at
