"""Which tiers may serve a request, in what order, within what bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from gateway.core.accepts import EVERYTHING, Accepts
from gateway.core.limits import Limits
from gateway.core.money import Price
from gateway.core.native import Wire
from gateway.core.quick import maker, quick
from gateway.core.recipes import Recipe
from gateway.core.verdict import Bar, CheckSpec

SEVERAL = "|"
"""Between the names of upstreams: no name has it."""


@quick
@dataclass(frozen=True, slots=True)
class Hold:
    """How much of a judged draft is held before it may reach the client."""

    policy: Literal["reply", "tokens", "sentence", "none"] = "reply"
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Hedge:
    """What is done against a slow first token: `after` so many seconds without one, the `to` tier
    is called too, for at most this `share` of the tier's streams over time."""

    after: float = 1.5
    to: Literal["same", "next"] = "same"
    share: float = 0.05


@dataclass(frozen=True, slots=True)
class Tier:
    """One rung: a model at an upstream, with its price, recipe and bar. `upstream` names several
    as `a|b`; `context` is its window in tokens, None when unknown; `accepts` is what its model
    takes of a request, `wire` the dialect in which it is asked."""

    name: str
    upstream: str
    model: str
    price: Price = field(default_factory=Price)
    recipe: Recipe | None = None
    bar: Bar = field(default_factory=Bar)
    hold: Hold = field(default_factory=Hold)
    context: int | None = None
    takes_tools: bool = True
    takes_images: bool = True
    takes_prediction: bool = True
    hedge: Hedge | None = None
    accepts: Accepts = EVERYTHING
    limits: Limits | None = None
    wire: Wire = "chat"

    @property
    def upstreams(self) -> tuple[str, ...]:
        """The names of the upstreams that have its model."""
        return tuple(self.upstream.split(SEVERAL))


StartReason = Literal[
    "score", "rule", "override", "context", "budget", "latch", "probe", "cache", "mode", "breaker"
]


@quick
@dataclass(frozen=True, slots=True)
class Plan:
    """Which tiers may serve a request, in what order, within what bounds.

    `tiers` are the usable ones from the start upwards; `below` the usable ones under the start,
    strongest first, for when all above have failed. `deadline` is in seconds, `ceiling` and
    `expected` (the estimated cost of one call at each tier) in nano-dollars; so is `check_costs`,
    by tier and check, of the checks that ask a model; `p_good` is the probability that a tier's
    reply is good, where known; `choices` is how many the client wants. `whole` says that a judged
    draft is held whole, see core/demands.py. `speculate` says that the second tier is called too,
    so many seconds after the first, and before that one's verdict.
    """

    tiers: tuple[Tier, ...]
    below: tuple[Tier, ...] = ()
    reason: StartReason = "score"
    deadline: float = 60.0
    ceiling: int | None = None
    expected: Mapping[str, int] = field(default_factory=dict)
    p_good: Mapping[str, float] = field(default_factory=dict)
    check_costs: Mapping[tuple[str, str], int] = field(default_factory=dict)
    choices: int = 1
    whole: bool = False
    speculate: float | None = None

    def check_cost(self, tier: Tier, spec: CheckSpec) -> int:
        """What a check of a reply of `tier` is expected to cost, in nano-dollars."""
        return self.check_costs.get((tier.name, spec.name), spec.cost)

    def held_whole(self) -> Plan:
        """Return the same plan, by which judged drafts are held whole."""
        return replace(self, whole=True)

    def alone(self) -> Plan:
        """Return the same plan with nobody to go on to: its first tier's reply is the answer."""
        return replace(self, tiers=self.tiers[:1], below=(), speculate=None)

    def hold(self, tier: Tier) -> Hold:
        """How much of a judged draft of `tier` is held."""
        partly = tier.hold.policy in {"tokens", "sentence"}
        return Hold("reply") if self.whole and partly else tier.hold

    def escalates_to(self, tier: Tier) -> bool:
        """Is a call of `tier` an escalation: over the tier that the plan starts at?"""
        for each in self.tiers[1:]:
            if each.name == tier.name:
                return True
        return False

    def is_displaced(self, tier: Tier) -> bool:
        """Is a call of `tier` made because the tier under it did not serve: an escalation, or a
        start moved up from a tier that is left alone? What asks for `tier` itself comes first."""
        return self.reason == "breaker" or self.escalates_to(tier)

    def above(self, tier: Tier) -> Tier | None:
        """Return the next usable tier over `tier`; None for the last, or one from `below`."""
        under = None
        for each in self.tiers:
            if under == tier.name:
                return each
            under = each.name
        return None

    def falls_to(self, tier: Tier) -> bool:
        """Is it one of those under the start? By name: whole tiers take long to compare."""
        for each in self.below:
            if each.name == tier.name:
                return True
        return False

    def judges(self, tier: Tier) -> bool:
        """Is a reply of `tier` held to its bar? The last tier's, and a fallen-to one's, is not."""
        return self.above(tier) is not None

    def next_good(self, tier: Tier) -> float | None:
        """P(the tier over `tier` is good), None when there is none or nobody knows."""
        above = self.above(tier)
        return None if above is None else self.p_good.get(above.name)


new_plan = maker(Plan)
