"""The four limits of an exchange, and the moments they are measured from."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.upstreams.http1.errors import Phase


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits in seconds.

    connect: name look-up, TCP and TLS together.
    first_token: from the request's first byte until the first byte of the reply's body.
    silence: between two arrivals of the reply, while the reader is not holding it back.
    total: everything, waiting for a free connection included.
    """

    connect: float = 2.0
    first_token: float = 20.0
    silence: float = 20.0
    total: float = 120.0


class Clock:
    """Knows when the reply is overdue, from moments its owner notes (loop time, seconds)."""

    __slots__ = ("_silence", "_total_at", "_wait_until", "last")

    def __init__(self, timeouts: Timeouts, total_at: float, sent: float) -> None:
        self._silence = timeouts.silence
        self._total_at = total_at
        self._wait_until = sent + timeouts.first_token
        self.last = 0.0

    def due(self) -> float:
        """The moment at which the reply will be overdue if nothing else arrives."""
        quiet = self.last + self._silence if self.last else self._wait_until
        return min(quiet, self._total_at)

    def phase(self) -> Phase:
        """The limit that `due` names."""
        if self._total_at <= self.due():
            return "total"
        return "silence" if self.last else "first_token"
