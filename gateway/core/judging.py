"""From an attempt's evidence to its verdict, by the plan that it was made under."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.outcome import Attempt
from gateway.core.plan import Plan, Tier
from gateway.core.quick import changed
from gateway.core.verdict import FALL_DOWN, LAST_TIER, Evidence, Verdict, judge, still_open


def weigh(plan: Plan, tier: Tier, evidence: Sequence[Evidence], *, whole: bool = True) -> Verdict:
    """Weigh the evidence on a reply of `tier`, or of a draft's prefix, with what is known of that
    tier and the next."""
    own_good = plan.p_good.get(tier.name)
    return judge(tier.bar, evidence, plan.next_good(tier), own_good, whole=whole)


def judged(plan: Plan, attempt: Attempt) -> Attempt:
    """Give an attempt the verdict its evidence allows: a late one when it was released, none while
    a free check has not been put."""
    tier = attempt.tier
    if attempt.reply is None or attempt.failure is not None or attempt.left:
        return attempt
    if not plan.judges(tier):
        verdict = FALL_DOWN if plan.falls_to(tier) else LAST_TIER
        return attempt if attempt.verdict is verdict else changed(attempt, verdict=verdict)
    if not is_answered(attempt):
        return attempt
    verdict = weigh(plan, tier, attempt.evidence)
    if attempt.released:
        return changed(attempt, late=verdict)
    return changed(attempt, verdict=verdict)


def is_answered(attempt: Attempt) -> bool:
    """Has every free check of its bar been put to it?"""
    return not still_open(attempt.tier.bar.free, attempt.evidence)
