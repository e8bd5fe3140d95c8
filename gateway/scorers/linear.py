"""The shipped kind of scorer: weighted words and counters, one calibrated head for each tier."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log

import numpy as np
from numpy.typing import NDArray

from gateway.core.difficulty import Difficulty
from gateway.core.signals import Signals
from gateway.scorers.features import Reading, read, terms

Array = NDArray[np.float64]
_STEEPEST = 60.0
"""Beyond this a logistic curve is 0 or 1 to every digit, and exp() nears its limit."""


@dataclass(frozen=True, slots=True)
class Weights:
    """T terms, C counters, H heads (one for each tier, cheap to strong; at least two).

    `idf` is (T,) and `terms` (T, H); `counters` is (C, H) for the standardised counters
    `(counter - mean) / scale`, each cut to within `cap` of 0; `intercept` is (H,).
    """

    idf: Array
    terms: Array
    mean: Array
    scale: Array
    cap: float
    counters: Array
    intercept: Array


@dataclass(slots=True, eq=False)
class LinearScorer:
    """Scores from `weights`; fits `gateway.core.ports.Scorer`.

    `index` maps a term to its row. `calibration` holds (slope, offset) of each head's logistic
    curve; `reference` the gains of reference traffic, rising, at evenly spaced ranks.
    """

    label: str
    index: Mapping[bytes, int]
    weights: Weights
    calibration: tuple[tuple[float, float], ...]
    reference: tuple[float, ...]
    _rows: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        idf = self.weights.idf[:, None]
        self._rows = np.hstack([idf, idf * self.weights.terms])

    def score(self, signals: Signals) -> Difficulty:
        """Score one request; pure, and bounded whatever the request's size."""
        raw = self.raw(read(signals))
        p_good = tuple(map(logistic, raw, self.calibration))
        gain = max(p_good[1:]) - p_good[0]
        return Difficulty(rank(gain, self.reference), gain, p_good, self.label, score=gain)

    def raw(self, reading: Reading) -> list[float]:
        """Return each head's value before calibration."""
        weights = self.weights
        scaled = (np.array(reading.counters) - weights.mean) / weights.scale
        np.clip(scaled, -weights.cap, weights.cap, out=scaled)
        values = scaled @ weights.counters + weights.intercept
        counts = Counter(terms(reading.words, self.index))
        found = [term for term in counts if term in self.index]
        if found:
            # The more often a term comes, the less each further time counts; then unit length.
            often = np.array([1.0 if (n := counts[term]) == 1 else 1.0 + log(n) for term in found])
            rows = self._rows.take([self.index[term] for term in found], 0)
            sums = often @ rows[:, 1:]
            present = often * rows[:, 0]
            values += sums / float(np.sqrt(present @ present))
        return [float(value) for value in values]


def logistic(value: float, curve: tuple[float, float]) -> float:
    """Return a probability from a head's raw value."""
    slope, offset = curve
    return 1.0 / (1.0 + exp(-min(max(slope * value + offset, -_STEEPEST), _STEEPEST)))


def rank(gain: float, reference: Sequence[float]) -> float:
    """Return the share, 0..1, of reference traffic whose gain is less than this one.

    `reference` holds at least two gains, rising, at evenly spaced ranks.
    """
    above = bisect_left(reference, gain)
    if above in {0, len(reference)}:
        return float(above > 0)
    low, high = reference[above - 1], reference[above]
    return (above - 1 + (gain - low) / (high - low)) / (len(reference) - 1)
