"""What every check that waits has around it: a time-out, a breaker, and an honest abstention.

What a client or a reply can bring about (a prompt that a model refuses, a judge led astray, code
that never ends, a deadline of its own) never opens the breaker: it would be everybody's.
"""

from __future__ import annotations

import logging
from typing import Protocol

from gateway.core.errors import UpstreamError, UpstreamRejected, UpstreamTimeout
from gateway.core.ports import Calls, Question
from gateway.core.verdict import Finding
from gateway.waiting.breaker import Breaker

_log = logging.getLogger("waterfall")


class Unusable(Exception):
    """Something came, and nothing is to be had from it; `reason` is one of verdict.ABSTENTIONS."""

    def __init__(self, told: str, reason: str = "invalid") -> None:
        """`told` is for the log, and quotes no reply."""
        super().__init__(told)
        self.reason = reason


class Raised(Exception):
    """A user's function raised, or a program ended oddly: the reply may be to blame."""


class Endless(TimeoutError):
    """It took too long, which may be the reply's fault."""


class Waiting(Protocol):
    """A check that waits, bare."""

    async def ask(self, question: Question, seconds: float, calls: Calls) -> Finding:
        """Examine a reply; from when there is one, for `seconds` at most.

        Raises UpstreamError, TimeoutError, Unusable, Raised, or OSError for what cannot be run.
        """
        ...


class Guarded:
    """A Waiting that at worst abstains; fits `gateway.core.ports.Examiner`."""

    def __init__(
        self, name: str, inner: Waiting, timeout: float, breaker: Breaker | None = None
    ) -> None:
        """`timeout` is in seconds, for each reply."""
        self._name, self._inner, self._timeout = name, inner, timeout
        self._breaker = breaker or Breaker()
        self._told: set[str] = set()

    async def examine(self, question: Question, seconds: float, calls: Calls) -> Finding:
        """Ask, or abstain and say why."""
        if not self._breaker.enter():
            return Finding("abstain", "open")
        hurried = seconds < self._timeout
        try:
            found = await self._inner.ask(question, min(seconds, self._timeout), calls)
        except Exception as error:  # noqa: BLE001 (whatever it is, the request goes on)
            return self._abstain(error, hurried=hurried)
        except BaseException:
            self._breaker.leave()
            raise
        self._breaker.succeed()
        return found

    def _abstain(self, error: Exception, *, hurried: bool) -> Finding:
        late = isinstance(error, TimeoutError | UpstreamTimeout)
        reason = "deadline" if late and hurried else _reason(error)
        astray = isinstance(error, Raised | Unusable | Endless | UpstreamRejected)
        was_open = self._breaker.open
        (self._breaker.leave if astray or (late and hurried) else self._breaker.fail)()
        told = str(error) or type(error).__name__
        if self._breaker.open and not was_open:
            _log.error("The check %s is left alone for a while: %s", self._name, told)
        elif reason not in self._told:
            _log.warning(
                "The check %s abstained (%s). Further times are counted.",
                self._name,
                told,
                exc_info=error.__cause__ if isinstance(error, Raised) else None,
            )
        self._told.add(reason)
        return Finding("abstain", reason)


def _reason(error: Exception) -> str:
    """Name a failure in one of verdict.ABSTENTIONS."""
    match error:
        case TimeoutError() | UpstreamTimeout():
            return "timeout"
        case UpstreamRejected():
            return "rejected"
        case UpstreamError():
            return "invalid" if error.kind == "bad_response" else "unreachable"
        case Unusable():
            return error.reason
        case _:
            return "error"
