"""Run a policy over recorded pairs with the gateway's own `next_step`: nothing is decided here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from gateway.core.cascade import Call, Consult, Deliver, GiveUp, next_step
from gateway.core.chat import Choice, Reply
from gateway.core.difficulty import start_index
from gateway.core.judging import judged
from gateway.core.money import Cost, nano
from gateway.core.outcome import Attempt, CallRecord, Outcome
from gateway.core.plan import Plan, Tier
from gateway.core.verdict import ABSTAIN, Bar, CheckSpec, Evidence, Finding
from router_models.cascade.curves import Front
from router_models.cascade.fit import Priors
from router_models.cascade.pairs import Pairs
from router_models.cascade.policy import Policy
from router_models.difficulty.metrics import Array, resampled, summary

SMALL: Final = Tier("small", "recorded", "weak")
LARGE: Final = Tier("large", "recorded", "strong")
_NOTHING: Final = 1e-9
_REPLY: Final = Reply((Choice("", finish="stop"),))


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """What a policy did with N requests, (N,) each: `up` started large, `escalated` was deferred,
    `quality` 0..1 of what was served, `cost` USD with discarded drafts and checks. `reasons` counts
    the verdicts on what was served."""

    up: Array
    escalated: Array
    quality: Array
    cost: Array
    reasons: Mapping[str, int] = field(default_factory=dict)


def bar_of(policy: Policy, pairs: Pairs, checks: tuple[str, ...] | None = None) -> Bar:
    """Return the bar that a policy holds the weak tier to; by default its combiner's checks."""
    combiner = policy.combiner
    named = (*combiner.free, *combiner.paid) if combiner and checks is None else checks or ()
    specs = tuple(CheckSpec(check, _price(pairs, check)) for check in named)
    return Bar(policy.accept, policy.min_gain, specs, combiner=combiner)


def _price(pairs: Pairs, check: str) -> int:
    """A check's expected price in nano-dollars; a paid one is never free."""
    prices = pairs.prices.get(check)
    return 0 if prices is None else max(nano(round(float(prices.mean()), 12)), 1)


def replay(threshold: float, bar: Bar, pairs: Pairs, priors: Priors) -> Replayed:
    """Let the gateway's policy decide every row, from what was recorded of it."""
    small = replace(SMALL, bar=bar)
    outcomes = [_one(row, threshold, small, pairs, priors) for row in range(len(pairs))]
    served = [each.served for each in outcomes]
    large = np.array([each is not None and each.tier is LARGE for each in served])
    up = np.array([each.attempts[0].tier is LARGE for each in outcomes])
    verdicts = (each.verdict for each in served if each is not None and each.verdict is not None)
    return Replayed(
        up.astype(float),
        (large & ~up).astype(float),
        np.where(large, pairs.strong, pairs.weak),
        np.array([each.spent for each in outcomes]) / 1e9,
        Counter(verdict.reason for verdict in verdicts),
    )


def _one(row: int, threshold: float, small: Tier, pairs: Pairs, priors: Priors) -> Outcome:
    tiers = (small, LARGE)[start_index(float(priors.difficulty[row]), (threshold,)) :]
    known = {"small": float(priors.own[row]), "large": float(priors.next[row])}
    plan = Plan(tiers, p_good={name: p for name, p in known.items() if not np.isnan(p)})
    attempts: tuple[Attempt, ...] = ()
    while True:
        match next_step(plan, attempts, 0.0):
            case Call(tier):
                cost = (pairs.strong_cost if tier is LARGE else pairs.weak_cost)[row]
                attempts = (*attempts, judged(plan, _called(tier, float(cost))))
            case Consult(checks):
                found = tuple(_found(check, row, pairs) for check in checks)
                last = attempts[-1]
                asked = replace(last, evidence=(*last.evidence, *found))
                attempts = (*attempts[:-1], judged(plan, asked))
            case Deliver(attempt, degraded):
                return Outcome(attempts, attempt, degraded)
            case GiveUp(error):
                return Outcome(attempts, error=error)


def _called(tier: Tier, cost: float) -> Attempt:
    spent = Cost(output=nano(cost))
    record = CallRecord("", tier.name, tier.upstream, tier.model, 0.0, 0.0, "ok", cost=spent)
    return Attempt(tier, (record,), _REPLY)


def _found(check: str, row: int, pairs: Pairs) -> Evidence:
    """What a check said of a row, and what it cost."""
    said = float(pairs.said[check][row])
    finding = ABSTAIN if np.isnan(said) else Finding("pass", confidence=said)
    prices = pairs.prices.get(check)
    return Evidence(check, finding, cost=0 if prices is None else nano(float(prices[row])))


def told(played: Replayed, pairs: Pairs, resamples: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Say what came of it, with 95 % intervals: JSON."""
    weights = resampled(np.arange(len(pairs), dtype=np.int64), resamples, seed)
    size = weights.sum(axis=1)

    def mean(values: Array) -> Array:
        return np.asarray(weights @ values / size)

    strong = weights @ pairs.strong_cost
    saved = 1 - weights @ played.cost / strong
    blind = _blind_costs(pairs, weights, mean(played.quality))
    beyond = summary(blind - (1 - saved))
    return {
        "rows": len(pairs),
        "started_large": summary(mean(played.up)),
        "escalated": summary(mean(played.escalated)),
        "success": summary(mean(played.quality)),
        "success_large": summary(mean(pairs.strong)),
        "success_small": summary(mean(pairs.weak)),
        "cost_usd": float(played.cost.sum()),
        "cost_large_usd": float(pairs.strong_cost.sum()),
        "saved": summary(saved),
        "beyond_blind": beyond,
        "reasons": dict(played.reasons),
        "pays": bool(
            isinstance(beyond["low"], float) and beyond["low"] > _NOTHING and saved[0] > 0
        ),
    }


def _blind_costs(pairs: Pairs, weights: Array, quality: Array) -> Array:
    """What a blind mix of both tiers of this quality costs, as a part of the strong tier."""
    tiers = Front([], [], pairs)
    strong = weights @ pairs.strong / weights.sum(axis=1)
    return np.array(
        [
            float(tiers.cost_at(min(reached / best, 1.0), row[None])[0])
            for reached, best, row in zip(quality, strong, weights, strict=True)
        ]
    )
