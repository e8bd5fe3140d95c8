"""Attempts as the playbook's rows need them, and steps as words."""

from __future__ import annotations

from gateway.core.cascade import Call, Consult, Deliver, next_step
from gateway.core.chat import Choice, Reply
from gateway.core.money import Cost, Price
from gateway.core.outcome import Attempt, CallRecord
from gateway.core.plan import Plan, Tier
from gateway.core.verdict import (
    FALL_DOWN,
    LAST_TIER,
    PASS,
    TRUSTED,
    Bar,
    CheckSpec,
    Evidence,
    Verdict,
)

FREE_BAR = Bar(checks=(CheckSpec("shape"), CheckSpec("refusal")))
PAID_BAR = Bar(checks=(CheckSpec("panel", 500), CheckSpec("shape"), CheckSpec("judge", 70)))
SMALL = Tier("small", "near", "mini-1", Price(100_000_000, 300_000_000), context=1_000)
MEDIUM = Tier("medium", "near", "midi-1", Price(500_000_000, 1_500_000_000), context=4_000)
LARGE = Tier("large", "far", "maxi-1", Price(5_000_000_000, 15_000_000_000), context=16_000)
TIERS = (SMALL, MEDIUM, LARGE)
EXPECTED = {"small": 100, "medium": 500, "large": 5_000}
WHOLE = Reply((Choice("whole", finish="stop"),))
PREFIX = Reply((Choice("pre"),), complete=False)

GOOD = Verdict(True, "passed", 0.91)
WEAK = Verdict(False, "low_confidence", 0.31)
BROKEN = Verdict(False, "empty", 0.0, broken=True)


def plan(tiers=TIERS, below=(), **more):
    return Plan(tiers, below, expected=EXPECTED, **more)


def paid(tier, cost):
    record = CallRecord(
        "id", tier.name, tier.upstream, tier.model, 0.0, 1.0, "ok", cost=Cost(output=cost)
    )
    return (record,)


def attempt(tier, verdict, cost=0, *, asked=None, reply=WHOLE, **more):
    """One try: every check of its bar was put to it, unless `asked` names others."""
    names = [spec.name for spec in tier.bar.checks] if asked is None else asked
    evidence = tuple(Evidence(name, PASS) for name in names)
    return Attempt(tier, paid(tier, cost), reply, evidence, verdict, **more)


def accepted(tier, cost=0, **more):
    return attempt(tier, GOOD, cost, **more)


def weak(tier, cost=0, **more):
    return attempt(tier, WEAK, cost, **more)


def broken(tier, cost=0, **more):
    return attempt(tier, BROKEN, cost, **more)


def malformed(tier, cost=0, **more):
    verdict = Verdict(False, "schema_invalid", 0.0, broken=True)
    return attempt(tier, verdict, cost, **more)


def left(tier, cost=0):
    return attempt(tier, WEAK, cost, reply=PREFIX, left=True)


def failed(tier, error, cost=0, **more):
    return attempt(tier, None, cost, reply=None, failure=error, **more)


def trusted(tier, **more):
    return attempt(tier, TRUSTED, released=True, **more)


def last(tier, **more):
    return attempt(tier, LAST_TIER, **more)


def fallen(tier, **more):
    return attempt(tier, FALL_DOWN, **more)


def said(step):
    """Say a step in words."""
    match step:
        case Call(tier, bare, repair):
            return f"call {tier.name}" + " bare" * bare + " repair" * repair
        case Consult(checks, barred):
            return f"consult {' '.join(checks)}" + f": {barred}" * bool(barred)
        case Deliver(attempt, degraded):
            return f"deliver {attempt.tier.name}" + " degraded" * degraded
        case _:
            return f"give up: {type(step.error).__name__}"


def step(given, attempts, elapsed=1.0):
    return said(next_step(given, tuple(attempts), elapsed))
