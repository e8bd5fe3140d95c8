"""What a shared state offers. Adapters fit these shapes; nobody inherits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.core.allowance import Ask, Drawn, Terms

LEASE = 10.0
"""Seconds for which a holder may keep what it has drawn without being heard of."""


class SharedDown(Exception):
    """The shared state cannot be had, or not in time."""


@dataclass(frozen=True, slots=True)
class Draw:
    """A draw from the pool `name`, which may be forgotten `keep` seconds after the last one."""

    name: str
    terms: Terms
    ask: Ask
    keep: float


class Shared(Protocol):
    """Pools of allowances (see core.allowance), and values under a name for a time."""

    async def draw(self, draws: Sequence[Draw]) -> list[Drawn]:
        """Make these draws in one trip, each by itself in one piece. Raises SharedDown; then some
        or all may have been made."""
        ...

    async def get(self, name: str) -> bytes | None:
        """Return a value; None where there is none, or its time is over. Raises SharedDown."""
        ...

    async def put(self, name: str, value: bytes, seconds: float) -> None:
        """Keep a value, in the place of one that is there. Raises SharedDown."""
        ...

    async def claim(self, name: str, value: bytes, seconds: float) -> bytes | None:
        """Keep a value unless there is one; return that one. Raises SharedDown."""
        ...

    async def drop(self, name: str) -> None:
        """Forget a value. Raises SharedDown."""
        ...

    async def aclose(self) -> None:
        """Let go of files and connections."""
        ...
