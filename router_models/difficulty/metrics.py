"""How good a ranking and its probabilities are on recorded outcomes, with bootstrap intervals.

A ranking sends its highest share to the strong tier. Rows of equal rank are sent in an unknown
order: what is said of them is the mean over all orders, so that a ranking which says nothing is
exactly random routing. All of it is worked out for many resamples at once, each of them a row of
weights W (how often it drew a row).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from router_models.difficulty.duplicates import Integers

Array = NDArray[np.float64]
BINS: Final = 10
"""Of equal width, in which promised and kept probabilities are compared."""
FIGURES: Final = ("apgr", "cpt50", "cpt80", "save95", "save98", "auroc", "aiq")
"""What is said of a ranking. Shares and savings are 0..1; see docs/scorer.md."""
_GRID: Final = 256
"""Cut points that a hull is made of, about: in each stretch of them the best."""
_BATCH: Final = 64
"""Resamples worked out at once: their sums fit a processor's cache."""
COSTLY: Final = frozenset({"save95", "save98", "aiq"})
"""Those that need every row's costs."""


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """N rows of outcomes: scores 0..1 and USD a request (nan: unknown) of both tiers, (N,)."""

    weak: Array
    strong: Array
    weak_cost: Array
    strong_cost: Array

    def take(self, rows: Integers) -> Recorded:
        """Return some of the rows."""
        parts = (self.weak, self.strong, self.weak_cost, self.strong_cost)
        return Recorded(*(part[rows] for part in parts))

    @property
    def priced(self) -> bool:
        """Are all costs known?"""
        return not bool(np.isnan(self.weak_cost + self.strong_cost).any())


class Curve:
    """A ranking's cut points on recorded outcomes, for each of B resamples.

    `ranking` is (N,), highest first to the strong tier; `weights` is (B, N).
    """

    def __init__(self, ranking: Array, recorded: Recorded, weights: Array) -> None:
        self._order = order = np.argsort(-ranking, kind="stable")
        ranked = ranking[order]
        # A tie is one block: only its end is a cut point that the ranking itself can choose.
        self._ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
        self._weights = weights[:, order]
        self._recorded = recorded.take(order)
        self._sent = self._sums(np.ones(len(order)))
        self._gained = self._sums(self._recorded.strong - self._recorded.weak)
        self._size = self._sent[:, -1]

    def _sums(self, values: Array) -> Array:
        """Sums over what is sent up at each cut point, from none to all: (B, K+1)."""
        sums = np.cumsum(self._weights * values, axis=1)[:, self._ends]
        return np.concatenate([np.zeros((len(sums), 1)), sums], axis=1)

    @cached_property
    def _recovered(self) -> Array:
        total = self._gained[:, -1:]
        return self._gained / np.where(total > 0, total, np.nan)

    def apgr(self) -> Array:
        """Area under the recovered share of the gap between the tiers; random is .5. nan where
        the strong tier is not the better one. (B,)"""
        shares = self._sent / self._size[:, None]
        return np.asarray(np.trapezoid(self._recovered, shares, axis=1))

    def cpt(self, level: float) -> Array:
        """The smallest share sent up that recovers `level` of the gap. (B,)"""
        place, part = self._crossing(self._recovered, level)
        share = _between(self._sent, place, part) / self._size
        return np.where(np.isnan(self._recovered[:, -1]), np.nan, share)

    def save(self, level: float) -> Array:
        """1 - cost / cost of the strong tier alone, where the smallest share goes up whose quality
        is `level` of the strong tier's. nan where the strong tier costs nothing. (B,)"""
        quality, cost = self._quality(), self._cost()
        place, part = self._crossing(quality, level * quality[:, -1])
        with np.errstate(invalid="ignore", divide="ignore"):
            saved = 1 - _between(cost, place, part) / cost[:, -1]
        return np.where(cost[:, -1] > 0, saved, np.nan)

    def auroc(self) -> Array:
        """The chance that a request on which the weak tier fails ranks above one on which it does
        not; a score between 0 and 1 is partly both. nan where it never or always fails. (B,)"""
        failed, good = self._sums(1 - self._recorded.weak), self._sums(self._recorded.weak)
        below = good[:, -1:] - (good[:, 1:] + good[:, :-1]) / 2
        pairs = failed[:, -1] * good[:, -1]
        wins = (np.diff(failed, axis=1) * below).sum(axis=1)
        return np.where(pairs > 0, wins / np.where(pairs > 0, pairs, 1.0), np.nan)

    def aiq(self) -> Array:
        """Mean quality under the non-decreasing hull of the cut points' (cost, quality), over the
        costs from the weak tier's to the strong one's; nan where the strong one's is not the
        higher. (B,)"""
        size = self._size[:, None]
        return np.array(
            list(map(_hull_mean, *_thinned(self._cost() / size, self._quality() / size)))
        )

    def points(self) -> tuple[Array, Array, Array]:
        """Share sent up, mean quality and mean cost (nan: unknown) at each cut point, of the first
        resample. (K+1,) each"""
        size = self._size[0]
        return self._sent[0] / size, self._quality()[0] / size, self._cost()[0] / size

    def _quality(self) -> Array:
        return self._gained + (self._weights @ self._recorded.weak)[:, None]

    def _cost(self) -> Array:
        extra = self._sums(self._recorded.strong_cost - self._recorded.weak_cost)
        return extra + (self._weights @ self._recorded.weak_cost)[:, None]

    def _crossing(self, values: Array, level: float | Array) -> tuple[Integers, Array]:
        """The first cut point to reach a level, and what part of its block it takes to get there,
        in whole requests."""
        levels = np.broadcast_to(level, len(values))
        # Sums in another order differ in the last digits; all sent up reaches all.
        reached = values >= levels[:, None] - 1e-9 * np.abs(levels[:, None])
        reached[:, -1] = True
        place = np.argmax(reached, axis=1)
        rows, before = np.arange(len(values)), np.maximum(place - 1, 0)
        low, high = values[rows, before], values[rows, place]
        part = np.where(high > low, (levels - low) / np.where(high > low, high - low, 1.0), 1.0)
        block = self._sent[rows, place] - self._sent[rows, before]
        whole = np.ceil(np.clip(part, 0, 1) * block - 1e-9)
        return place, np.where(block > 0, whole / np.where(block > 0, block, 1.0), 1.0)


def figures(ranking: Array, recorded: Recorded, weights: Array) -> dict[str, Array]:
    """Work out FIGURES of a ranking (N,) for weights (B, N): each (B,), nan where there is none."""
    parts = [
        _figures(Curve(ranking, recorded, weights[start : start + _BATCH]), priced=recorded.priced)
        for start in range(0, len(weights), _BATCH)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in FIGURES}


def apgr(ranking: Array, recorded: Recorded, weights: Array) -> Array:
    """Work out APGR alone: (B,)."""
    parts = [
        Curve(ranking, recorded, weights[start : start + _BATCH]).apgr()
        for start in range(0, len(weights), _BATCH)
    ]
    return np.concatenate(parts)


def _figures(curve: Curve, *, priced: bool) -> dict[str, Array]:
    areas = curve.apgr()
    unknown = np.full(len(areas), np.nan)
    return {
        "apgr": areas,
        "cpt50": curve.cpt(0.5),
        "cpt80": curve.cpt(0.8),
        "save95": curve.save(0.95) if priced else unknown,
        "save98": curve.save(0.98) if priced else unknown,
        "auroc": curve.auroc(),
        "aiq": curve.aiq() if priced else unknown,
    }


def calibration_errors(chances: Array, outcomes: Array, weights: Array) -> Array:
    """Mean gap between promised and kept in BINS bins, weighted by their rows: (B, H).

    `chances` and `outcomes` are (N, H), `weights` (B, N).
    """
    bins = np.minimum((chances * BINS).astype(int), BINS - 1)
    size = weights.sum(axis=1)
    gaps = [
        np.abs(weights @ ((of_head[:, None] == np.arange(BINS)) * gap[:, None])).sum(axis=1)
        for of_head, gap in zip(bins.T, (chances - outcomes).T, strict=True)
    ]
    errors: Array = np.stack(gaps, axis=1) / size[:, None]
    return errors


def calibration_error(chances: Array, outcomes: Array) -> float:
    """Return the same of one head's (N,) probabilities, each row counted once."""
    once = np.ones((1, len(chances)))
    return float(calibration_errors(chances[:, None], outcomes[:, None], once)[0, 0])


def head_aurocs(chances: Array, outcomes: Array, weights: Array) -> Array:
    """The chance that a good answer was promised more than a bad one, for each tier: (B, H)."""
    unpriced = np.full(len(chances), np.nan)
    heads = []
    for promised, good in zip(chances.T, outcomes.T, strict=True):
        recorded = Recorded(good, good, unpriced, unpriced)
        # Ranked by failing: the least promised first.
        parts = [
            Curve(-promised, recorded, weights[start : start + _BATCH]).auroc()
            for start in range(0, len(weights), _BATCH)
        ]
        heads.append(np.concatenate(parts))
    return np.stack(heads, axis=1)


def resampled(questions: Integers, resamples: int, seed: int) -> Array:
    """Draw questions with replacement: (1 + resamples, N) weights, of which the first is all 1."""
    random = np.random.default_rng(seed)
    numbers = np.unique(questions, return_inverse=True)[1]
    size = int(numbers.max()) + 1
    weights = np.ones((1 + resamples, len(questions)), np.float64)
    for row in weights[1:]:
        row[:] = np.bincount(random.integers(0, size, size), minlength=size)[numbers]
    return weights


def summary(draws: Array, *, centred: bool = False) -> dict[str, float | str | None]:
    """Return a value with its 95 % interval: `draws` is (1 + resamples,), the value first.

    `centred` moves the resamples' mean onto the value: a sum of absolute gaps is larger in every
    resample than in the rows themselves.
    """
    value, others = float(draws[0]), draws[1:]
    if np.isnan(value):
        return {"value": None, "low": None, "high": None}
    sound = others[~np.isnan(others)]
    if not len(sound):
        return {"value": value, "low": None, "high": None}
    if centred:
        sound = np.maximum(sound + (value - sound.mean()), 0.0)
    low, high = (float(each) for each in np.quantile(sound, [0.025, 0.975]))
    told: dict[str, float | str | None] = {
        "value": value, "low": min(low, value), "high": max(high, value)
    }  # fmt: skip
    if len(sound) < len(others):
        told["note"] = f"undefined in {1 - len(sound) / len(others):.1%} of the resamples"
    return told


def mean_of(runs: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Average each figure over several runs of an experiment, resample by resample."""
    return {name: np.mean([run[name] for run in runs], axis=0) for name in runs[0]}


def _between(values: Array, place: Integers, part: Array) -> Array:
    rows, before = np.arange(len(values)), np.maximum(place - 1, 0)
    low: Array = values[rows, before]
    return low + part * (values[rows, place] - low)


def _thinned(cost: Array, quality: Array) -> tuple[Array, Array]:
    """Keep the best point of each of _GRID stretches, and the two ends; (B, K) each."""
    size = cost.shape[1]
    if size <= 2 * _GRID:
        return cost, quality
    stretch = -(-size // _GRID)
    padded = np.pad(quality, ((0, 0), (0, -size % stretch)), constant_values=-np.inf)
    best = padded.reshape(len(cost), -1, stretch).argmax(axis=2)
    best += np.arange(best.shape[1]) * stretch
    edges = np.zeros((len(cost), 1), best.dtype)
    best = np.concatenate([edges, best, edges + size - 1], axis=1)
    return np.take_along_axis(cost, best, 1), np.take_along_axis(quality, best, 1)


def _hull_mean(cost: Array, quality: Array) -> float:
    least, most = float(cost[0]), float(cost[-1])
    if not most > least:
        return float("nan")
    hull: list[tuple[float, float]] = []
    for point in sorted(zip(cost.tolist(), quality.tolist(), strict=True)):
        while len(hull) > 1 and _is_under(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    xs, ys = np.array(hull).T
    grid = np.unique(np.concatenate([np.clip(xs, least, most), [least, most]]))
    heights = np.maximum.accumulate(np.interp(grid, xs, ys))
    return float(np.trapezoid(heights, grid)) / (most - least)


def _is_under(
    first: tuple[float, float], middle: tuple[float, float], last: tuple[float, float]
) -> bool:
    (ax, ay), (bx, by), (cx, cy) = first, middle, last
    return (by - ay) * (cx - ax) <= (cy - ay) * (bx - ax)
