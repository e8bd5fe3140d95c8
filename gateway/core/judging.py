"""From an attempt's evidence to its verdict, by the plan that it was made under."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.outcome import Attempt, change_attempt
from gateway.core.plan import Plan, Tier
from gateway.core.verdict import FALL_DOWN, LAST_TIER, Evidence, Verdict, judge, still_open


def weigh(plan: Plan, tier: Tier, evidence: Sequence[Evidence], *, whole: bool = True) -> Verdict:
    """Weigh the evidence on a reply of `tier`, or of a draft's prefix, with what is known of that
    tier and the next."""
    own_good = plan.p_good.get(tier.name)
    return judge(tier.bar, evidence, plan.next_good(tier), own_good, whole=whole)


def judged(plan: Plan, attempt: Attempt, evidence: tuple[Evidence, ...] | None = None) -> Attempt:
    """Give an attempt the verdict its evidence allows (`evidence` is what it has from now on): a
    late one when it was released, none while a free check has not been put."""
    tier, verdict, late = attempt.tier, attempt.verdict, attempt.late
    evidence = attempt.evidence if evidence is None else evidence
    if attempt.reply is not None and attempt.failure is None and not attempt.left:
        if (own := unheld(plan, tier)) is not None:
            verdict = own
        elif _is_answered(tier, evidence):
            weighed = weigh(plan, tier, evidence)
            verdict, late = (verdict, weighed) if attempt.released else (weighed, late)
    if verdict is attempt.verdict and late is attempt.late and evidence is attempt.evidence:
        return attempt
    return change_attempt(attempt, evidence=evidence, verdict=verdict, late=late)


def unheld(plan: Plan, tier: Tier) -> Verdict | None:
    """Return the verdict of a whole reply that is not held to its bar, None where one is."""
    if plan.judges(tier):
        return None
    return FALL_DOWN if plan.falls_to(tier) else LAST_TIER


def is_answered(attempt: Attempt) -> bool:
    """Has every free check of its bar been put to it?"""
    return _is_answered(attempt.tier, attempt.evidence)


def _is_answered(tier: Tier, evidence: Sequence[Evidence]) -> bool:
    return not still_open(tier.bar.free, evidence)
