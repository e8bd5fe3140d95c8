"""What a plan may come to, before any of it has: what is put aside of a budget for it."""

from __future__ import annotations

from dataclasses import replace

from gateway.core.plan import Plan


def reserve_of(plan: Plan) -> tuple[int, int]:
    """What to put aside for a plan, in nano-dollars: the least it takes to answer at all, and what
    it comes to where every tier and every check is needed, or the plan's ceiling."""
    usable = (*plan.tiers, *plan.below)
    least = min(plan.expected[tier.name] for tier in usable)
    most = sum(plan.expected[tier.name] for tier in plan.tiers) + sum(
        plan.check_cost(tier, spec)
        for tier in plan.tiers
        if plan.judges(tier)
        for spec in tier.bar.checks
    )
    if plan.ceiling is not None:
        most = min(most, plan.ceiling)
    return least, max(least, most)


def downgraded(plan: Plan) -> Plan:
    """Leave of a plan its lowest tier alone."""
    lowest = plan.below[-1] if plan.below else plan.tiers[0]
    return replace(plan, tiers=(lowest,), below=(), reason="budget", speculate=None)
