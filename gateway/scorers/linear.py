"""The shipped kind of scorer: weighted words, likeness to clusters, one calibrated head a tier."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import exp, inf, sqrt
from typing import Final

from gateway.core.difficulty import Difficulty
from gateway.core.ranks import rank
from gateway.core.signals import Signals
from gateway.scorers.clusters import Clusters, Nearness
from gateway.scorers.features import (
    COUNTED,
    COUNTERS,
    TRAITS,
    Array,
    Reading,
    counters,
    read,
)
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
        self._near = Nearness(clusters)
        self._always: list[float] = intercept.tolist()
        self._watched = [COUNTED.index(COUNTERS[place]) for place in watch.places]
        self._edges = [sorted(row) for row in watch.edges.tolist()]

    def score(self, signals: Signals) -> Difficulty:
        """Score one request; pure, and bounded whatever the request's size."""
        raw, watched, nearest = self._read(read(signals))
        p_good = self.chances(raw)
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

    def raw(self, reading: Reading) -> list[list[float]]:
        """Return each view's H values before calibration."""
        return self._read(reading)[0]

    def chances(self, raw: Iterable[Iterable[float]]) -> tuple[float, ...]:
        """Return each head's probability, in the view with the least gain, from the H raw values of
        each view; as `logistic` does one."""
        least = inf
        chosen: tuple[float, ...] = ()
        calibration = self.calibration
        for values in raw:
            view = []
            for head, value in enumerate(values):
                slope, offset = calibration[head]
                fall = -(slope * value + offset)
                view.append(1.0 / (1.0 + exp(fall if fall < _STEEPEST else _STEEPEST)))  # noqa: FURB136 (hot: no call)
            if (gain := _gain(view)) < least:
                least, chosen = gain, tuple(view)
        return chosen

    def _read(self, reading: Reading) -> tuple[list[list[float]], list[float], float]:
        """Return each view's H raw values, the whole text's watched counters, and the distance to
        its cluster."""
        sums, terms = self.lexicon.sums(reading)
        marks = counters(reading, sums[:, :_TALLY].T)
        watched = marks[:, 0].take(self._watched).tolist()
        weights, nearest = self._near.weigh(marks, sums[:, _TALLY:])
        views = weights[: len(reading.spans)]
        for place, view in enumerate(views):
            *own, square = terms[place]
            share = 1.0 / sqrt(square) if square > _TINY else 0.0  # a text without terms
            for head, always in enumerate(self._always):
                view[head] += always + own[head] * share
        return views, watched, nearest


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
