"""The waterfall itself: given what has been tried, what happens next?

`next_step` is a pure function of the plan, the attempts so far and a reading of the clock. The
engine obeys it for plain and streamed replies alike, and a replay of the ledger obeys it too.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.combine import Combiner
from gateway.core.errors import (
    ContextTooLong,
    DeadlineExceeded,
    Exhausted,
    StreamBroken,
    UpstreamRejected,
)
from gateway.core.outcome import Attempt, CallRecord, Outcome, spent
from gateway.core.plan import Hold, Plan, StartReason, Tier
from gateway.core.steps import Call, Consult, Deliver, GiveUp, Race, Step
from gateway.core.verdict import CheckSpec, Evidence, Verdict, still_open

REPAIRABLE = ("schema_invalid", "tool_error")
"""Reasons of a verdict that are about a reply's form."""

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
    "Race",
    "StartReason",
    "Step",
    "Tier",
    "affordable",
    "best_deferred",
    "early_checks",
    "is_repair",
    "may_escalate",
    "next_step",
    "worth_buying",
]


def next_step(plan: Plan, attempts: tuple[Attempt, ...], elapsed: float) -> Step:
    """Decide what to do next, `elapsed` seconds into the request.

    The rules are numbered as in docs/map.md; each call returns one step, and at most
    two calls per tier, one repair, its checks and its race are ever made. What was outrun decides
    nothing.
    """
    if len(attempts) > 1:
        attempts = tuple(sorted(attempts, key=lambda each: not each.outrun))
    if not attempts or attempts[-1].outrun:  # 1: nothing tried
        if elapsed >= plan.deadline:
            return GiveUp(DeadlineExceeded("The request's deadline passed before any call."))
        return _call(plan, (), plan.tiers[0], elapsed)
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
        return wanted
    if last.released or (last.verdict is not None and last.verdict.accepted):  # 3: accepted
        return Deliver(last, plan.falls_to(last.tier) or last.barred)
    return None


def _after_rejection(plan: Plan, attempts: tuple[Attempt, ...], elapsed: float) -> Step | None:
    """5: an upstream calls it the client's fault; what we had added may be to blame instead."""
    last = attempts[-1]
    if not isinstance(last.failure, UpstreamRejected) or is_repair(attempts):
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
    if _mendable(plan, attempts) and affordable(plan, attempts, last.tier, elapsed):
        return Call(last.tier, repair=True)  # 6: what only has the wrong form, once more
    above = plan.above(last.tier)
    if above is not None and affordable(plan, attempts, above, elapsed):  # 6: the next tier
        return _call(plan, attempts, above, elapsed)
    if best := best_deferred(attempts):  # 7: the best deferred reply ...
        return Deliver(best, degraded=True)
    tries = [attempt for attempt in attempts if not attempt.outrun]
    tried = {attempt.tier.name for attempt in tries}
    for tier in plan.below:  # ... or a lower tier not yet tried
        if tier.name not in tried and affordable(plan, attempts, tier, elapsed):
            return _call(plan, attempts, tier, elapsed)
    failures = [(a.tier.name, a.failure) for a in tries if a.failure is not None]
    if not failures:  # 8: a draft was left for the next tier, and then its time was up
        return GiveUp(DeadlineExceeded("The request's deadline passed between two calls."))
    return GiveUp(Exhausted(failures))  # 8: nothing at all


def _call(plan: Plan, attempts: tuple[Attempt, ...], tier: Tier, elapsed: float) -> Call:
    """Call a tier, with a race where the plan or the tier asks for one that can be paid."""
    race = _race(plan, attempts, tier)
    if race is None:
        return Call(tier)
    own = plan.expected.get(tier.name, 0)
    return Call(tier, race=race if affordable(plan, attempts, race.tier, elapsed, own) else None)


def _race(plan: Plan, attempts: tuple[Attempt, ...], tier: Tier) -> Race | None:
    above, hedge = plan.above(tier), tier.hedge
    if above is not None and not attempts and plan.speculate is not None:
        return Race(above, plan.speculate, "verdict")
    rival = tier if hedge is not None and hedge.to == "same" else above
    return Race(rival, hedge.after, "first_token") if hedge and rival else None


def _committed(plan: Plan, attempts: tuple[Attempt, ...]) -> int:
    """What was spent; what was started beside the first draft counts as expected, not as known,
    since it may still be running."""
    tries = [attempt for attempt in attempts if not attempt.outrun]
    race = _call(plan, (), tries[0].tier, 0.0).race if len(tries) == 1 else None
    if race is None or race.by != "verdict":
        return spent(attempts)
    return spent(tries) + plan.expected.get(race.tier.name, 0)


def best_deferred(attempts: tuple[Attempt, ...]) -> Attempt | None:
    """Return the best whole reply among those deferred: an unbroken one first, then the
    strongest tier's."""
    whole = [attempt for attempt in reversed(attempts) if attempt.deliverable]
    sound = (a for a in whole if a.verdict is None or not a.verdict.broken)
    return next(sound, whole[0] if whole else None)


def is_repair(attempts: tuple[Attempt, ...]) -> bool:
    """Was the last attempt a repair? Only that, and what outran a hedged call, is made at the tier
    of an attempt before it."""
    before = (attempt for attempt in attempts[:-1] if not attempt.outrun)
    return any(attempt.tier.name == attempts[-1].tier.name for attempt in before)


def _mendable(plan: Plan, attempts: tuple[Attempt, ...]) -> bool:
    """Has the last reply the wrong form, and nothing else known against it?"""
    last = attempts[-1]
    if not last.tier.bar.repair or not plan.judges(last.tier) or is_repair(attempts):
        return False
    if plan.choices != 1 or not last.deliverable:
        return False
    return last.verdict is not None and last.verdict.reason in REPAIRABLE


def early_checks(
    plan: Plan, attempts: tuple[Attempt, ...], tier: Tier, *, stream: bool
) -> tuple[str, ...]:
    """Return the checks to start with a draft of `tier`: those that are to run beside it, where
    its reply will be held whole and the ceiling has room for both."""
    if not plan.judges(tier) or (stream and plan.hold(tier).policy != "reply"):
        return ()
    wanted = [spec for spec in tier.bar.checks if spec.concurrent]
    if not wanted:
        return ()
    race = _race(plan, attempts, tier)
    begun = (tier, race.tier) if race else (tier,)
    return _within(
        plan, attempts, tier, wanted, sum(plan.expected.get(each.name, 0) for each in begun)
    )


def _wanted_checks(plan: Plan, attempts: tuple[Attempt, ...], elapsed: float) -> Consult | None:
    """Return every free check not yet put to the last reply, or else the next one that is not (or
    all of those, where the bar says so)."""
    last = attempts[-1]
    if last.reply is None or last.left:
        return None
    bar = last.tier.bar
    if free := still_open(bar.free, last.evidence):
        return Consult(free)
    if not bar.paid or last.released or not plan.judges(last.tier):
        return None
    paid = worth_buying(plan, last.tier, last.evidence, last.verdict)
    if not paid:
        return None
    everything = tuple(spec.name for spec in bar.checks if spec in paid)
    if elapsed >= plan.deadline:
        return Consult(everything, "deadline")
    fitting = _within(plan, attempts, last.tier, paid)
    if not fitting:
        return Consult(everything, "budget")
    return Consult(fitting if bar.at_once else fitting[:1])


def worth_buying(
    plan: Plan, tier: Tier, evidence: Sequence[Evidence], verdict: Verdict | None
) -> tuple[CheckSpec, ...]:
    """Return the checks of a reply of `tier` that are not free, not yet put, and of use after the
    verdict so far; cheapest first.

    Without a combiner that is while the reply would be accepted: one that is lost stays lost. A
    combiner buys those that it knows in its own order, each within its band, and what it says is
    provisional until then.
    """
    bar, known = tier.bar, {item.check for item in evidence}
    unasked = [spec for spec in bar.paid if spec.name not in known]
    paid = tuple(sorted(unasked, key=lambda spec: plan.check_cost(tier, spec)))
    combiner = bar.combiner
    if verdict is None or combiner is None or _is_lost(combiner, evidence):
        return paid if verdict is None or verdict.accepted else ()
    turns = [spec for name in combiner.paid for spec in paid if spec.name == name]
    if turns and combiner.pays(turns[0].name, verdict.confidence):
        return (turns[0],)
    return tuple(s for s in paid if s not in turns) if verdict.accepted else ()


def _within(
    plan: Plan,
    attempts: tuple[Attempt, ...],
    tier: Tier,
    specs: Sequence[CheckSpec],
    reserved: int = 0,
) -> tuple[str, ...]:
    """Return those checks, cheapest first, that fit the ceiling together."""
    total, fitting = _committed(plan, attempts) + reserved, []
    for spec in sorted(specs, key=lambda spec: plan.check_cost(tier, spec)):
        total += plan.check_cost(tier, spec)
        if plan.ceiling is None or total <= plan.ceiling:
            fitting.append(spec.name)
    return tuple(fitting)


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
