"""The shipped kind of scorer: weighted words, likeness to clusters, one calibrated head a tier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import exp
from typing import Final

import numpy as np

from gateway.core.difficulty import Difficulty
from gateway.core.ranks import rank
from gateway.core.signals import Signals
from gateway.scorers.features import (
    COUNTERS,
    TRAITS,
    Array,
    Reading,
    counters,
    question_hash,
    read,
)
from gateway.scorers.lexicon import Lexicon

_STEEPEST: Final = 60.0
"""Beyond this a logistic curve is 0 or 1 to every digit, and exp() nears its limit."""
LONGEST_MET: Final = 10_000
"""Characters of a question beyond which nobody looks whether it was met in training."""
_DIGITS: Final = bytes(range(48, 58))


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """K clusters of texts in a space of D static dimensions and C counters; H heads.

    A text's place there is its static vector, of length 1, less `mean` (D,), of length 1 again;
    and its counters, `(counter - middle) * scale`, each cut to within `cap`. `centres` is
    (K, D + C); likeness to a centre is `exp(-sharpness * squared distance)`, and `heads`, (K, H),
    weighs it; `counters`, (C, H), weighs the scaled counters themselves. `far` is the squared
    distance to the nearest centre beyond which a text is unlike the training data.
    """

    mean: Array
    middle: Array
    scale: Array
    cap: float
    centres: Array
    sharpness: float
    heads: Array
    counters: Array
    far: float


@dataclass(frozen=True, slots=True)
class Watch:
    """Counters watched for drift: their places, (W, 9) edges between tenths of the training data,
    and the share of that data in each of the ten."""

    places: tuple[int, ...]
    edges: Array
    shares: Mapping[str, tuple[float, ...]]


class LinearScorer:
    """Scores with a lexicon and clusters; fits `gateway.core.ports.Scorer`.

    A head's raw value is the sum of its terms' weights, divided by the length of the text's vector
    of terms, plus its clusters' weights, plus its `intercept`; `calibration` holds the (slope,
    offset) of each head's logistic curve, `reference` the gains of reference traffic, rising, at
    evenly spaced ranks.

    A text's probabilities are those of the view with the least gain, so that no words before or
    after a prompt can raise its gain over what the prompt alone would have.
    """

    def __init__(
        self,
        *,
        label: str,
        lexicon: Lexicon,
        clusters: Clusters,
        intercept: Array,
        calibration: Sequence[tuple[float, float]],
        reference: Sequence[float],
        watch: Watch,
        unlike_share: float,
        seen: AbstractSet[int] = frozenset(),
    ) -> None:
        self.label = label
        self.lexicon = lexicon
        self.clusters = clusters
        self.intercept = intercept
        self.calibration = tuple(calibration)
        self.reference = tuple(reference)
        self.watch = watch
        self.watched = watch.shares
        """The share of training data in each tenth, by counter, in a profile's order."""
        self.unlike_share = unlike_share
        """The share of training data that is unlike the rest of it."""
        self.seen = seen
        """Hashes of the questions it was trained on, as `features.question_hash` makes them."""
        self._towards = np.ascontiguousarray(clusters.centres.T * 2.0)
        self._squares = (clusters.centres**2).sum(1)

    def score(self, signals: Signals) -> Difficulty:
        """Score one request; pure, and bounded whatever the request's size."""
        raw, facts, nearest = self._read(read(signals))
        p_good = self.chances(raw)
        gain = _gain(p_good)
        return Difficulty(
            rank(gain, self.reference),
            gain,
            p_good,
            self.label,
            score=gain,
            profile=self._profile(facts),
            unlike=nearest > self.clusters.far,
        )

    def has_met(self, text: str) -> bool | None:
        """Was it trained on this question? None where that would take too long to tell."""
        if len(text) > LONGEST_MET:
            return None
        return bool(self.seen) and question_hash(text) in self.seen

    def raw(self, reading: Reading) -> Array:
        """Return (views, H) values before calibration."""
        return self._read(reading)[0]

    def chances(self, raw: Array) -> tuple[float, ...]:
        """Return each head's probability from the (views, H) raw values of a text."""
        views = [[*map(logistic, row, self.calibration)] for row in raw.tolist()]
        gains = [_gain(view) for view in views]
        return tuple(views[gains.index(min(gains))])

    def _read(self, reading: Reading) -> tuple[Array, Array, float]:
        """Return raw values, the whole text's counters, and the distance to its cluster."""
        sums, terms = self.lexicon.sums(reading)
        traits = len(TRAITS)
        facts = counters(reading, sums[:, :traits])
        places = self._places(sums[:, traits:], facts)
        likeness, nearest = self._likeness(places)
        lengths = np.sqrt(terms[:, -1:])
        lengths += lengths == 0.0  # a third of what setting them by a mask takes
        raw: Array = likeness @ self.clusters.heads
        raw += places[:, len(self.clusters.mean) :] @ self.clusters.counters
        raw += terms[:, :-1] / lengths
        raw += self.intercept
        return raw, facts[0], nearest

    def _places(self, vectors: Array, facts: Array) -> Array:
        clusters = self.clusters
        dimensions = len(clusters.mean)
        places = np.empty((len(vectors), dimensions + len(COUNTERS)))
        place = places[:, :dimensions]
        np.divide(vectors, norms(vectors), out=place)
        place -= clusters.mean
        place /= norms(place)
        marks = places[:, dimensions:]
        np.subtract(facts, clusters.middle, out=marks)
        marks *= clusters.scale
        np.minimum(marks, clusters.cap, out=marks)
        np.maximum(marks, -clusters.cap, out=marks)
        return places

    def _likeness(self, places: Array) -> tuple[Array, float]:
        distances = self._squares - places @ self._towards
        distances += np.vecdot(places, places)[:, None]
        nearest = float(np.minimum.reduce(distances[0]))
        distances *= -self.clusters.sharpness
        return np.exp(distances, out=distances), nearest

    def _profile(self, facts: Array) -> str:
        held = facts.take(self.watch.places)[:, None] >= self.watch.edges
        tenths: bytes = np.add.reduce(held, 1, np.uint8).tobytes()
        return tenths.translate(_PROFILE).decode()


_PROFILE: Final = _DIGITS + bytes(246)


def _gain(p_good: Sequence[float]) -> float:
    return max(p_good[1:]) - p_good[0]


def norms(vectors: Array) -> Array:
    """Return the (N, 1) lengths of (N, D) vectors, 1 for a vector of zeros."""
    lengths = np.sqrt(np.vecdot(vectors, vectors))
    lengths += lengths == 0.0
    found: Array = lengths[:, None]
    return found


def logistic(value: float, curve: tuple[float, float]) -> float:
    """Return a probability from a head's raw value."""
    slope, offset = curve
    steep = slope * value + offset
    if not -_STEEPEST < steep < _STEEPEST:
        steep = min(max(steep, -_STEEPEST), _STEEPEST)
    return 1.0 / (1.0 + exp(-steep))
