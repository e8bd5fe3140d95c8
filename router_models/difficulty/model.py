"""The model behind the scorer, made of scikit-learn's parts: fitted, calibrated, never served.

One ridge regression of all tiers' outcomes on two kinds of features: tf-idf of words and pairs of
words, and likeness to clusters of texts (a radial kernel's Nystroem map, Williams and Seeger 2001,
with k-means centres for its landmarks). The heads share one penalty: what they differ in is the
gain, and a head shrunk more than another would turn difficulty into gain. Each head is calibrated
by a logistic curve (Platt 1999) on folds by question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, Final

import numpy as np
from scipy.sparse import csr_matrix, diags, hstack
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler, normalize

from gateway.scorers.features import COUNTERS, Array, Reading
from gateway.scorers.linear import logistic
from router_models.difficulty.data import DataError
from router_models.difficulty.table import Rows, Table
from router_models.difficulty.terms import names_of, vocabulary

TERM_SHARE: Final = 0.5
"""How long a text's vector of terms is, beside a map of clusters of about length 1."""
COUNTER_SHARE: Final = 0.15
"""How far a standard deviation of a counter moves a text whose static vector has length 1."""
LENGTH: Final = COUNTERS.index("chars")
LENGTH_PENALTY: Final = 0.1
"""Of the one weight that length alone has."""
REFERENCE_SIZE: Final = 513
BETTER: Final = 0.005
"""By how much, of the squared error, another penalty must be better than the first."""
LENGTH_BETTER: Final = 0.01
"""By how much length alone must be better than all: it is what is left where there is no signal."""
UNLIKE: Final = 0.99
"""The share of held-out texts that lie nearer to a cluster than one that is unlike them all."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train.

    `penalties` are what the ridge may have: the first, which suits outcomes that are mostly chance,
    unless another errs less on questions not met. They, and the kernel's `sharpness`, are for 500
    rows, and grow with the powers `penalty_growth` and `sharpness_growth` of their number;
    `clusters` is the most of them. A term is kept when `min_questions` different questions hold it,
    the commonest `max_terms` of them; no term moves a head by more than `term_cap`, no counter
    counts beyond `counter_cap` standard deviations.
    """

    penalties: tuple[float, ...] = (20.0, 5.0, 1.25)
    penalty_growth: float = 0.4
    sharpness: float = 0.47
    sharpness_growth: float = 0.3
    clusters: int = 192
    min_questions: int = 3
    max_terms: int = 25_000
    term_cap: float = 0.25
    counter_cap: float = 4.0
    folds: int = 5
    seed: int = 0


class Pipeline:
    """The features and the ridge over them, before calibration."""

    def __init__(self, table: Table, settings: Settings) -> None:
        """Fit on a table. Raises DataError for rows too few or too alike."""
        rows = table.laid_out.take(range(len(table.readings)), whole=True)
        growth = len(table.readings) / 500
        known, self.vocabulary = vocabulary(table, settings.min_questions, settings.max_terms)
        self.counter = CountVectorizer(
            analyzer=partial(names_of, known=known), vocabulary=self.vocabulary
        )
        # Its smooth weights only: the text's own length is measured word by word, below.
        self.weigher = TfidfTransformer(norm=None).fit(self.counter.transform(rows.words))
        self.scaler = StandardScaler().fit(rows.counters)
        self.flat = np.ptp(rows.counters, axis=0) == 0  # what never varied says nothing later
        self.cap = settings.counter_cap
        self.mean = normalize(rows.vectors).mean(0)
        self.sharpness = settings.sharpness * growth**settings.sharpness_growth
        places = self.places(rows)
        count = max(min(settings.clusters, len(places) // 3), 2)
        with np.errstate(all="ignore"):  # k-means of fewer different texts than clusters
            clustered = KMeans(count, n_init=1, max_iter=10, random_state=settings.seed)
            self.centres = clustered.fit(places).cluster_centers_
        self.whitening = _inverse_root(self._kernel(self.centres))
        likeness = self._kernel(places) @ self.whitening
        self.level = likeness.mean(0)
        self._met = (self._design(rows, places, likeness), table.outcomes, table.weights)
        self._cap = settings.term_cap
        self._growth = growth**settings.penalty_growth
        self.regress(settings.penalties[0])

    def regress(self, penalty: float | None) -> None:
        """Fit the ridge, its terms' weights capped; None: to nothing but the length."""
        design, outcomes, weights = self._met
        # Sparse conjugate gradients start from 0 and draw no lots: the same rows, the same weights.
        alpha = LENGTH_PENALTY if penalty is None else penalty * self._growth
        self.ridge = Ridge(alpha, solver="sparse_cg", tol=1e-5)
        used = design[:, -1:] if penalty is None else design[:, :-1]
        self.ridge.fit(used, outcomes, sample_weight=weights)
        found = np.zeros((outcomes.shape[1], design.shape[1]))
        if penalty is None:
            found[:, -1:] = self.ridge.coef_
        else:
            found[:, :-1] = self.ridge.coef_
        words = len(self.vocabulary)
        found[:, :words] = np.clip(found[:, :words], -self._cap, self._cap)
        self.ridge.coef_, self.ridge.n_features_in_ = found, design.shape[1]

    def design(self, rows: Rows) -> Any:
        """Return the rows' features, sparse: terms, likeness to clusters, length."""
        places = self.places(rows)
        return self._design(rows, places, self._kernel(places) @ self.whitening)

    def predict(self, rows: Rows) -> list[Array]:
        """Return each reading's (views, H) raw values."""
        return cut(self.ridge.predict(self.design(rows)), rows.bounds)

    def places(self, rows: Rows) -> Array:
        """Return each row's place among the clusters; see `gateway.scorers.linear.Clusters`."""
        vectors = normalize(normalize(rows.vectors) - self.mean)
        scaled = np.clip(self.scaler.transform(rows.counters), -self.cap, self.cap)
        scaled[:, self.flat] = 0.0
        return np.hstack([vectors, COUNTER_SHARE * scaled])

    def nearest(self, rows: Rows) -> Array:
        """Return each row's squared distance to the nearest cluster."""
        distances = euclidean_distances(self.places(rows), self.centres, squared=True)
        least: Array = distances.min(1)
        return least

    def _kernel(self, places: Array) -> Array:
        distances = euclidean_distances(places, self.centres, squared=True)
        kernel: Array = np.exp(-self.sharpness * distances)
        return kernel

    def _design(self, rows: Rows, places: Array, likeness: Array) -> Any:
        counts = self.counter.transform(rows.words)
        lengths = np.sqrt(counts @ self.weigher.idf_**2)
        lengths[lengths == 0] = 1.0
        terms = diags(TERM_SHARE / lengths) @ self.weigher.transform(counts.astype(float))
        length = places[:, len(self.mean) + LENGTH, None]
        return hstack([terms, csr_matrix(np.hstack([likeness - self.level, length]))]).tocsr()


@dataclass(frozen=True, slots=True)
class Model:
    """A fitted pipeline, (slope, offset) of each head, the reference gains, rising, the squared
    distance to the nearest cluster within which UNLIKE of held-out texts lie, and the ridge's
    penalty, None where nothing but length was worth learning."""

    pipeline: Pipeline
    calibration: tuple[tuple[float, float], ...]
    reference: tuple[float, ...]
    far: float
    penalty: float | None

    def p_good(self, readings: Sequence[Reading]) -> Array:
        """Return (N, H) probabilities, by scikit-learn's own evaluation."""
        return self.chances(Rows.of(readings))

    def chances(self, rows: Rows) -> Array:
        """Return (N, H) probabilities of N readings that are laid out already."""
        return settle(self.pipeline.predict(rows), self.calibration)


def fit(table: Table, settings: Settings) -> Model:
    """Fit on all rows, and calibrate on what folds by question say of rows they have not met.

    Raises DataError when there are fewer questions than folds, or when no model's outcome varies.
    """
    if len(set(table.groups)) < settings.folds:
        raise DataError(f"{len(set(table.groups))} different questions are too few to learn from.")
    if np.ptp(table.outcomes, axis=0).max() == 0:
        raise DataError("Every model is equally good in every row: there is nothing to learn.")
    table = replace(table, rows=table.laid_out)
    tried: dict[float | None, list[Array]] = {
        penalty: [np.empty(0)] * len(table.readings) for penalty in (*settings.penalties, None)
    }
    distances = np.zeros(len(table.readings))
    for train, test in folds(table, settings):
        part, rows = Pipeline(table.take(train), settings), table.laid_out.take(test)
        distances[test] = part.nearest(rows.take(range(len(test)), whole=True))
        design = part.design(rows)
        for penalty, held_out in tried.items():
            part.regress(penalty)
            found = cut(part.ridge.predict(design), rows.bounds)
            for place, values in zip(test, found, strict=True):
                held_out[place] = values
    penalty = _best(tried, table)
    calibration = _calibrate(tried[penalty], table)
    reference = quantiles(gain(settle(tried[penalty], calibration)), table.weights)
    pipeline = Pipeline(table, settings)
    pipeline.regress(penalty)
    return Model(pipeline, calibration, reference, float(np.quantile(distances, UNLIKE)), penalty)


def cut(values: Array, bounds: Sequence[int]) -> list[Array]:
    """Cut rows of views into each reading's."""
    return [values[low:high] for low, high in pairwise(bounds)]


def _best(tried: Mapping[float | None, Sequence[Array]], table: Table) -> float | None:
    """Return the penalty that errs least on the gain of questions not met: the first, unless
    another is better by BETTER; None where length alone is, by LENGTH_BETTER."""

    def error(held_out: Sequence[Array]) -> float:
        gains = np.array([views[0, 1:] - views[0, 0] for views in held_out])
        missed = (table.outcomes[:, 1:] - table.outcomes[:, :1] - gains) ** 2
        return float(np.average(missed.sum(1), weights=table.weights))

    errors = {penalty: error(held_out) for penalty, held_out in tried.items()}
    first, *others = (penalty for penalty in errors if penalty is not None)
    least = min(others, key=lambda penalty: errors[penalty], default=first)
    chosen = least if errors[least] < errors[first] * (1 - BETTER) else first
    return None if errors[None] < errors[chosen] * (1 - LENGTH_BETTER) else chosen


def folds(table: Table, settings: Settings) -> Iterator[tuple[list[int], list[int]]]:
    """Split the rows into (train, test) so that no question is in both."""
    splitter = GroupKFold(settings.folds, shuffle=True, random_state=settings.seed)
    for train, test in splitter.split(table.outcomes, groups=table.groups):
        yield train.tolist(), test.tolist()


def gain(p_good: Array) -> Array:
    """Return (N,) gains of (N, H) probabilities: a stronger tier's over the first one's."""
    gains: Array = p_good[:, 1:].max(axis=1) - p_good[:, 0]
    return gains


def calibrated(raw: Array, calibration: Sequence[tuple[float, float]]) -> Array:
    """Return (N, H) probabilities of the heads' (N, H) raw values."""
    return np.array([[*map(logistic, row, calibration)] for row in raw.tolist()])


def settle(raw: Sequence[Array], calibration: Sequence[tuple[float, float]]) -> Array:
    """Return (N, H) probabilities of N texts' (views, H) raw values: each of its least gain."""
    settled = []
    for values in raw:
        views = calibrated(values, calibration)
        settled.append(views[gain(views).argmin()])
    return np.array(settled)


def _calibrate(raw: Sequence[Array], table: Table) -> tuple[tuple[float, float], ...]:
    """Fit each head's curve to held-out raw values of whole texts, then again to those of the views
    that these curves choose."""
    heads = range(table.outcomes.shape[1])

    def curves(values: Array) -> tuple[tuple[float, float], ...]:
        return tuple(fit_curve(values[:, h], table.outcomes[:, h], table.weights) for h in heads)

    first = curves(np.array([views[0] for views in raw]))
    chosen = (views[gain(calibrated(views, first)).argmin()] for views in raw)
    return curves(np.array(list(chosen)))


def _inverse_root(kernel: Array) -> Array:
    values, vectors = np.linalg.eigh(kernel)
    root: Array = vectors / np.sqrt(np.maximum(values, 1e-8)) @ vectors.T
    return root


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
