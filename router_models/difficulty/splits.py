"""Which rows to learn from and which to be judged on, so that no question is on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from router_models.difficulty.duplicates import Integers, Mask, Nearness
from router_models.difficulty.formats import DataError


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Rows to learn from and rows to be judged on; `removed` rows are near-duplicates across."""

    train: Integers
    test: Integers
    removed: int


def by_question(numbers: Integers, nearness: Nearness, folds: int, seed: int) -> Iterator[Split]:
    """Split into folds: each row is in one test part, and identical questions (of one number) in
    the same. Of the others those that are near-duplicates of a test row are not learnt from.

    Raises DataError when there are fewer questions than folds.
    """
    size = int(numbers.max()) + 1 if len(numbers) else 0
    if size < folds:
        raise DataError(f"{size} different questions are too few for {folds} folds.")
    fold_of = np.random.default_rng(seed).permutation(size) % folds
    for fold in range(folds):
        test = np.flatnonzero(fold_of[numbers] == fold)
        train = np.flatnonzero(~nearness.near(test))
        yield Split(train, test, len(numbers) - len(test) - len(train))


def few_labels(numbers: Integers, nearness: Nearness, labels: int, seed: int) -> Split:
    """Draw `labels` rows to learn from and judge on all others.

    Near-duplicates of the drawn are taken from the other side, from what is judged on: so the
    number of labels stays what was asked for. Raises DataError when too few rows are left.
    """
    size = len(numbers)
    drawn = np.sort(np.random.default_rng(seed).permutation(size)[:labels])
    test = np.flatnonzero(~_like(numbers, nearness, drawn))
    if len(drawn) < labels or len(test) < 2:
        raise DataError(f"{size:,} rows are too few to learn from {labels:,} and judge on others.")
    return Split(drawn, test, size - len(drawn) - len(test))


def all_others(numbers: Integers, nearness: Nearness, test: Integers) -> Split:
    """Judge on some rows after learning from all that are not like them."""
    train = np.flatnonzero(~_like(numbers, nearness, test))
    return Split(train, test, len(numbers) - len(test) - len(train))


def _like(numbers: Integers, nearness: Nearness, rows: Integers) -> Mask:
    """An (N,) mask of what is one of these rows, the same question or a near-duplicate."""
    return nearness.near(rows) | np.isin(numbers, numbers[rows])
