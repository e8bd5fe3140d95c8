"""The waterfall itself: given what has been tried, what happens next?

`next_step` is a pure function of the plan, the attempts so far and a reading of the clock. The
engine obeys it for plain and streamed replies alike, and a replay of the ledger obeys it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.core.chat import Delta, Reply
from gateway.core.errors import (
    ContextTooLong,
    DeadlineExceeded,
    Exhausted,
    GatewayError,
    StreamBroken,
    UpstreamError,
    UpstreamRejected,
)
from gateway.core.money import FREE, Cost, Price, Usage
from gateway.core.recipes import Recipe
from gateway.core.verdict import FALL_DOWN, Bar, Evidence, Verdict


@dataclass(frozen=True, slots=True)
class Hold:
    """How much of a judged draft is held before it may reach the client."""

    policy: Literal["reply", "tokens", "sentence", "none"] = "reply"
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Tier:
    """One rung: a model at an upstream, with its price, recipe and bar. `context` is its window
    in tokens, None when unknown."""

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


StartReason = Literal["score", "rule", "override", "context", "budget", "latch", "mode"]


@dataclass(frozen=True, slots=True)
class Plan:
    """Which tiers may serve a request, in what order, within what bounds.

    `tiers` are the usable ones from the start upwards; `below` the usable ones under the start,
    strongest first, for when all above have failed. `deadline` is in seconds, `ceiling` and
    `expected` (the estimated cost of one call at each tier) in nano-dollars; `p_good` is the
    probability that a tier's reply is good, where known.
    """

    tiers: tuple[Tier, ...]
    below: tuple[Tier, ...] = ()
    reason: StartReason = "score"
    deadline: float = 60.0
    ceiling: int | None = None
    expected: Mapping[str, int] = field(default_factory=dict)
    p_good: Mapping[str, float] = field(default_factory=dict)

    def above(self, tier: Tier) -> Tier | None:
        """Return the next usable tier over `tier`; None for the last, or one from `below`."""
        names = [each.name for each in self.tiers]
        if tier.name not in names[:-1]:
            return None
        return self.tiers[names.index(tier.name) + 1]

    def judges(self, tier: Tier) -> bool:
        """Is a reply of `tier` held to its bar? The last tier's, and a fallen-to one's, is not."""
        return self.above(tier) is not None

    def next_good(self, tier: Tier) -> float | None:
        """P(the tier over `tier` is good), None when there is none or nobody knows."""
        above = self.above(tier)
        return None if above is None else self.p_good.get(above.name)


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One request on an upstream's wire, and what came of it. Times are in seconds; `started` is
    counted from the request's start; `first_token` and `seconds` from the call's own."""

    call_id: str
    tier: str
    upstream: str
    model: str
    started: float
    seconds: float
    status: Literal["ok", "failed", "left", "cancelled"]
    usage: Usage = field(default_factory=Usage)
    cost: Cost = FREE
    first_token: float | None = None
    bare: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a tier: its calls, and what came of them.

    `held` is what was kept back from the client and may still be released. `altered` says that
    the request carried additions of ours (recipe, asked-for log-probabilities or usage).
    `left` marks a draft abandoned on the strength of its prefix. `late` is the verdict on the
    whole reply when it was released before there was one: how often a prefix fooled us.
    """

    tier: Tier
    calls: tuple[CallRecord, ...] = ()
    reply: Reply | None = None
    evidence: tuple[Evidence, ...] = ()
    verdict: Verdict | None = None
    failure: UpstreamError | None = None
    released: bool = False
    held: tuple[Delta, ...] = ()
    altered: bool = False
    bare: bool = False
    left: bool = False
    late: Verdict | None = None

    @property
    def usage(self) -> Usage:
        """The tokens of all its calls."""
        return sum((call.usage for call in self.calls), Usage())

    @property
    def cost(self) -> Cost:
        """What its calls cost, by kind; checks are counted apart."""
        return sum((call.cost for call in self.calls), FREE)

    @property
    def check_cost(self) -> int:
        """What its checks cost, in nano-dollars."""
        return sum(item.cost for item in self.evidence)

    @property
    def spent(self) -> int:
        """Everything it cost, in nano-dollars."""
        return self.cost.total + self.check_cost

    @property
    def deliverable(self) -> bool:
        """Is there a whole reply that could still be sent?"""
        return self.reply is not None and self.failure is None and not self.left


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended: what was served (None when nothing was), and everything tried."""

    attempts: tuple[Attempt, ...] = ()
    served: Attempt | None = None
    degraded: bool = False
    error: GatewayError | None = None
    cancelled: bool = False

    @property
    def escalated(self) -> bool:
        """Was it served from a tier above the first tried?"""
        if self.served is None or self.served.verdict == FALL_DOWN:
            return False
        return self.served.tier.name != self.attempts[0].tier.name

    @property
    def spent(self) -> int:
        """Everything the request cost, in nano-dollars: discarded attempts and checks included."""
        return _spent(self.attempts)


@dataclass(frozen=True, slots=True)
class Call:
    """Call this tier; `bare` means once more, without any addition of ours."""

    tier: Tier
    bare: bool = False


@dataclass(frozen=True, slots=True)
class Consult:
    """Put these checks to the last attempt's reply."""

    checks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Deliver:
    """Send (or finish sending) this attempt's reply."""

    attempt: Attempt
    degraded: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Tell the client that it did not work."""

    error: GatewayError


Step = Call | Consult | Deliver | GiveUp


def next_step(plan: Plan, attempts: tuple[Attempt, ...], elapsed: float) -> Step:
    """Decide what to do next, `elapsed` seconds into the request.

    The rules are numbered as in docs/map.md; each call returns one step, and at most
    two calls per tier plus its checks are ever made.
    """
    if not attempts:  # 1: nothing tried
        if elapsed >= plan.deadline:
            return GiveUp(DeadlineExceeded("The request's deadline passed before any call."))
        return Call(plan.tiers[0])
    last = attempts[-1]
    if last.failure is None:
        step = _after_reply(plan, attempts, elapsed)
    elif last.released:  # 4: no second chance after release
        step = GiveUp(StreamBroken(f"The reply broke off: {last.failure.message}"))
    else:
        step = _after_rejection(plan, attempts, elapsed)
    return step or _onward(plan, attempts, elapsed)


def _after_reply(plan: Plan, attempts: tuple[Attempt, ...], elapsed: float) -> Step | None:
    last = attempts[-1]
    if wanted := _wanted_checks(plan, attempts, elapsed):  # 2: more evidence
        return Consult(wanted)
    if last.released or (last.verdict is not None and last.verdict.accepted):  # 3: accepted
        return Deliver(last, degraded=last.tier in plan.below)
    return None


def _after_rejection(plan: Plan, attempts: tuple[Attempt, ...], elapsed: float) -> Step | None:
    """5: an upstream calls it the client's fault; what we had added may be to blame instead."""
    last = attempts[-1]
    if not isinstance(last.failure, UpstreamRejected):
        return None
    if last.altered and not last.bare and elapsed < plan.deadline:
        return Call(last.tier, bare=True)
    if _may_fall_through(plan, last.tier, last.failure):
        return None
    best = best_deferred(attempts)  # a lower tier could answer what this one refuses
    return Deliver(best, degraded=True) if best else GiveUp(last.failure)


def may_escalate(plan: Plan, attempts: tuple[Attempt, ...], tier: Tier, elapsed: float) -> bool:
    """Could a deferral at `tier`, now, lead to a call of the tier over it?"""
    above = plan.above(tier)
    return above is not None and affordable(plan, attempts, above, elapsed)


def affordable(plan: Plan, attempts: tuple[Attempt, ...], tier: Tier, elapsed: float) -> bool:
    """Do deadline and dollar ceiling allow one more call, at `tier`?"""
    if elapsed >= plan.deadline:
        return False
    if plan.ceiling is None:
        return True
    return _spent(attempts) + plan.expected.get(tier.name, 0) <= plan.ceiling


def _onward(plan: Plan, attempts: tuple[Attempt, ...], elapsed: float) -> Step:
    last = attempts[-1]
    if may_escalate(plan, attempts, last.tier, elapsed):  # 6: the next tier
        above = plan.above(last.tier)
        if above is not None:
            return Call(above)
    if best := best_deferred(attempts):  # 7: the best deferred reply ...
        return Deliver(best, degraded=True)
    tried = {attempt.tier.name for attempt in attempts}
    for tier in plan.below:  # ... or a lower tier not yet tried
        if tier.name not in tried and affordable(plan, attempts, tier, elapsed):
            return Call(tier)
    failures = [(a.tier.name, a.failure) for a in attempts if a.failure is not None]
    return GiveUp(Exhausted(failures))  # 8: nothing at all


def best_deferred(attempts: tuple[Attempt, ...]) -> Attempt | None:
    """Return the best whole reply among those deferred: an unbroken one first, then the
    strongest tier's."""
    whole = [attempt for attempt in reversed(attempts) if attempt.deliverable]
    sound = (a for a in whole if a.verdict is None or not a.verdict.broken)
    return next(sound, whole[0] if whole else None)


def _wanted_checks(plan: Plan, attempts: tuple[Attempt, ...], elapsed: float) -> tuple[str, ...]:
    """Return every free check not yet put to the last reply, or else the next paid one."""
    last = attempts[-1]
    if last.reply is None or last.left:
        return ()
    known = {item.check for item in last.evidence}
    open_specs = [spec for spec in last.tier.bar.checks if spec.name not in known]
    free = tuple(spec.name for spec in open_specs if spec.cost == 0)
    if free or not open_specs or last.released or not plan.judges(last.tier):
        return free
    if elapsed >= plan.deadline or (last.verdict is not None and not last.verdict.accepted):
        return ()
    paid = min(open_specs, key=lambda spec: spec.cost)
    fits = plan.ceiling is None or _spent(attempts) + paid.cost <= plan.ceiling
    return (paid.name,) if fits else ()


def _may_fall_through(plan: Plan, tier: Tier, failure: UpstreamRejected) -> bool:
    if not failure.falls_through:
        return False
    above = plan.above(tier)
    if above is None:
        return False
    if not isinstance(failure, ContextTooLong):
        return True
    return tier.context is None or above.context is None or above.context > tier.context


def _spent(attempts: tuple[Attempt, ...]) -> int:
    return sum(attempt.spent for attempt in attempts)
