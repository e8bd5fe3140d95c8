"""One allowance in this worker: most requests are answered from what it holds already."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from gateway.core.allowance import Bucket, Drawn, Holding, Pool, Terms
from gateway.core.errors import LimitsUnknown
from gateway.core.limits import Outage
from gateway.limits.line import Line
from gateway.shared import Draw, SharedDown

DRY = 0.25
"""Seconds for which a pool that had too little is not asked again."""


class Account:
    """`name` is the pool's; `keep` is for how many seconds that may be forgotten."""

    def __init__(
        self,
        name: str,
        terms: Terms,
        outage: Outage,
        keep: float,
        line: Line,
        clock: Callable[[], float],
    ) -> None:
        """Begin with nothing in hand."""
        self.name, self.outage, self.keep = name, outage, keep
        self.holding = Holding(terms)
        self.touched = self.told = clock()
        """When somebody wanted something of it last, and when its pool heard of it last."""
        self._holder = line.name_holder()
        self.gone = False
        """Has it been let go of? Then there is another of its name, or will be."""
        self._line, self._clock = line, clock
        self._flight: asyncio.Future[Drawn | None] | None = None
        self._dry, self._dry_until, self._wait = 0, 0.0, 0.0

    async def take(self, least: int, most: int) -> int:
        """Put aside at least `least` units, `most` where there are as many; return how many, 0
        where there are too few. Raises LimitsUnknown where that is how it is to be."""
        if got := self.take_at_once(most):
            return got
        while self._may_ask(least):
            own = self._flight is None
            if self._flight is None:
                need = max(least, min(self.holding.held + 1, most))
                self._flight = asyncio.create_task(self._fly(need, most))
            drawn = await asyncio.shield(self._flight)
            if drawn is None and self.outage == "closed":
                raise LimitsUnknown(
                    "What is left of a limit of this gateway cannot be told now; try again.",
                    retry_after=1.0,
                )
            if got := self._grab(least, most):
                return got
            if own and (drawn is None or not drawn.granted):
                break
        return self._grab(least, most)

    def take_at_once(self, units: int) -> int:
        """Put so many aside if they are in hand; return how many, or 0."""
        self.touched = self._clock()
        return units if self.holding.reserve(units) else 0

    def force(self, units: int) -> None:
        """Put units aside whether or not they are there."""
        self.holding.force(units)

    def settle(self, units: int, used: int) -> None:
        """Of `units` put aside so many were used."""
        self.holding.settle(units, used)
        if self.holding.held > 0:
            self._dry_until = 0.0

    def _may_ask(self, least: int) -> bool:
        """Not for as much as there has just not been."""
        return least - self.holding.held < self._dry or self._clock() >= self._dry_until

    def _grab(self, least: int, most: int) -> int:
        units = min(self.holding.held, most)
        return units if units >= least and self.holding.reserve(units) else 0

    async def _fly(self, need: int, most: int) -> Drawn | None:
        try:
            drawn = await self._draw(need, most)
        finally:
            self._flight = None
        if drawn is not None:
            self._wait = drawn.wait
            if not drawn.granted:
                self._dry = need - self.holding.held
                self._dry_until = self._clock() + min(drawn.wait or DRY, DRY)
        return drawn

    async def _draw(self, need: int, most: int) -> Drawn | None:
        """Draw from the pool; while that cannot be had, from what was known of it last."""
        now = self._clock()
        ask = self.holding.ask(self._holder, need, now, most=most)
        draw = Draw(self.name, self.holding.terms, ask, self.keep)
        try:
            (drawn,) = await self._line.draw([draw])
        except SharedDown:
            if self.outage == "closed":
                self.holding.unheard(ask)
                return None
            drawn = self._line.alone.draw_at_once(draw, _state(self.holding.known))
            self.holding.take(ask, drawn, self._clock(), heard=False)
            return drawn
        self._hear(draw, drawn)
        return drawn

    def _hear(self, draw: Draw, drawn: Drawn) -> None:
        self.told = self._clock()
        self.holding.take(draw.ask, drawn, self.told)

    # -------------------------------------------------------------- what is told of it

    @property
    def wait(self) -> float:
        """Seconds after which a rate has what it had too little of."""
        return self._wait

    def remaining(self) -> int:
        """What is left, as far as this worker knows: in hand, and in the pool when it was asked
        last."""
        return max(0, self._left())

    def reset(self) -> float:
        """Seconds after which a rate is full again, what is owed of it included."""
        terms = self.holding.terms
        return (terms.capacity - self._left()) / terms.per_second

    def _left(self) -> int:
        """What is left; less than nothing where more was used than there was."""
        holding, known = self.holding, self.holding.known
        capacity = holding.terms.capacity
        if isinstance(known, Bucket):
            level = known.level + (self._clock() - known.at) * holding.terms.per_second
            return min(capacity, math.floor(level) + holding.held)
        if isinstance(known, Pool):
            return capacity - known.claimed - holding.used - holding.reserved
        return capacity - holding.reserved

    def sync(self, *, keep: bool) -> Draw:
        """Write down what to tell the pool of it; nobody draws until `synced`."""
        self._flight = asyncio.get_running_loop().create_future()
        ask = self.holding.ask(self._holder, 0, self._clock(), keep=keep)
        return Draw(self.name, self.holding.terms, ask, self.keep)

    def synced(self, draw: Draw, drawn: Drawn | None) -> None:
        """Hear what came of it; None where nobody answered."""
        if drawn is None:
            self.holding.unheard(draw.ask)
        else:
            self._hear(draw, drawn)
        flight, self._flight = self._flight, None
        if flight is not None:
            flight.set_result(drawn)

    @property
    def busy(self) -> bool:
        """Is somebody drawing just now? Then there is nothing to tell."""
        return self._flight is not None


def _state(known: Pool | Bucket | None) -> list[object] | None:
    """Write what is known of a pool as gateway.shared.pools does."""
    if known is None:
        return None
    return [known.level, known.at] if isinstance(known, Bucket) else [known.closed, {}]
