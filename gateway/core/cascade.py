"""The waterfall itself: given what has been tried, what happens next?

`next_step` is a pure function of the plan, the attempts so far and a reading of the clock. The
engine obeys it for plain and streamed replies alike, and a replay of the ledger obeys it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.core.combine import Combiner
from gateway.core.errors import (
    ContextTooLong,
    DeadlineExceeded,
    Exhausted,
    GatewayError,
    StreamBroken,
    UpstreamRejected,
)
from gateway.core.outcome import Attempt, CallRecord, Outcome, spent
from gateway.core.plan import Hold, Plan, StartReason, Tier
from gateway.core.verdict import Bar, CheckSpec, Evidence, Verdict

__all__ = [
    "Attempt",
    "Call",
    "CallRecord",
    "Consult",
    "Deliver",
    "GiveUp",
    "Hold",
    "Outcome",
    "Plan",
    "StartReason",
    "Step",
    "Tier",
    "affordable",
    "best_deferred",
    "may_escalate",
    "next_step",
    "worth_buying",
]


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
    may_go_up = may_escalate(plan, attempts, last.tier, elapsed)
    if may_go_up and _may_fall_through(plan, last.tier, last.failure):
        return None
    best = best_deferred(attempts)  # a lower tier could answer what this one refuses
    return Deliver(best, degraded=True) if best else GiveUp(last.failure)


def may_escalate(
    plan: Plan, attempts: tuple[Attempt, ...], tier: Tier, elapsed: float, drafted: int = 0
) -> bool:
    """Could a deferral at `tier`, now, lead to a call of the tier over it?

    `drafted` is the cost so far, in nano-dollars, of a draft that is no attempt yet.
    """
    above = plan.above(tier)
    return above is not None and affordable(plan, attempts, above, elapsed, drafted)


def affordable(
    plan: Plan, attempts: tuple[Attempt, ...], tier: Tier, elapsed: float, drafted: int = 0
) -> bool:
    """Do deadline and dollar ceiling allow one more call, at `tier`?"""
    if elapsed >= plan.deadline:
        return False
    if plan.ceiling is None:
        return True
    return spent(attempts) + drafted + plan.expected.get(tier.name, 0) <= plan.ceiling


def _onward(plan: Plan, attempts: tuple[Attempt, ...], elapsed: float) -> Step:
    last = attempts[-1]
    above = plan.above(last.tier)
    if above is not None and affordable(plan, attempts, above, elapsed):  # 6: the next tier
        return Call(above)
    if best := best_deferred(attempts):  # 7: the best deferred reply ...
        return Deliver(best, degraded=True)
    tried = {attempt.tier.name for attempt in attempts}
    for tier in plan.below:  # ... or a lower tier not yet tried
        if tier.name not in tried and affordable(plan, attempts, tier, elapsed):
            return Call(tier)
    failures = [(a.tier.name, a.failure) for a in attempts if a.failure is not None]
    if not failures:  # 8: a draft was left for the next tier, and then its time was up
        return GiveUp(DeadlineExceeded("The request's deadline passed between two calls."))
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
    bar = last.tier.bar
    free = tuple(spec.name for spec in bar.checks if spec.cost == 0 and spec.name not in known)
    if free or last.released or not plan.judges(last.tier) or elapsed >= plan.deadline:
        return free
    paid = worth_buying(bar, last.evidence, last.verdict)
    fits = plan.ceiling is None or (paid and spent(attempts) + paid.cost <= plan.ceiling)
    return (paid.name,) if paid and fits else ()


def worth_buying(
    bar: Bar, evidence: Sequence[Evidence], verdict: Verdict | None
) -> CheckSpec | None:
    """Return the cheapest paid check not yet put, if the verdict so far leaves it a use.

    Without a combiner that is while the reply would be accepted: one that is lost stays lost. A
    combiner has a band for each check that it knows, and what it says is provisional until then.
    """
    known = {item.check for item in evidence}
    open_specs = [spec for spec in bar.checks if spec.cost and spec.name not in known]
    paid = min(open_specs, key=lambda spec: spec.cost, default=None)
    if paid is None or verdict is None:
        return paid
    combiner = bar.combiner
    if combiner is None or not combiner.knows(paid.name) or _is_lost(combiner, evidence):
        return paid if verdict.accepted else None
    return paid if combiner.pays(paid.name, verdict.confidence) else None


def _is_lost(combiner: Combiner, evidence: Sequence[Evidence]) -> bool:
    """Has a check failed that no combiner weighs?"""
    failed = (item for item in evidence if item.finding.result == "fail")
    return any(item.finding.broken or not combiner.knows(item.check) for item in failed)


def _may_fall_through(plan: Plan, tier: Tier, failure: UpstreamRejected) -> bool:
    above = plan.above(tier)
    if above is None or not failure.falls_through:
        return False
    if not isinstance(failure, ContextTooLong):
        return True
    return tier.context is None or above.context is None or above.context > tier.context
