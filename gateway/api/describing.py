"""What a dry run says: what would happen to a request, and why."""

from __future__ import annotations

from gateway.core.money import dollars
from gateway.core.plan import Tier
from gateway.engine import Job


def describe(job: Job) -> dict[str, object]:
    """Say what would happen to a request, and why; calls no model. Where a scorer would have to be
    asked first, `asks` names it, and the rest is what its base says."""
    plan, difficulty, signals = job.plan, job.difficulty, job.signals
    return {
        "object": "waterfall.plan",
        "route": job.route.name,
        "mode": job.mode,
        "difficulty": difficulty.value if difficulty else None,
        "gain": difficulty.gain if difficulty else None,
        "scorer": difficulty.scorer if difficulty else None,
        "asks": job.undecided.assessor.label if job.undecided else None,
        "threshold": job.threshold,
        "start": {"tier": plan.tiers[0].name, "reason": plan.reason},
        "tiers": [_described(job, tier) for tier in plan.tiers],
        "fall_down": [tier.name for tier in plan.below],
        "speculate_after_seconds": plan.speculate,
        "deadline_seconds": plan.deadline,
        "max_cost_usd": None if plan.ceiling is None else dollars(plan.ceiling),
        "signals": {
            "prompt_tokens": signals.prompt_tokens,
            "turns": signals.turns,
            "tools": signals.tools,
            "images": signals.images,
            "wants_json": signals.wants_json,
        },
    }


def _described(job: Job, tier: Tier) -> dict[str, object]:
    plan = job.plan
    return {
        "tier": tier.name,
        "model": tier.model,
        "expected_cost_usd": dollars(plan.expected[tier.name]),
        "p_good": plan.p_good.get(tier.name),
        "judged": plan.judges(tier),
        "accept": tier.bar.accept if plan.judges(tier) else None,
        "recipe": tier.recipe.label if tier.recipe else None,
    }
