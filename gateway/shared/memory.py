"""A shared state in this process alone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from gateway.core.allowance import Drawn
from gateway.shared.pools import drawn
from gateway.shared.port import Draw

MOST = 100_000
"""Pools or values that are kept; over that the ones that were touched first are forgotten."""


class MemoryShared:
    """Fits gateway.shared.port.Shared; never down."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` is in seconds, and need not be anybody else's."""
        self._clock = clock
        self._pools: OrderedDict[str, tuple[Any, float]] = OrderedDict()
        self._values: OrderedDict[str, tuple[bytes, float]] = OrderedDict()

    async def draw(self, draws: Sequence[Draw]) -> list[Drawn]:
        """See the port."""
        return [self.draw_at_once(draw) for draw in draws]

    def draw_at_once(self, draw: Draw, known: Any = None) -> Drawn:
        """Draw without waiting; `known` is the pool's state where this one has none yet."""
        now = self._clock()
        state, until = self._pools.get(draw.name, (known, now))
        if until < now:
            state = known
        after, came = drawn(state, draw, now)
        _keep(self._pools, draw.name, (after, now + draw.keep))
        return came

    def forget_pools(self) -> None:
        """Forget every pool."""
        self._pools.clear()

    async def get(self, name: str) -> bytes | None:
        """See the port."""
        value, until = self._values.get(name, (None, 0.0))
        return value if until > self._clock() else None

    async def put(self, name: str, value: bytes, seconds: float) -> None:
        """See the port."""
        _keep(self._values, name, (value, self._clock() + seconds))

    async def claim(self, name: str, value: bytes, seconds: float) -> bytes | None:
        """See the port."""
        there = await self.get(name)
        if there is None:
            await self.put(name, value, seconds)
        return there

    async def drop(self, name: str) -> None:
        """See the port."""
        self._values.pop(name, None)

    async def aclose(self) -> None:
        """See the port."""


def _keep(place: OrderedDict[str, Any], name: str, value: Any) -> None:
    place[name] = value
    place.move_to_end(name)
    if len(place) > MOST:
        place.popitem(last=False)
