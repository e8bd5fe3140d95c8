"""A circuit breaker: after some failures in a row nobody is asked for a while, then one probe
decides. It also opens when whoever is asked says for how long to stay away. The clock is
the caller's.
"""

from __future__ import annotations

from typing import Literal

BreakerState = Literal["closed", "half_open", "open"]


class Breaker:
    """Closed, until `failures` in a row open it for `pause` seconds; then half open: one call at a
    time goes through, until one is answered (closed) or fails (open again).

    Each call has a ticket, and what comes of a call that began before the last change of state
    changes nothing: a crowd of late failures cannot keep a breaker open, nor one late answer of a
    healthier time close it. `failures` of 0 never open it. Times are monotonic seconds.
    """

    __slots__ = ("_failed", "_generation", "_most", "_pause", "_probing", "closed", "until")

    def __init__(self, failures: int = 5, pause: float = 5.0) -> None:
        self._most, self._pause = failures, pause
        self._failed = 0
        self._generation = 0
        self.closed, self._probing = True, False
        """Is all well?"""
        self.until = 0.0
        """When it may be asked again, where it is open."""

    @property
    def ticket(self) -> int:
        """The ticket of a call that goes on: what comes of it from now on counts again."""
        return self._generation

    def state(self, now: float) -> BreakerState:
        """Return how it stands; half open is also what waits for somebody to probe with."""
        if self.closed:
            return "closed"
        return "half_open" if self._probing or now >= self.until else "open"

    def allows(self, now: float) -> bool:
        """Would a call be let through? Nothing is changed."""
        return self.closed or (now >= self.until and not self._probing)

    def enter(self, now: float) -> int | None:
        """Let a call through, if one may go: returns its ticket, with which its end is to be told
        to `succeed`, `fail` or `leave`."""
        if not self.closed:
            if self._probing or now < self.until:
                return None
            self._probing = True
        return self._generation

    def succeed(self, ticket: int) -> bool:
        """A call was answered; has that closed it?"""
        if ticket != self._generation:
            return False
        self._failed = 0
        if self.closed:
            return False
        self._turn(is_open=False)
        return True

    def fail(self, ticket: int, now: float) -> bool:
        """A call failed; has that opened it (again)?"""
        if ticket != self._generation:
            return False
        self._failed += 1
        if self.closed and not 0 < self._most <= self._failed:
            return False
        self.until = now + self._pause
        self._turn(is_open=True)
        return True

    def leave(self, ticket: int) -> None:
        """A call ended that says nothing of whether the next would be answered."""
        if ticket == self._generation:
            self._probing = False

    def rest(self, until: float) -> None:
        """Open it until then: it was told to stay away."""
        self.until = until if self.closed else max(until, self.until)
        self._turn(is_open=True)

    def _turn(self, *, is_open: bool) -> None:
        self.closed, self._probing = not is_open, False
        self._failed = 0
        self._generation += 1
