"""The waterfall itself: given what has been tried, what happens next?

`next_step` is a pure function of the plan, the attempts so far and a reading of the clock. The
engine obeys it for plain and streamed replies alike, and a replay of the ledger obeys it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
    "may_escalate",
    "next_step",
]


@dataclass(frozen=True, slots=True)
class Race:
    """Start `tier` too, after so many seconds. What decides is either the first one's verdict
    (what was started beside it is adopted by the next Call, or outrun), or whose first token is
    here first; a plain reply has none to go by, and is not raced to it."""

    tier: Tier
    after: float
    by: Literal["verdict", "first_token"]


@dataclass(frozen=True, slots=True)
class Call:
    """Call this tier; `bare` means once more, without any addition of ours."""

    tier: Tier
    bare: bool = False
    race: Race | None = None


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
    two calls per tier plus its checks and its race are ever made. What was outrun decides nothing.
    """
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
    fits = plan.ceiling is None or _committed(plan, attempts) + paid.cost <= plan.ceiling
    return (paid.name,) if fits else ()


def _may_fall_through(plan: Plan, tier: Tier, failure: UpstreamRejected) -> bool:
    above = plan.above(tier)
    if above is None or not failure.falls_through:
        return False
    if not isinstance(failure, ContextTooLong):
        return True
    return tier.context is None or above.context is None or above.context > tier.context
