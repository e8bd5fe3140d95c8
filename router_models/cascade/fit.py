"""Fit a combiner to labelled replies: two ridge-penalised logistic curves a stage, nothing else.

A few hundred labels carry no more than that. A free check has a weight only if it makes P(good) of
this reply better on held-out replies, nothing bought yet: what says nothing costs, since its weight
is noise in what replies are ranked by. The other tier's prior is left out on purpose: it did not
help on recorded outcomes (docs/judging.md).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.core.combine import SURE, Combiner, Curve, Stage
from router_models.cascade.pairs import Pairs
from router_models.difficulty.duplicates import Integers
from router_models.difficulty.metrics import Array

STRENGTH: Final = 0.2
"""One over the ridge penalty: it is on log-odds, whose weights are small anyway."""
_ROUNDS: Final = 50
_NEAR: Final = 1e-8
"""Newton's steps, at most so many; a smaller one is the last."""
_FIRM: Final = 1e-9
"""What keeps a step finite where all outcomes are as good as certain."""
SCALE: Final = 0.7
"""How far a prior's log-odds count before the penalty, and ..."""
SILENCE: Final = 1.0
"""... a check's silence."""
PARTS: Final = 5
"""Parts of the replies, each held out once, on which a free check must show what it is worth."""
MARGIN: Final = 2.0
"""Standard errors by which it must."""


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
    stages, silenced = [], _worthless(pairs, priors)
    for bought in range(len(pairs.paid) + 1):
        checks = (*pairs.free, *pairs.paid[:bought])
        own = _curve(pairs, checks, silenced, priors.own, pairs.weak)
        stages.append(Stage(own, _curve(pairs, checks, silenced, priors.next, pairs.strong)))
    return Combiner(label, pairs.free, pairs.paid, tuple(stages))


def _worthless(pairs: Pairs, priors: Priors) -> frozenset[str]:
    """Which free checks make held-out replies no likelier, each beside the others?"""
    before, kept = [_heard_prior(priors.own)[0]], list(pairs.free)
    for check in pairs.free:
        with_it = _laid_out(before, [pairs.said[each] for each in kept])
        others = [each for each in kept if each != check]
        if not _is_worth_it(
            with_it, _laid_out(before, [pairs.said[each] for each in others]), pairs.weak
        ):
            kept = others
    return frozenset(pairs.free) - frozenset(kept)


def _curve(
    pairs: Pairs, put: Sequence[str], silenced: Collection[str], prior: Array, outcomes: Array
) -> Curve:
    checks = [each for each in put if each not in silenced and not _is_superseded(each, put)]
    before, centre = _heard_prior(prior)
    columns = _laid_out([before], [pairs.said[check] for check in checks])
    offset, weights = _logistic(columns, outcomes)
    of_checks = dict(zip(checks, weights[1:].reshape(-1, 2).tolist(), strict=True))
    return Curve(
        offset=offset,
        prior=SCALE * float(weights[0]),
        centre=centre,
        said=_zeros(put) | {check: said for check, (said, _) in of_checks.items()},
        silent=_zeros(put) | {check: SILENCE * silent for check, (_, silent) in of_checks.items()},
    )


def _heard_prior(prior: Array) -> tuple[Array, float]:
    """A prior's log-odds over their centre, (N,), and the centre."""
    known = not np.isnan(prior).all()
    centre = float(np.nanmean(log_odds(prior))) if known else 0.0
    return SCALE * np.nan_to_num(log_odds(prior) - centre), centre


def _laid_out(before: Sequence[Array], said: Sequence[Array]) -> Array:
    """Columns of what is known before, and of what each check says and that it says nothing."""
    columns = list(before)
    for each in said:
        columns += [np.nan_to_num(log_odds(each)), SILENCE * np.isnan(each)]
    return np.stack(columns, axis=1)


def _is_worth_it(with_it: Array, without: Array, outcomes: Array) -> bool:
    """Does a check make held-out outcomes likelier, by more than chance would?"""
    gained = _losses(without, outcomes) - _losses(with_it, outcomes)
    error = float(gained.std() / np.sqrt(len(gained)))
    return float(gained.mean()) > MARGIN * error


def _losses(columns: Array, outcomes: Array) -> Array:
    """The log loss of each outcome by a curve fitted to the other parts; (N,)."""
    parts = np.arange(len(outcomes)) % PARTS
    losses = np.zeros(len(outcomes))
    for part in range(PARTS):
        out = parts == part
        if out.all() or not out.any():
            continue
        offset, weights = _logistic(columns[~out], outcomes[~out])
        odds = np.clip(offset + columns[out] @ weights, -60, 60)
        good = outcomes[out]
        losses[out] = good * np.logaddexp(0, -odds) + (1 - good) * np.logaddexp(0, odds)
    return losses


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
    """Fit to outcomes 0..1 by Newton's method.

    One that never varies gets a level curve, and nobody is certain.
    """
    size = len(outcomes)
    outcomes = np.clip(outcomes, 1 / (size + 2), 1 - 1 / (size + 2))
    if np.ptp(outcomes) == 0:
        mean = float(outcomes[0])
        return float(np.log(mean / (1 - mean))), np.zeros(columns.shape[1])
    design = np.column_stack([np.ones(size), columns])
    penalty = np.diag([0.0, *np.full(columns.shape[1], 1 / STRENGTH)])
    weights = np.zeros(design.shape[1])
    for _ in range(_ROUNDS):
        chances = 1 / (1 + np.exp(-np.clip(design @ weights, -60, 60)))
        slope = design.T @ (chances - outcomes) + penalty @ weights
        curvature = design.T @ (design * (chances * (1 - chances))[:, None]) + penalty
        step = np.linalg.solve(curvature + _FIRM * np.eye(len(curvature)), slope)
        weights -= step
        if np.abs(step).max() < _NEAR:
            break
    return float(weights[0]), weights[1:]
