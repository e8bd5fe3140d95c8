"""Choose both thresholds together, and the checks that earn their price, for a target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from router_models.cascade.curves import Front
from router_models.cascade.evaluate import (
    FAMILIES,
    HARDLY,
    PRICES,
    Advance,
    Shown,
    fitted,
    played_by,
    shown,
)
from router_models.cascade.fit import Priors, fit_combiner
from router_models.cascade.ground import Ground
from router_models.cascade.pairs import Pairs
from router_models.cascade.policy import Policy, Trade, weigh
from router_models.difficulty.metrics import Array, calibration_error, resampled, summary

RESAMPLES: Final = 500
CAPS: Final = tuple(np.linspace(0.0, 1.0, 51).tolist())
"""Bars that are tried under the one that was fitted for a price; the first is none."""


@dataclass(frozen=True, slots=True)
class Target:
    """One of: `quality`, a part of the strong tier's; `share` served by the strong tier, at most;
    `cost`, a part of the strong tier's alone, at most."""

    quality: float | None = None
    share: float | None = None
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """What a price of quality came to on questions that its policies were not fitted to: the share
    served by the strong tier, quality and cost as parts of the strong tier's alone."""

    price: float
    share: float
    quality: float
    cost: float
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The policy, fitted to all rows; the point that it stands for, None where none reaches the
    target; the frontier of the joint policies, and of routing alone; and what it all comes to."""

    policy: Policy
    at: Point | None
    points: tuple[Point, ...]
    route: tuple[Point, ...]
    told: dict[str, Any]
    verdict: str

    @property
    def pays(self) -> bool:
        """Is it worth more than one tier alone, or a blind mix of both?"""
        return "not pay:" not in self.verdict and self.policy.kind != "weak"


def choose(
    ground: Ground, target: Target, label: str, min_gain: float, advance: Advance = lambda: None
) -> Chosen:
    """Fit the cheapest policy that meets the target, judged by folds. What is chosen by looking at
    the folds' own figures is no promise: about half of such choices miss the target a little."""
    pairs = ground.pairs
    fits, joint, route = [], [], []
    for price in PRICES:
        fits.append(fitted(ground, "joint", price, min_gain))
        joint.append(shown(ground, fits[-1]))
        route.append(shown(ground, fitted(ground, "route", price)))
        advance()
    points = _points(joint, pairs, PRICES)
    policy, at, seen = Policy(0.0), None, None
    for place in _near(points, target):
        capped = [(cap, shown(ground, fits[place], cap)) for cap in CAPS]
        tried = _points([each for _, each in capped], pairs, [PRICES[place]] * len(CAPS))
        best = _best(tried, target)
        if best is not None and (at is None or _best((at, tried[best]), target) == 1):
            at, seen = tried[best], capped[best][1]
            trade = Trade(PRICES[place] / float(pairs.strong_cost.mean()), min_gain)
            policy = FAMILIES["joint"](pairs, ground.priors, trade, label, {})
            policy = replace(policy, accept=min(policy.accept, capped[best][0]))
    if target.quality is not None and at is not None and at.cost >= 1:
        policy, at, seen = Policy(0.0), None, None  # the strong tier alone meets it for less
    told = _told(ground, policy, seen)
    return Chosen(policy, at, points, _points(route, pairs, PRICES), told, _verdict(policy, told))


def _near(points: Sequence[Point], target: Target) -> list[int]:
    """The places of the points on both sides of the target: what is fitted for a price jumps from
    one to the next, and a lower bar reaches what lies between."""
    best = _best(points, target)
    order = sorted(range(len(points)), key=lambda at: points[at].cost)
    if best is None:
        return order[:1]
    after = order[order.index(best) + 1 :]
    return [best, *after[:1]]


def _points(found: Sequence[Shown], pairs: Pairs, prices: Sequence[float]) -> tuple[Point, ...]:
    strong, dear = float(pairs.strong.mean()), float(pairs.strong_cost.mean())
    return tuple(
        Point(
            price,
            float(each.large.mean()),
            float(each.quality.mean()) / strong,
            float(each.cost.mean()) / dear,
            tuple(sorted(set(each.kinds))),
        )
        for price, each in zip(prices, found, strict=True)
    )


def _best(points: Sequence[Point], target: Target) -> int | None:
    """The place of the cheapest point that meets the target, or of the best one that it allows."""
    meets: Callable[[Point], bool]
    if target.quality is not None:
        wanted = target.quality
        meets, key = (lambda each: each.quality >= wanted), (lambda at: -points[at].cost)
    elif target.share is not None:
        most = target.share
        meets, key = (lambda each: each.share <= most), (lambda at: points[at].quality)
    else:
        most = target.cost or 0.0
        meets, key = (lambda each: each.cost <= most), (lambda at: points[at].quality)
    fit = [at for at, each in enumerate(points) if meets(each)]
    return max(fit, key=key, default=None)


def _told(ground: Ground, policy: Policy, at: Shown | None) -> dict[str, Any]:
    """What the choice is worth on questions not met, with intervals, against a blind mix."""
    pairs = ground.pairs
    weights = resampled(ground.questions, RESAMPLES, 0)
    quality = pairs.strong if at is None else at.quality
    cost = pairs.strong_cost if at is None else at.cost
    strong, dear = weights @ pairs.strong, weights @ pairs.strong_cost
    reached, spent = weights @ quality / strong, weights @ cost / dear
    blind = Front([], [], pairs)
    mixed = np.array(
        [
            float(blind.cost_at(min(each, 1.0), row[None])[0])
            for each, row in zip(reached, weights, strict=True)
        ]
    )
    return {
        "quality": summary(reached),
        "saved": summary(1 - spent),
        "beyond_blind": summary(mixed - spent),
        "calibration_error": _calibration(ground, policy),
    }


def _calibration(ground: Ground, policy: Policy) -> float | None:
    """Of the confidence, on folds: what a policy of these very checks says of questions not met."""
    if policy.combiner is None:
        return None
    own = held_out(ground.pairs.only(*policy.combiner.paid), ground.priors, ground)
    return calibration_error(own, ground.pairs.weak)


def held_out(pairs: Pairs, priors: Priors, ground: Ground) -> Array:
    """P(the weak reply is good) by combiners fitted to other questions, where every check of the
    policy is put; (N,)."""
    own = np.zeros(len(pairs))
    for split in ground.splits:
        combiner = fit_combiner(pairs.take(split.train), priors.take(split.train), "held@1")
        said = weigh(combiner, pairs.take(split.test), priors.take(split.test))
        own[split.test] = said.own[-1]
    return own


def _verdict(policy: Policy, told: dict[str, Any]) -> str:
    shapes = {
        "cascade": "judging the answer pays: start small, and escalate what is not good enough",
        "joint": "both pay: route the hardest up, and judge the answers of the rest",
        "route": "judging the answer does not pay here: route only",
        "strong": "does not pay: nothing cheaper than the strong tier alone meets the target",
        "weak": "the weak tier alone meets the target: nothing else pays",
    }
    beyond = told["beyond_blind"]["low"]
    if policy.kind not in {"cascade", "joint", "route"}:
        return shapes[policy.kind]
    if beyond is None or beyond <= 0:
        return "does not pay: a blind mix of the tiers may well save as much"
    hardly = ". A waterfall hardly helps here: see what a blind mix of the tiers saves"
    return shapes[policy.kind] + (hardly if beyond < HARDLY else "")


def in_use(policy: Policy, pairs: Pairs, priors: Priors) -> dict[str, float]:
    """How much of what starts small each paid check is bought for, in these rows."""
    played = played_by(policy, pairs, priors)
    combiner = policy.combiner
    if combiner is None:
        return {}
    weighed = weigh(combiner, pairs.only(*combiner.paid), priors)
    going, shares = ~played.up, {}
    started = max(int(going.sum()), 1)
    for place, check in enumerate(combiner.paid):
        low, high = combiner.bands.get(check, (0.0, 1.0))
        going = going & (weighed.own[place] >= low) & (weighed.own[place] <= high)
        shares[check] = float(going.sum()) / started
    return shares
