"""The shipped kind of scorer: weighted words, likeness to clusters, one calibrated head a tier."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import exp, inf, sqrt
from typing import Final

from gateway.core.difficulty import Difficulty, new_difficulty
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
_PROFILE: Final = bytes(range(48, 58)) + bytes(246)


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
        self._curves = [
            (-slope, -(slope * always + offset))
            for always, (slope, offset) in zip(self._always, self.calibration, strict=True)
        ]
        self._watched = [COUNTED.index(COUNTERS[place]) for place in watch.places]
        self._edges = [sorted(row) for row in watch.edges.tolist()]

    def score(self, signals: Signals) -> Difficulty:
        """Score one request; pure, and bounded whatever the request's size. Nothing hangs on
        whether it was trained on the question: `met` is for whoever reads the record."""
        terms, weights, watched, nearest = self._weighed(read(signals))
        p_good, gain = self._least(terms, weights)
        return new_difficulty(
            rank(gain, self.reference),
            gain,
            p_good,
            self.label,
            gain,
            bytes(map(bisect_right, self._edges, watched)).translate(_PROFILE).decode(),
            nearest > self.clusters.far,
            self.has_met(signals.text),
        )

    def has_met(self, text: str) -> bool | None:
        """Was it trained on this question? None where that would take too long to tell."""
        if len(text) > LONGEST_MET:
            return None
        return self._learnt and question_hash(text) in self.seen

    def raw(self, reading: Reading) -> list[list[float]]:
        """Return each view's H values before calibration."""
        terms, weights, *_ = self._weighed(reading)
        return [
            [
                always + near + own * _share(view[-2])
                for always, near, own in zip(self._always, like, view[:-2], strict=True)
            ]
            for view, like in zip(terms, weights, strict=True)
        ]

    def chances(self, reading: Reading) -> tuple[float, ...]:
        """Return each head's probability, in the view with the least gain."""
        terms, weights, *_ = self._weighed(reading)
        return self._least(terms, weights)[0]

    def _weighed(
        self, reading: Reading
    ) -> tuple[list[list[float]], list[list[float]], list[float], float]:
        """Return each view's T + 1 sums of `lexicon` and H weights of clusters, the whole text's
        watched counters, and the distance to its cluster."""
        sums, terms = self.lexicon.sums(reading)
        marks = counters(reading, sums[:, :_TALLY].T)
        watched = marks[:, 0].take(self._watched).tolist()
        along = [view[-1] for view in terms]
        weights, nearest = self._near.weigh(marks, sums[:, _TALLY:], along)
        views = len(reading.spans)
        return terms[:views], weights[:views], watched, nearest

    def _least(
        self, terms: Iterable[Sequence[float]], weights: Iterable[Sequence[float]]
    ) -> tuple[tuple[float, ...], float]:
        """Return each head's probability, as `logistic` has it of a raw value, in the view with the
        least gain; and that gain."""
        least = inf
        chosen: tuple[float, ...] = ()
        curves = self._curves
        for view, near in zip(terms, weights):  # noqa: B905 (hot)
            share = _share(view[-2])
            chances = []
            for head, (down, at) in enumerate(curves):
                fall = down * (near[head] + view[head] * share) + at
                chances.append(1.0 / (1.0 + exp(fall if fall < _STEEPEST else _STEEPEST)))  # noqa: FURB136 (hot: no call)
            if (gain := max(chances[1:]) - chances[0]) < least:
                least, chosen = gain, tuple(chances)
        return chosen, least


def _share(square: float) -> float:
    """By what a text's terms are multiplied; 0 for a text without terms."""
    return 1.0 / sqrt(square) if square > _TINY else 0.0


def logistic(value: float, curve: tuple[float, float]) -> float:
    """Return a probability from a head's raw value."""
    slope, offset = curve
    steep = slope * value + offset
    if not -_STEEPEST < steep < _STEEPEST:
        steep = min(max(steep, -_STEEPEST), _STEEPEST)
    return 1.0 / (1.0 + exp(-steep))
