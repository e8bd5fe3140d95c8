"""One calibrated confidence out of what is known before an answer and what its checks say of it.

A `Combiner` is fitted offline to labelled replies (`router_models.cascade.fit`) and has a stage for
each step of buying evidence: what is known for nothing, then with the first paid check, and so on,
so that its word is calibrated at each. A stage is two logistic curves (as Platt's, 1999) over
log-odds: P(this reply is good) and P(the next tier's would be), given all that is known by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import exp, log
from typing import Final

SURE: Final = 0.98
"""Nobody is surer than that, nor less sure than 1 - that: a check that is always right in a few
hundred replies is not always right."""

Said = Mapping[str, float | None]
"""What each check put to a reply says: its confidence, 0..1, None when it abstained."""


def log_odds(chance: float) -> float:
    """Return log(p / (1 - p)) of a probability, cut to what anybody may be sure of."""
    held = min(max(chance, 1 - SURE), SURE)
    return log(held / (1 - held))


def chance_of(odds: float) -> float:
    """Return the probability of log-odds."""
    return 1 / (1 + exp(-min(max(odds, -60.0), 60.0)))


@dataclass(frozen=True, slots=True)
class Curve:
    """`prior` weighs the log-odds, over their `centre`, of what the scorer said of this tier;
    `said` those of each check, `silent` stands in where a check abstained or was not put."""

    offset: float
    prior: float = 0.0
    centre: float = 0.0
    said: Mapping[str, float] = field(default_factory=dict)
    silent: Mapping[str, float] = field(default_factory=dict)

    def chance(self, prior: float | None, said: Said) -> float:
        """Return the probability, 0..1. A prior that nobody knows counts as its centre."""
        odds = self.offset
        if prior is not None:
            odds += self.prior * (log_odds(prior) - self.centre)
        for check, weight in self.said.items():
            confidence = said.get(check)
            odds += self.silent[check] if confidence is None else weight * log_odds(confidence)
        return chance_of(odds)


@dataclass(frozen=True, slots=True)
class Stage:
    """The curves for a reply that these checks and no others have been put to."""

    own: Curve
    next: Curve


@dataclass(frozen=True, slots=True)
class Weighed:
    """P(this reply is good) and P(the next tier's would be), 0..1."""

    own: float
    next: float


@dataclass(frozen=True, slots=True)
class Combiner:
    """`free` checks are put to every reply, `paid` ones in this order; `stages` has one more than
    `paid`. A paid check is bought only where the confidence before it lies in its `bands` (low,
    high), both included: evidence is for the uncertain middle. Without a band it is always bought.
    `label` is `name@version`."""

    label: str
    free: tuple[str, ...]
    paid: tuple[str, ...]
    stages: tuple[Stage, ...]
    bands: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def knows(self, check: str) -> bool:
        """Was it fitted to what this check says?"""
        return check in self.free or check in self.paid

    def weigh(self, said: Said, own: float | None, next_: float | None) -> Weighed:
        """Weigh what the checks say with what the scorer said of this tier (`own`) and the next
        (`next_`), None where it estimates nothing. The stage is that of the paid checks put so far;
        one put out of turn waits for those before it."""
        stage = self.stages[self._bought(said)]
        return Weighed(stage.own.chance(own, said), stage.next.chance(next_, said))

    def pays(self, check: str, confidence: float | None) -> bool:
        """Is this paid check worth its price, at this confidence before it?"""
        low, high = self.bands.get(check, (0.0, 1.0))
        return confidence is not None and low <= confidence <= high

    def _bought(self, said: Iterable[str]) -> int:
        known = set(said)
        return next((n for n, check in enumerate(self.paid) if check not in known), len(self.paid))
