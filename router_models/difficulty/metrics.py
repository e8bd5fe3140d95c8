"""How good a ranking and its probabilities are, on recorded outcomes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from gateway.scorers.features import Array

BINS = 10


@dataclass(frozen=True, slots=True)
class Curve:
    """What sending the highest-ranked share to the strong model recovers of the quality gap.

    `apgr` is the area under it (random: .5); `cpt50` and `cpt80` the smallest shares, 0..1, that
    recover 50 % and 80 %.
    """

    apgr: float
    cpt50: float
    cpt80: float


def curve(ranking: Array, weak: Array, strong: Array, seed: int = 0) -> Curve:
    """Judge a ranking over all cut points; ties are broken by lot. Shapes (N,).

    The weak and strong scores must differ in the mean.
    """
    lots = np.random.default_rng(seed).random(len(ranking))
    order = np.lexsort((lots, -ranking))
    gained = np.concatenate([[0.0], np.cumsum((strong - weak)[order])])
    recovered = gained / gained[-1]
    shares = np.linspace(0, 1, len(recovered))
    area = float(np.trapezoid(recovered, shares))
    cpt50, cpt80 = (float(shares[np.argmax(recovered >= level)]) for level in (0.5, 0.8))
    return Curve(area, cpt50, cpt80)


def auroc(chances: Array, outcomes: Array) -> float:
    """Return the chance that a good answer was given the higher probability; nan if undefined."""
    good = outcomes > 0.5
    return float(roc_auc_score(good, chances)) if 0 < good.sum() < len(good) else float("nan")


def calibration_error(chances: Array, outcomes: Array) -> float:
    """Return the mean gap between promised and kept, over BINS bins of equal width."""
    bins = np.minimum((chances * BINS).astype(int), BINS - 1)
    gaps = [abs(float((chances - outcomes)[bins == one].sum())) for one in range(BINS)]
    return sum(gaps) / len(chances)


def interval(
    ranking: Array, weak: Array, strong: Array, resamples: int, seed: int = 0
) -> tuple[float, float]:
    """Return the bootstrap's 95 % interval of APGR."""
    random = np.random.default_rng(seed)
    draws = [random.integers(0, len(weak), len(weak)) for _ in range(resamples)]
    areas = [curve(ranking[rows], weak[rows], strong[rows]).apgr for rows in draws]
    low, high = np.quantile(areas, [0.025, 0.975])
    return float(low), float(high)
