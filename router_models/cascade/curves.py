"""How good policies are on recorded outcomes, checks and discarded drafts charged.

All for many resamples at once: W is (B, N), how often each resample drew a row, the first all 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from router_models.cascade.pairs import Pairs
from router_models.difficulty.metrics import Array, calibration_error


def priced_apgr(
    value: Array, checks: Array, pairs: Pairs, weights: Array, *, drafts: bool = False
) -> Array:
    """Area under the recovered share of the gap, over the money that goes into recovering it.

    As APGR (docs/scorer.md) with cost on the axis and not the share sent up: 1 is what the strong
    tier costs for all. Every request is charged its `checks`, USD, (N,), and one that goes up the
    strong call; highest `value` first. With `drafts` the weak calls of what goes up, thrown away,
    are charged too: 1 is then the strong tier alone, instead of the weak one. (B,)
    """
    order = np.argsort(-value, kind="stable")
    ranked, drawn = value[order], weights[:, order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))

    def sums(each: Array) -> Array:
        return np.asarray(np.cumsum(drawn * each[order], axis=1)[:, ends])

    gained, spent = sums(pairs.strong - pairs.weak), sums(pairs.strong_cost)
    gap = gained[:, -1:]
    dear = spent[:, -1] - (weights @ pairs.weak_cost if drafts else 0.0)
    begun = weights @ checks
    areas = [
        _area(np.append(0.0, spends), np.append(0.0, gains), start, whole)
        for spends, gains, start, whole in zip(
            spent, gained / np.where(gap > 0, gap, np.nan), begun, dear, strict=True
        )
    ]
    return np.array(areas)


def _area(spent: Array, recovered: Array, begun: float, whole: float) -> float:
    """Nothing is recovered until the checks are paid; what costs over all-strong is cut off."""
    if not whole > 0:
        return float("nan")
    places = (spent + begun) / whole
    grid = np.concatenate([[0.0], places[places < 1], [1.0]])
    heights = np.interp(grid, places, recovered, left=0.0)
    return float(np.trapezoid(heights, grid))


class Front:
    """What a family of policies reached on rows that it was not fitted to: for each of its K points
    the quality and cost of every row, (K, N)."""

    def __init__(self, qualities: Sequence[Array], costs: Sequence[Array], pairs: Pairs) -> None:
        """Both tiers alone are points of every family."""
        self._qualities = np.array([*qualities, pairs.weak, pairs.strong])
        self._costs = np.array([*costs, pairs.weak_cost, pairs.strong_cost])

    def cost_at(self, target: float, weights: Array) -> Array:
        """The least cost, as a part of the strong tier's alone, of a quality of `target` times the
        strong tier's; policies may be mixed by lot. (B,)"""
        size = weights.sum(axis=1)
        quality = weights @ self._qualities.T / size[:, None]
        cost = weights @ self._costs.T / size[:, None]
        wanted = target * quality[:, -1]
        return np.array(
            [_mixed(q, c, at) / c[-1] for q, c, at in zip(quality, cost, wanted, strict=True)]
        )


def _mixed(quality: Array, cost: Array, wanted: float) -> float:
    """The least cost of a mix of two points that has this quality."""
    enough = quality >= wanted - 1e-12
    least = float(cost[enough].min())
    low, high = np.flatnonzero(~enough), np.flatnonzero(enough)
    if not len(low):
        return least
    part = (wanted - quality[low][:, None]) / (quality[high][None] - quality[low][:, None])
    mixes = cost[low][:, None] + part * (cost[high][None] - cost[low][:, None])
    return min(least, float(mixes.min()))


def error_by_chance(chances: Array, draws: int = 100, seed: int = 0) -> float:
    """Return what calibration error (N,) probabilities show that are exactly right: gaps within a
    bin are absolute, so that few rows show some whatever is promised."""
    random = np.random.default_rng(seed)
    drawn = (random.random((draws, len(chances))) < chances).astype(float)
    return float(np.mean([calibration_error(chances, outcomes) for outcomes in drawn]))
