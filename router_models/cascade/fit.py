"""Fit a combiner to labelled replies: two ridge-penalised logistic curves a stage, nothing else.

A few hundred labels carry no more than that. The other tier's prior is left out on purpose: it did
not help on recorded outcomes (docs/judging.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from sklearn.linear_model import LogisticRegression

from gateway.core.combine import SURE, Combiner, Curve, Stage
from router_models.cascade.pairs import Pairs
from router_models.difficulty.duplicates import Integers
from router_models.difficulty.metrics import Array

STRENGTH: Final = 0.05
"""scikit-learn's C: the penalty is on log-odds, whose weights are small anyway."""
SCALE: Final = 0.7
"""How far a prior's log-odds count before the penalty, and ..."""
SILENCE: Final = 1.0
"""... a check's silence."""


@dataclass(frozen=True, slots=True, eq=False)
class Priors:
    """What a scorer said before any answer, of rows that it had not met: P(good) of both tiers,
    (N,) each, nan where nobody knows, and the difficulty 0..1, (N,)."""

    own: Array
    next: Array
    difficulty: Array

    def take(self, rows: Integers) -> Priors:
        """Return some of the rows."""
        return Priors(self.own[rows], self.next[rows], self.difficulty[rows])


def no_priors(size: int) -> Priors:
    """Nobody knows anything: every request is of difficulty 0, and starts at the first tier."""
    return Priors(np.full(size, np.nan), np.full(size, np.nan), np.zeros(size))


def log_odds(chances: Array) -> Array:
    """`gateway.core.combine.log_odds` of many."""
    held = np.clip(chances, 1 - SURE, SURE)
    odds: Array = np.log(held / (1 - held))
    return odds


def chances_of(curve: Curve, prior: Array, said: Mapping[str, Array]) -> Array:
    """`Curve.chance` of many: `prior` is (N,), nan where nobody knows, as is each of `said`."""
    odds = curve.offset + np.nan_to_num(curve.prior * (log_odds(prior) - curve.centre))
    for check, weight in curve.said.items():
        heard = weight * log_odds(said[check])
        odds = odds + np.where(np.isnan(said[check]), curve.silent[check], heard)
    chances: Array = 1 / (1 + np.exp(-np.clip(odds, -60, 60)))
    return chances


def fit_combiner(pairs: Pairs, priors: Priors, label: str) -> Combiner:
    """Fit a stage for each paid check of `pairs`, in their order, and one before; no bands yet."""
    stages = []
    for bought in range(len(pairs.paid) + 1):
        checks = (*pairs.free, *pairs.paid[:bought])
        own = _curve(pairs, checks, priors.own, pairs.weak)
        stages.append(Stage(own, _curve(pairs, checks, priors.next, pairs.strong)))
    return Combiner(label, pairs.free, pairs.paid, tuple(stages))


def _curve(pairs: Pairs, put: Sequence[str], prior: Array, outcomes: Array) -> Curve:
    checks = [check for check in put if not _is_superseded(check, put)]
    known = not np.isnan(prior).all()
    centre = float(np.nanmean(log_odds(prior))) if known else 0.0
    columns = [SCALE * np.nan_to_num(log_odds(prior) - centre)]
    columns += [np.nan_to_num(log_odds(pairs.said[check])) for check in checks]
    columns += [SILENCE * np.isnan(pairs.said[check]) for check in checks]
    offset, weights = _logistic(np.stack(columns, axis=1), outcomes)
    count = len(checks)
    return Curve(
        offset=offset,
        prior=SCALE * float(weights[0]),
        centre=centre,
        said=_zeros(put) | dict(zip(checks, weights[1 : count + 1].tolist(), strict=True)),
        silent=_zeros(put)
        | dict(zip(checks, (SILENCE * weights[count + 1 :]).tolist(), strict=True)),
    )


def _zeros(checks: Sequence[str]) -> dict[str, float]:
    return dict.fromkeys(checks, 0.0)


def _is_superseded(check: str, put: Sequence[str]) -> bool:
    """Does a later check of the same family say all that this one does? `agreement_2` counts the
    sample of `agreement` too."""
    family, number = _family(check)
    return any(_family(other)[0] == family and _family(other)[1] > number for other in put)


def with_family(chosen: Sequence[str], checks: Sequence[str]) -> list[str]:
    """Return these, and those of `checks` that they count the samples of."""
    most: dict[str, int] = {}
    for name, number in map(_family, chosen):
        most[name] = max(number, most.get(name, 0))
    return [check for check in checks if _family(check)[1] <= most.get(_family(check)[0], 0)]


def _family(check: str) -> tuple[str, int]:
    name, _, number = check.rpartition("_")
    return (name, int(number)) if name and number.isdecimal() else (check, 1)


def _logistic(columns: Array, outcomes: Array) -> tuple[float, Array]:
    """Fit to outcomes 0..1; one that never varies gets a level curve, and nobody is certain."""
    size = len(outcomes)
    outcomes = np.clip(outcomes, 1 / (size + 2), 1 - 1 / (size + 2))
    if np.ptp(outcomes) == 0:
        mean = float(outcomes[0])
        return float(np.log(mean / (1 - mean))), np.zeros(columns.shape[1])
    model = LogisticRegression(C=STRENGTH, max_iter=500)
    twice = np.concatenate([columns, columns])
    model.fit(
        twice, np.repeat([1, 0], size), sample_weight=np.concatenate([outcomes, 1 - outcomes])
    )
    return float(model.intercept_[0]), np.array(model.coef_[0])
