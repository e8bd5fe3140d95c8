"""What everything that waits for somebody has around it: a time-out, a breaker, and a reason in one
bounded word when it comes to nothing.

What a client or a reply can bring about (a prompt that a model refuses, an answer led astray, a
function that raises on some text, a deadline of its own) never opens the breaker: it would be
everybody's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from gateway.core.breaker import Breaker
from gateway.core.errors import UpstreamError, UpstreamRejected, UpstreamTimeout

FAILURES: Final = 5
PAUSE: Final = 10.0
"""Failures in a row after which nobody is asked, and for how many seconds."""
_log = logging.getLogger("waterfall")
Answer = TypeVar("Answer")


class Unusable(Exception):
    """Something came, and nothing is to be had from it; `reason` is a bounded word. `theirs` says
    that whoever answered is to blame, whatever was asked."""

    def __init__(self, told: str, reason: str = "unusable", *, theirs: bool = False) -> None:
        """`told` is for the log, and quotes no answer."""
        super().__init__(told)
        self.reason, self.theirs = reason, theirs


class Raised(Exception):
    """A user's function raised, or a program ended oddly: what it was given may be to blame."""


class Endless(TimeoutError):
    """It took too long, for which what it was given may be to blame."""


class GaveUp(Exception):
    """Nothing came of it; `reason` is one of open, deadline, timeout, rejected, unusable (or what
    an Unusable says), unreachable, raised and error."""

    def __init__(self, reason: str) -> None:
        """Why."""
        super().__init__(reason)
        self.reason = reason


class Guard:
    """One's who is asked. What it raised is logged once for each reason, and counted by others."""

    def __init__(
        self,
        who: str,
        outcome: str,
        timeout: float,
        breaker: Breaker | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`who` and `outcome` (of a failure) begin its sentences in the log; `timeout` is in
        seconds, for each time it is asked; `clock` is monotonic, in seconds."""
        self._who, self._outcome, self._timeout = who, outcome, timeout
        self._breaker = breaker or Breaker(FAILURES, PAUSE)
        self._clock = clock
        self._told: set[str] = set()

    async def ask(self, seconds: float, asking: Callable[[float], Awaitable[Answer]]) -> Answer:
        """Ask, for `seconds` at most. Raises GaveUp, and nothing of its own but a cancel."""
        ticket = self._breaker.enter(self._clock())
        if ticket is None:
            raise GaveUp("open")
        hurried = seconds < self._timeout
        try:
            answer = await asking(min(seconds, self._timeout))
        except Exception as error:
            raise GaveUp(self._failed(error, ticket, hurried=hurried)) from error
        except BaseException:
            self._breaker.leave(ticket)
            raise
        self._breaker.succeed(ticket)
        return answer

    def _failed(self, error: Exception, ticket: int, *, hurried: bool) -> str:
        hurried = hurried and isinstance(error, TimeoutError | UpstreamTimeout)
        reason = "deadline" if hurried else _reason(error)
        was_closed, opened = self._breaker.closed, False
        if hurried or _is_blameless(error):
            self._breaker.leave(ticket)
        else:
            opened = self._breaker.fail(ticket, self._clock())
        told = str(error) or type(error).__name__
        if opened and was_closed:
            _log.error("%s is left alone for a while: %s", self._who, told)
        elif reason not in self._told:
            _log.warning(
                "%s %s (%s). Further times are counted.",
                self._who,
                self._outcome,
                told,
                exc_info=error.__cause__ if isinstance(error, Raised) else None,
            )
        self._told.add(reason)
        return reason


def _is_blameless(error: Exception) -> bool:
    """May what was asked be to blame, and not who was?"""
    if isinstance(error, Unusable):
        return not error.theirs
    return isinstance(error, Raised | Endless | UpstreamRejected)


def _reason(error: Exception) -> str:
    match error:
        case TimeoutError() | UpstreamTimeout():
            return "timeout"
        case UpstreamRejected():
            return "rejected"
        case UpstreamError():
            return "unusable" if error.kind == "bad_response" else "unreachable"
        case Unusable():
            return error.reason
        case Raised():
            return "raised"
        case _:
            return "error"
