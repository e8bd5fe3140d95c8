"""Recorded pairs made ready: what a scorer says of them, and which are judged together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from gateway.core.ports import Scorer
from router_models.cascade.fit import Priors, no_priors
from router_models.cascade.pairs import Pairs
from router_models.cascade.policy import Known
from router_models.difficulty.duplicates import (
    Integers,
    Nearness,
    nearness,
    questions,
    static_vectors,
)
from router_models.difficulty.evaluate import Bench
from router_models.difficulty.formats import DataError
from router_models.difficulty.model import Settings
from router_models.difficulty.splits import Split, by_question

FOLDS: Final = 10
FEWEST: Final = 20
"""Rows that a fold must leave to learn from."""


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """Rows, what a scorer says of those it has not met, and which rows are judged together.
    `known` are each fold's combiners, as far as they were fitted."""

    pairs: Pairs
    priors: Priors
    splits: tuple[Split, ...]
    questions: Integers
    known: dict[int, Known] = field(default_factory=dict)


def prepare(pairs: Pairs, folds: int = FOLDS, seed: int = 0) -> Ground:
    """Train a scorer by folds, where there are prompts, and keep its folds. Raises DataError."""
    if not pairs.prompted:
        return folds_of(pairs, no_priors(len(pairs)), folds, seed)
    run = Bench(pairs.rows, Settings(), static_vectors).by_folds(folds, seed)
    priors = Priors(run.p_good[:, 0], run.p_good[:, 1], run.ranking)
    return folds_of(pairs, priors, folds, seed)


def folds_of(pairs: Pairs, priors: Priors, folds: int = FOLDS, seed: int = 0) -> Ground:
    """Split by question, near-duplicates left out of what is learnt. Raises DataError."""
    if pairs.prompted:
        texts = [each.text for each in pairs.signals]
        numbers, near = questions(texts), nearness(texts, static_vectors)
    else:
        numbers = np.arange(len(pairs), dtype=np.int64)
        near = Nearness(len(pairs), numbers[:0], numbers[:0], np.empty((0, 2), np.int64))
    splits = tuple(by_question(numbers, near, folds, seed))
    if any(len(split.train) < FEWEST for split in splits):
        raise DataError(
            f"fewer than {FEWEST} rows are left to learn from when a fold's near-duplicates are "
            "not: there are too few questions, or they are too alike."
        )
    return Ground(pairs, priors, splits, numbers)


def by_scorer(scorer: Scorer, pairs: Pairs) -> Priors:
    """Let a scorer speak of every row. Raises DataError where there is no prompt to score."""
    if not pairs.prompted:
        raise DataError("there are no prompts to score.")
    said = [scorer.score(signals) for signals in pairs.signals]
    return Priors(
        np.array([_chance(each.good_at(0)) for each in said]),
        np.array([_chance(each.good_at(1)) for each in said]),
        np.array([each.value for each in said]),
    )


def _chance(known: float | None) -> float:
    return float("nan") if known is None else known
