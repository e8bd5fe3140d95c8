"""The model behind the scorer, as a scikit-learn pipeline: fitted, calibrated, never served."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from gateway.scorers.features import Reading, terms
from gateway.scorers.linear import Array, logistic
from router_models.difficulty.data import DataError

COUNTER_SHARE: Final = 0.06
"""How large a standardised counter is beside a prompt's terms, whose vector has length 1."""
REFERENCE_SIZE: Final = 513


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train. `alpha` is the ridge's penalty; a term is kept when `min_questions` different
    questions hold it, the commonest `max_terms` of them; no term may move a head by more than
    `term_cap`, no counter beyond `counter_cap` standard deviations."""

    alpha: float = 16.0
    min_questions: int = 3
    max_terms: int = 25_000
    term_cap: float = 0.25
    counter_cap: float = 4.0
    folds: int = 5
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """N rows: what was read of each, (N, H) outcomes 0..1, question groups and weights."""

    readings: Sequence[Reading]
    outcomes: Array
    groups: Sequence[int]
    weights: Array

    def take(self, rows: Sequence[int]) -> Table:
        """Return some of the rows."""
        readings = [self.readings[i] for i in rows]
        groups = [self.groups[i] for i in rows]
        return Table(readings, self.outcomes[rows], groups, self.weights[rows])


@dataclass(frozen=True, slots=True)
class Model:
    """A fitted pipeline, (slope, offset) of each head, and the reference gains, rising."""

    pipeline: Pipeline
    calibration: tuple[tuple[float, float], ...]
    reference: tuple[float, ...]

    def p_good(self, readings: Sequence[Reading]) -> Array:
        """Return (N, H) probabilities, by scikit-learn's own evaluation."""
        return calibrated(self.pipeline.predict(readings), self.calibration)


def fit(table: Table, settings: Settings) -> Model:
    """Fit on all rows, and calibrate on what folds by question say of rows they have not met.

    Raises DataError when there are fewer questions than folds, or when no model's outcome varies.
    """
    if len(set(table.groups)) < settings.folds:
        raise DataError(f"{len(set(table.groups))} different questions are too few to learn from.")
    if np.ptp(table.outcomes, axis=0).max() == 0:
        raise DataError("Every model is equally good in every row: there is nothing to learn.")
    held_out = np.zeros_like(table.outcomes)
    for train, test in folds(table, settings):
        held_out[test] = fit_pipeline(table.take(train), settings).predict(
            [table.readings[i] for i in test]
        )
    heads = range(table.outcomes.shape[1])
    calibration = tuple(
        fit_curve(held_out[:, head], table.outcomes[:, head], table.weights) for head in heads
    )
    gains = gain(calibrated(held_out, calibration))
    return Model(fit_pipeline(table, settings), calibration, quantiles(gains, table.weights))


def folds(table: Table, settings: Settings) -> Iterator[tuple[list[int], list[int]]]:
    """Split the rows into (train, test) so that no question is in both."""
    splitter = GroupKFold(settings.folds, shuffle=True, random_state=settings.seed)
    for train, test in splitter.split(table.outcomes, groups=table.groups):
        yield train.tolist(), test.tolist()


def fit_pipeline(table: Table, settings: Settings) -> Pipeline:
    """Fit the ridge of all heads on terms and counters, its term weights capped."""
    known, vocabulary = _vocabulary(table, settings)
    words = TfidfVectorizer(
        analyzer=partial(_terms, known=known),
        vocabulary=vocabulary,
        sublinear_tf=True,
        lowercase=False,
    )
    counters = Pipeline(
        [
            ("read", FunctionTransformer(_counters)),
            ("scale", StandardScaler()),
            ("cap", FunctionTransformer(_cap, kw_args={"cap": settings.counter_cap})),
        ]
    )
    union = FeatureUnion([("terms", words), ("counters", counters)])
    # Sparse conjugate gradients start from 0 and draw no lots: the same rows give the same weights.
    ridge = Ridge(settings.alpha, solver="sparse_cg", tol=1e-5)
    pipeline = Pipeline([("features", union), ("ridge", ridge)])
    pipeline.fit(table.readings, table.outcomes, ridge__sample_weight=table.weights)
    size = len(vocabulary)
    ridge.coef_[:, :size] = np.clip(ridge.coef_[:, :size], -settings.term_cap, settings.term_cap)
    return pipeline


def gain(p_good: Array) -> Array:
    """Return (N,) gains of (N, H) probabilities: a stronger tier's over the first one's."""
    gains: Array = p_good[:, 1:].max(axis=1) - p_good[:, 0]
    return gains


def calibrated(raw: Array, calibration: Sequence[tuple[float, float]]) -> Array:
    """Return (N, H) probabilities of the heads' raw values."""
    rows = [[*map(logistic, row, calibration)] for row in raw.tolist()]
    return np.array(rows)


def _vocabulary(table: Table, settings: Settings) -> tuple[frozenset[bytes], dict[str, int]]:
    """The words that enough different questions hold, and a row for each of the commonest terms."""
    known = frozenset(_common((set(r.words) for r in table.readings), table.groups, settings))
    held = (set(terms(r.words, known)) for r in table.readings)
    chosen = _common(held, table.groups, settings)[: settings.max_terms]
    if not chosen:
        raise DataError(f"No word is in {settings.min_questions} questions: too few to learn from.")
    return known, {_text(term): row for row, term in enumerate(sorted(chosen))}


def _common(held: Iterable[set[bytes]], groups: Sequence[int], settings: Settings) -> list[bytes]:
    by_question: dict[int, set[bytes]] = {}
    for each, group in zip(held, groups, strict=True):
        by_question.setdefault(group, set()).update(each)
    counts = Counter(term for each in by_question.values() for term in each)
    kept = [term for term, count in counts.items() if count >= settings.min_questions]
    return sorted(kept, key=lambda term: (-counts[term], term))


def _terms(reading: Reading, known: Container[bytes]) -> list[str]:
    return [_text(term) for term in terms(reading.words, known)]


def _text(term: bytes) -> str:
    """One character for each byte: scikit-learn wants text, and sorts it as it would the bytes."""
    return term.decode("latin-1")


def _counters(readings: Sequence[Reading]) -> Array:
    return np.array([reading.counters for reading in readings])


def _cap(values: Array, cap: float) -> Array:
    return np.clip(values, -cap, cap) * COUNTER_SHARE


def fit_curve(raw: Array, outcomes: Array, weights: Array) -> tuple[float, float]:
    """Fit a logistic curve to outcomes 0..1; a head that learnt nothing gets a level one."""
    # As Platt did: nobody is certain after N rows, so that a model that never fails has a curve.
    outcomes = np.clip(outcomes, 1 / (len(raw) + 2), 1 - 1 / (len(raw) + 2))
    logits = LogisticRegression(C=1e6)
    twice = np.concatenate([raw, raw])[:, None]
    shares = np.concatenate([weights * outcomes, weights * (1 - outcomes)])
    logits.fit(twice, np.repeat([1, 0], len(raw)), sample_weight=shares)
    slope, offset = float(logits.coef_[0, 0]), float(logits.intercept_[0])
    if slope > 0:
        return slope, offset
    mean = float(np.average(outcomes, weights=weights))
    return 0.0, float(np.log(mean / (1 - mean)))


def quantiles(values: Array, weights: Array) -> tuple[float, ...]:
    """The values at evenly spaced ranks of the weighted rows."""
    order = np.argsort(values, kind="stable")
    sums = np.cumsum(weights[order])
    places = np.interp(np.linspace(0, sums[-1], REFERENCE_SIZE), sums, np.arange(len(values)))
    return tuple(np.interp(places, np.arange(len(values)), values[order]).tolist())
