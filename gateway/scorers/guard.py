"""A scorer that waits, and its base to fall back on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gateway.core.breaker import Breaker
from gateway.core.difficulty import Difficulty, fallen_back
from gateway.core.ports import Assessment, Calls
from gateway.core.signals import Signals
from gateway.waiting.guard import GaveUp, Guard


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
        self._inner = inner
        who, outcome = f"The scorer {inner.label}", "could not decide; its base did"
        self._guard = Guard(who, outcome, timeout, breaker)
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
        try:
            found = await self._guard.ask(
                seconds, lambda left: self._inner.ask(signals, base, left, calls)
            )
        except GaveUp as gave_up:
            return Assessment(fallen_back(base), gave_up.reason)
        return Assessment(found)
