"""Where a score stands among reference traffic, and what share of traffic a threshold sends up.

A value is a difficulty, 0 to 1; a request goes up when its value is at least the threshold. Under
a threshold of 1 nothing goes up, since ranks stay under 1; under 0 everything does.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from math import fsum, log, log1p, sqrt
from statistics import NormalDist

POINTS = 513
"""Scores of a reference: its quantiles at evenly spaced ranks."""
TENTHS = 10
_FARTHEST = 1e300


# ------------------------------------------------------------------ ranks


def reference_of(scores: Iterable[float], points: int = POINTS) -> tuple[float, ...]:
    """Return the quantiles of at least one score at `points` (at least two) evenly spaced ranks."""
    ordered = sorted(scores)
    last = len(ordered) - 1
    return tuple(_between(ordered, last * point / (points - 1)) for point in range(points))


def _between(ordered: Sequence[float], position: float) -> float:
    below = int(position)
    low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    return low + (high - low) * (position - below)


def rank(score: float, reference: Sequence[float]) -> float:
    """Return the share, over 0 and under 1, of reference traffic that scores less than this.

    `reference` holds at least two scores, rising, at evenly spaced ranks. Of those equal to
    `score` half are counted, so that a threshold meets its share as nearly as ties allow. Strictly
    rising: beyond the ends the outermost quarter of a step is never used up.
    """
    last = len(reference) - 1
    low, high = reference[0], reference[-1]
    if score < low:
        return 0.25 * _fading(low - score, high - low) / last
    if score > high:
        return (last - 0.25 * _fading(score - high, high - low)) / last
    above = bisect_left(reference, score)
    over = reference[above]
    if over > score:
        under = reference[above - 1]
        position = above - 1 + (score - under) / (over - under)
    else:
        position = (above + bisect_right(reference, score) - 1) / 2
    position = max(position, 0.25 + position / 2)  # the half step at either end makes room
    return min(position, last - 0.25 - (last - position) / 2) / last


def _fading(distance: float, spread: float) -> float:
    """Fall from 1 as a distance from a reference of some spread grows; so slowly that it is over 0
    at any distance."""
    return 1.0 / (1.0 + log1p(min(distance / (spread or 1.0), _FARTHEST)))


# ------------------------------------------------------------------ shares


def share_threshold(values: Sequence[float], share: float) -> float:
    """Return the threshold that sends nearest to `share` of `values` (at least one) up.

    Of two as near the one that sends less. It lies half-way between two values, so that their
    last digits decide nothing.
    """
    if share in {0.0, 1.0}:
        return 1.0 - share
    ordered = sorted(values)
    size = len(ordered)
    cuts = [place for place in range(1, size) if ordered[place - 1] < ordered[place]]
    staying = min((size, *reversed(cuts), 0), key=lambda cut: abs(size - cut - share * size))
    low = ordered[staying - 1] if staying else 0.0
    high = ordered[staying] if staying < size else 1.0
    middle = (low + high) / 2
    return middle if middle > low else high


def share_above(values: Iterable[float], threshold: float) -> float:
    """Return the share of values (at least one) that a threshold sends up."""
    sent = [value >= threshold and threshold < 1.0 for value in values]
    return sum(sent) / len(sent)


def wilson(hits: int, size: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's interval of a share of which `hits` of `size` were seen."""
    if not size:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    seen, weight = hits / size, z * z / size
    middle = seen + weight / 2
    reach = z * sqrt(seen * (1 - seen) / size + weight / (4 * size))
    low, high = (middle - reach) / (1 + weight), (middle + reach) / (1 + weight)
    return max(low, 0.0), min(high, 1.0)


def tenths(values: Iterable[float]) -> list[int]:
    """Count values, 0 to 1, in ten equal parts."""
    counts = [0] * TENTHS
    for value in values:
        counts[min(max(int(value * TENTHS), 0), TENTHS - 1)] += 1
    return counts


def psi(expected: Sequence[float], counts: Sequence[int]) -> float:
    """Return the population stability index of `counts` against `expected` shares, part by part.

    0 is no difference; over .2 is a shift by common usage. Half a case more in each part keeps an
    empty one from counting for infinity.
    """
    size, parts = sum(counts), len(counts)
    total = fsum(expected)
    index = 0.0
    for share, count in zip(expected, counts, strict=True):
        was = (share / total * size + 0.5) / (size + 0.5 * parts)
        now = (count + 0.5) / (size + 0.5 * parts)
        index += (now - was) * log(now / was)
    return index
