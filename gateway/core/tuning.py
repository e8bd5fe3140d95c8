"""Thresholds that keep a promise about quality, from labelled requests.

A promise is about what is lost by the requests that stay at the first tier. It holds for requests
drawn like the labelled ones, and for no others: labels must come from a random part of the traffic.
A request goes up when its value, a difficulty from 0 to 1, is at least the threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import ceil, exp, fsum, inf, log, log1p

_FOR_THE_MEAN = 0.1
"""The part of an allowed failure that is spent on not knowing the strong tier's mean quality."""
_MOST = 10_000_000
"""Labels beyond which nobody is told how many are missing."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A threshold that keeps a promise, None where none can be given yet.

    The promise: what a request loses on average by staying at the first tier is at most `alpha`,
    on average over such calibrations (`delta` None), or in all but `delta` of them. `n` labelled
    requests were at hand; at least `missing` more are needed. Of those at hand `share` go up, and
    `lost` is what each of them loses on average.
    """

    threshold: float | None
    n: int
    missing: int
    alpha: float
    delta: float | None = None
    share: float = 1.0
    lost: float = 0.0


def crc_threshold(values: Sequence[float], losses: Sequence[float], alpha: float) -> Calibrated:
    """Choose the highest threshold with an expected loss of at most `alpha` a request.

    `losses` (0 to 1, as many as `values`) is what each request loses if it stays at the first
    tier. Conformal risk control (Angelopoulos, Bates, Fisch, Lei and Schuster, 2022): the loss
    falls as the threshold does, so n/(n+1) R + 1/(n+1) <= alpha is enough, R being the mean loss
    of the n at hand. Below 1/alpha - 1 labels nothing can meet it. Raises ValueError.
    """
    n = len(values)
    needed = _whole(1 / alpha - 1) if alpha > 0 else _MOST
    frame = Calibrated(None, n, max(needed - n, 0), alpha)
    return _spend(frame, values, losses, alpha * (n + 1) - 1)


def ltt_threshold(
    values: Sequence[float], losses: Sequence[float], alpha: float, delta: float
) -> Calibrated:
    """Choose the highest threshold whose loss is at most `alpha` but for a probability `delta`.

    As crc_threshold, by Learn then Test (Angelopoulos, Bates, Candes, Jordan and Lei, 2021):
    thresholds are tested from 0 upwards, each against "its loss is over alpha", until the first
    whose p-value is over `delta`. The p-value is the binomial's where every loss is 0 or 1, else
    Hoeffding and Bentkus'. Even without a loss it takes (1 - alpha)^n <= delta.
    """
    n = len(values)
    frame = Calibrated(None, n, max(_ltt_needs(alpha, delta) - n, 0), alpha, delta)
    exact = all(loss in {0.0, 1.0} for loss in losses)
    if not n or _p_value(0.0, n, alpha, exact=exact) > delta:
        return replace(_spend(frame, values, losses, -1.0), missing=max(frame.missing, 1))
    within = _bisect(lambda sum_: _p_value(sum_, n, alpha, exact=exact) <= delta, 0.0, alpha * n)
    return _spend(frame, values, losses, within)


def quality_threshold(
    values: Sequence[float],
    weak: Sequence[float],
    strong: Sequence[float],
    quality: float,
    confidence: float | None = None,
) -> Calibrated:
    """Choose the highest threshold whose replies are on average `quality` as good as the strong's.

    `weak` and `strong` are each request's labels, 0 to 1, at the first tier and at the strong one.
    A request that stays loses max(0, strong - weak), and the mean of that may be (1 - quality)
    times the mean of `strong`: then the mean of what is served is at least `quality` times it.

    Without `confidence` by conformal risk control of loss + (1 - quality) (1 - strong), which is
    from 0 to 1 and falls with the threshold, at 1 - quality. That comes to crc_threshold at
    (1 - quality) (sum of strong + 1) / (n + 1): no estimate of the mean is plugged in. With it by
    Learn then Test at (1 - quality) times a lower bound of the mean, which has a tenth of the
    allowed failures for itself. Raises ValueError.
    """
    losses = [max(0.0, best - kept) for kept, best in zip(weak, strong, strict=True)]
    n, sum_ = len(strong), fsum(strong)
    seen = (sum_ + 1) / (n + 1)
    if confidence is None:
        return crc_threshold(values, losses, (1 - quality) * seen)
    for_mean, for_loss = _FOR_THE_MEAN * (1 - confidence), (1 - _FOR_THE_MEAN) * (1 - confidence)

    def alpha(size: int, mean: float) -> float:
        return (1 - quality) * mean_floor(mean, size, for_mean)

    chosen = ltt_threshold(values, losses, alpha(n, sum_ / n if n else 0.0), for_loss)
    if chosen.threshold is None:
        needed = _first(lambda size: (1 - alpha(size, seen)) ** size <= for_loss, n + 1)
        chosen = replace(chosen, missing=needed - n)
    return replace(chosen, delta=1 - confidence)


def mean_floor(mean: float, size: int, delta: float) -> float:
    """Return what the mean of numbers from 0 to 1 exceeds but for a probability `delta`, `size`
    of them having shown `mean` (Hoeffding, in his first and sharper form)."""
    if not size:
        return 0.0
    far = log(1 / delta) / size
    return mean - _bisect(lambda down: _divergence(mean, mean - down) <= far, 0.0, mean)


def _spend(
    frame: Calibrated, values: Sequence[float], losses: Sequence[float], allowance: float
) -> Calibrated:
    """Raise the threshold until the losses under it have used up the allowance."""
    if not all(0.0 <= loss <= 1.0 for loss in losses):
        raise ValueError("losses are from 0 to 1")
    pairs = sorted(zip(values, losses, strict=True))
    if allowance < 0:
        return frame
    spent, staying, threshold = 0.0, 0, 1.0
    for value, group in groupby(pairs, key=lambda pair: pair[0]):
        lost = [loss for _, loss in group]
        if spent + fsum(lost) > allowance:
            threshold = value
            break
        spent += fsum(lost)
        staying += len(lost)
    size = max(frame.n, 1)
    return replace(frame, threshold=threshold, share=1 - staying / size, lost=spent / size)


def _ltt_needs(alpha: float, delta: float) -> int:
    if alpha <= 0:
        return _MOST
    return 1 if alpha >= 1 else _whole(log(delta) / log1p(-alpha))


def _p_value(total: float, n: int, alpha: float, *, exact: bool) -> float:
    """How likely is a sum of n losses this low, if their mean is over alpha?"""
    if not 0 < alpha < 1:
        return float(alpha <= 0)
    if exact:
        return _at_most(int(total), n, alpha)
    hoeffding = exp(-n * _divergence(min(total / n, alpha), alpha))
    return min(hoeffding, exp(1) * _at_most(ceil(total), n, alpha))


def _at_most(hits: int, n: int, p: float) -> float:
    """P(a binomial of n and p is at most `hits`), 0 < p < 1."""
    if hits >= n:
        return 1.0
    term, odds = n * log1p(-p), log(p) - log1p(-p)
    terms = [term]
    for place in range(1, hits + 1):
        term += log((n - place + 1) / place) + odds
        terms.append(term)
    return min(fsum(map(exp, terms)), 1.0)


def _divergence(seen: float, true: float) -> float:
    """Kullback and Leibler's, of one coin from another."""
    if (seen > 0 and true <= 0) or (seen < 1 and true >= 1):
        return inf
    head = seen * log(seen / true) if seen > 0 else 0.0
    return head + ((1 - seen) * log((1 - seen) / (1 - true)) if seen < 1 else 0.0)


def _bisect(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Return about the highest number that still holds; `low` does."""
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _first(holds: Callable[[int], bool], least: int) -> int:
    """Return the least number from `least` that holds, where all above it do; at most _MOST."""
    low, high = least - 1, least
    while high < _MOST and not holds(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return min(high, _MOST)


def _whole(number: float) -> int:
    """Round up, but for the last digits of a division."""
    return min(max(ceil(number - 1e-9), 1), _MOST)
