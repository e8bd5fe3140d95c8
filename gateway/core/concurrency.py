"""How many calls a deployment is given at once: as many as it answers, with a share set apart.

The limit rises by one for each round of answers while it is used, and falls by a third when it is
told that it was too much (additive increase, multiplicative decrease: Chiu and Jain, 1989). Of the
limit a share is kept for requests that ask for this tier: a storm of those that another tier did
not serve (they are displaced, see `Plan.is_displaced`) cannot take it.
"""

from __future__ import annotations

CUT = 0.7
EVERY = 1.0
"""Seconds between two cuts: what was under way at the first says nothing new."""
LEAST = 4
"""Calls at once that are always allowed."""


class Concurrency:
    """The limit of one deployment, and what is under way there.

    `most` is the limit at first and at most (0: there is none); `adaptive` says that it moves;
    `reserve` is the share that what is displaced cannot have.
    """

    __slots__ = ("_adaptive", "_cut_at", "_most", "_reserve", "displaced", "in_flight", "limit")

    def __init__(self, most: int, *, adaptive: bool, reserve: float) -> None:
        self._most, self._adaptive, self._reserve = most, adaptive, reserve
        self._cut_at = float("-inf")
        self.limit = float(most)
        self.in_flight = self.displaced = 0

    def admits(self, displaced: bool) -> bool:
        """May one more call begin?"""
        if not self._most:
            return True
        if self.in_flight + 1 > self.limit:
            return False
        return not displaced or self.displaced + 1 <= max(1.0, self.limit * (1 - self._reserve))

    def enter(self, displaced: bool) -> None:
        """Count a call in."""
        self.in_flight += 1
        self.displaced += displaced

    def leave(self, displaced: bool) -> None:
        """Count it out."""
        self.in_flight -= 1
        self.displaced -= displaced

    def answered(self) -> None:
        """A call was answered, while it was still counted in."""
        if self._adaptive and self.limit < self._most and self.in_flight * 2 >= self.limit:
            self.limit = min(self.limit + 1.0 / self.limit, float(self._most))

    def too_much(self, now: float) -> bool:
        """A call was refused or too late, while it was still counted in: was the limit cut?"""
        if not self._adaptive or now - self._cut_at < EVERY:
            return False
        self._cut_at = now
        before = self.limit
        self.limit = max(float(min(LEAST, self._most)), min(before, self.in_flight) * CUT)
        return self.limit < before


def expected_wait(ahead: int, limit: float, seconds: float) -> float:
    """Estimate for how long a call waits behind `ahead` others for a place among `limit`, each of
    which is held for so many seconds."""
    return (ahead + 1) * seconds / max(limit, 1.0)
