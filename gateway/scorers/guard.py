"""What every scorer that waits has around it: a time-out, a breaker, and its base to fall back on.

What a client can bring about (a prompt that a model refuses, an answer led astray, a function that
raises on some text, a deadline of its own) never opens the breaker: it would be everybody's.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from gateway.core.difficulty import Difficulty, fallen_back
from gateway.core.errors import UpstreamError, UpstreamRejected, UpstreamTimeout
from gateway.core.ports import Assessment, Calls
from gateway.core.signals import Signals
from gateway.waiting.breaker import Breaker

_log = logging.getLogger("waterfall")


class Unusable(Exception):
    """An answer came, and no difficulty is to be had from it. `theirs` says that whoever answered
    is to blame, whatever the prompt was."""

    def __init__(self, told: str, *, theirs: bool = False) -> None:
        """`told` is for the log, and quotes no answer."""
        super().__init__(told)
        self.theirs = theirs


class Raised(Exception):
    """A user's function raised; its cause is what it raised."""


class Waiting(Protocol):
    """A scorer that waits, bare. Its first three are as in `gateway.core.ports.Assessor`."""

    @property
    def label(self) -> str:
        """Its `name@version`."""
        ...

    def settle(self, base: Difficulty) -> Difficulty | None:
        """Return its word where the base's settles it."""
        ...

    def estimate(self, signals: Signals) -> int:
        """Estimate what asking costs, in nano-dollars."""
        ...

    async def ask(
        self, signals: Signals, base: Difficulty, seconds: float, calls: Calls
    ) -> Difficulty:
        """Ask, for `seconds` at most. Raises UpstreamError, TimeoutError, Unusable or Raised."""
        ...


class Guarded:
    """A Waiting that always has a word; fits `gateway.core.ports.Assessor`."""

    def __init__(self, inner: Waiting, timeout: float, breaker: Breaker | None = None) -> None:
        """`timeout` is in seconds, for each request."""
        self._inner, self._timeout = inner, timeout
        self._breaker = breaker or Breaker()
        self._told: set[str] = set()
        self.label = inner.label
        self.reference: Sequence[float] | None = getattr(inner, "reference", None)
        """What ranks its scores, where the inner one has that."""

    def settle(self, base: Difficulty) -> Difficulty | None:
        """Return its word where the base's settles it; None where it has to be asked."""
        return self._inner.settle(base)

    def estimate(self, signals: Signals) -> int:
        """Estimate what asking costs, in nano-dollars."""
        return self._inner.estimate(signals)

    async def assess(
        self, signals: Signals, base: Difficulty, seconds: float, calls: Calls
    ) -> Assessment:
        """Ask, or fall back on the base and say why."""
        if not self._breaker.enter():
            return Assessment(fallen_back(base), "open")
        hurried = seconds < self._timeout
        try:
            found = await self._inner.ask(signals, base, min(seconds, self._timeout), calls)
        except Exception as error:  # noqa: BLE001 (whatever it is, the base still has a word)
            return self._fall_back(base, error, hurried=hurried)
        except BaseException:
            self._breaker.leave()
            raise
        self._breaker.succeed()
        return Assessment(found)

    def _fall_back(self, base: Difficulty, error: Exception, *, hurried: bool) -> Assessment:
        reason = _reason(error)
        late = isinstance(error, TimeoutError | UpstreamTimeout)
        blameless = isinstance(error, Raised | UpstreamRejected) or (hurried and late)
        if isinstance(error, Unusable):
            blameless = not error.theirs
        was_open = self._breaker.open
        (self._breaker.leave if blameless else self._breaker.fail)()
        if self._breaker.open and not was_open:
            _log.error("The scorer %s is left alone for a while: %s", self.label, _told(error))
        elif reason not in self._told:
            cause = error.__cause__ if isinstance(error, Raised) else None
            _log.warning(
                "The scorer %s could not decide (%s); its base did. Further times are counted.",
                self.label,
                _told(error),
                exc_info=cause,
            )
        self._told.add(reason)
        return Assessment(fallen_back(base), reason)


def _reason(error: Exception) -> str:
    """Name a failure in a bounded word; see docs/metrics.md."""
    match error:
        case TimeoutError() | UpstreamTimeout():
            return "timeout"
        case UpstreamRejected():
            return "rejected"
        case UpstreamError():
            return "unusable" if error.kind == "bad_response" else "unreachable"
        case Unusable():
            return "unusable"
        case Raised():
            return "raised"
        case _:
            return "error"


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
