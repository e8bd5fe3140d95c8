"""A breaker: after some failures in a row nobody is asked for a while, then one probe decides."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

FAILURES: Final = 5
PAUSE: Final = 10.0


class Breaker:
    """Closed, until `failures` in a row open it for `pause` seconds; then it is half open, which
    lets one call through at a time until one succeeds (closed) or fails (open again).

    `clock` is monotonic, in seconds. Made for one thread: the event loop's.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        failures: int = FAILURES,
        pause: float = PAUSE,
    ) -> None:
        """Begin closed."""
        self._clock, self._most, self._pause = clock, failures, pause
        self._failed = 0
        self._until = 0.0
        self._probing = False

    @property
    def open(self) -> bool:
        """Has it opened, and not yet closed again?"""
        return self._failed >= self._most

    def enter(self) -> bool:
        """May a call be made now? If so, its end is to be told: `succeed`, `fail` or `leave`."""
        if not self.open:
            return True
        if self._probing or self._clock() < self._until:
            return False
        self._probing = True
        return True

    def succeed(self) -> None:
        """The call was answered."""
        self._failed, self._probing = 0, False

    def fail(self) -> None:
        """The call was not answered."""
        self._failed, self._probing = self._failed + 1, False
        if self.open:
            self._until = self._clock() + self._pause

    def leave(self) -> None:
        """The call says nothing of whether the next one would be answered."""
        self._probing = False
