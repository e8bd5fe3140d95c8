"""How long a route's replies are kept, to be said again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caching:
    """For how many seconds a route's replies are kept, and of how many bytes at most."""

    ttl: float
    largest: int
