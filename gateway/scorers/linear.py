"""The shipped kind of scorer: weighted words, likeness to clusters, one calibrated head a tier."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import exp
from typing import Final

import numpy as np

from gateway.core.difficulty import Difficulty
from gateway.core.ranks import rank
from gateway.core.signals import Signals
from gateway.scorers.clusters import Clusters, Nearness
from gateway.scorers.features import MOST_VIEWS, TRAITS, Array, Reading, counters, read
from gateway.scorers.hashes import question_hash
from gateway.scorers.lexicon import Lexicon

_STEEPEST: Final = 60.0
"""Beyond this a logistic curve is 0 or 1 to every digit, and exp() nears its limit."""
LONGEST_MET: Final = 10_000
"""Characters of a question beyond which nobody looks whether it was met in training."""
_TALLY: Final = 1 + len(TRAITS)
_TINY: Final = 1e-200
_DIGITS: Final = bytes(range(48, 58))


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
        """Hashes of the questions it was trained on, as `hashes.question_hash` makes them."""
        self._learnt = bool(self.seen)
        self._near = Nearness(clusters, intercept)
        curves = np.array([(-slope, -offset) for slope, offset in calibration])
        # As many columns as views, as in Nearness.
        self._curves = [
            [
                np.repeat(each[:, None], views, 1)
                for each in (*curves.T, np.full(len(curves), _STEEPEST), np.ones(len(curves)))
            ]
            for views in range(MOST_VIEWS + 1)
        ]
        self._edges = [sorted(row) for row in watch.edges.tolist()]

    def score(self, signals: Signals) -> Difficulty:
        """Score one request; pure, and bounded whatever the request's size."""
        raw, watched, nearest = self._read(read(signals))
        p_good = self._settled(raw)
        gain = _gain(p_good)
        return Difficulty(
            rank(gain, self.reference),
            gain,
            p_good,
            self.label,
            score=gain,
            profile=bytes(map(bisect_right, self._edges, watched)).translate(_PROFILE).decode(),
            unlike=nearest > self.clusters.far,
        )

    def has_met(self, text: str) -> bool | None:
        """Was it trained on this question? None where that would take too long to tell."""
        if len(text) > LONGEST_MET:
            return None
        return self._learnt and question_hash(text) in self.seen

    def raw(self, reading: Reading) -> Array:
        """Return (views, H) values before calibration."""
        return self._read(reading)[0].T

    def chances(self, raw: Array) -> tuple[float, ...]:
        """Return each head's probability from the (views, H) raw values of a text."""
        return self._settled(raw.T)

    def _settled(self, raw: Array) -> tuple[float, ...]:
        """Put (H, views) values through the logistic curves, as `logistic` does one."""
        slopes, offsets, least, one = self._curves[len(raw.T)]
        found = raw * slopes
        found += offsets
        np.minimum(found, least, out=found)
        np.exp(found, found)
        found += one
        views: list[list[float]] = np.divide(one, found, found).T.tolist()
        least_gain: list[float] = min(views, key=_gain)
        return tuple(least_gain)

    def _read(self, reading: Reading) -> tuple[Array, list[float], float]:
        """Return (H, views) raw values, the whole text's watched counters, and the distance to its
        cluster."""
        sums, terms = self.lexicon.sums(reading)
        columns, marks = self._near.room(len(terms))
        counters(reading, sums[:_TALLY], marks)
        watched = marks[:, 0].take(self.watch.places).tolist()
        raw, nearest = self._near.weigh(columns, marks, sums[_TALLY:])
        own, squares = terms[:, :-1].T, terms[:, -1]
        own /= np.sqrt(np.maximum(squares, _TINY))  # a text without terms has weights of 0
        raw += own
        return raw, watched, nearest


_PROFILE: Final = _DIGITS + bytes(246)


def _gain(p_good: Sequence[float]) -> float:
    return max(p_good[1:]) - p_good[0]


def logistic(value: float, curve: tuple[float, float]) -> float:
    """Return a probability from a head's raw value."""
    slope, offset = curve
    steep = slope * value + offset
    if not -_STEEPEST < steep < _STEEPEST:
        steep = min(max(steep, -_STEEPEST), _STEEPEST)
    return 1.0 / (1.0 + exp(-steep))
