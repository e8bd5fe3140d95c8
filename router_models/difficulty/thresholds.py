"""Which threshold meets a target, what it comes to, and whether that is a promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import Final, Literal

import numpy as np

from gateway.core.ranks import share_above, share_threshold, wilson
from gateway.core.tuning import quality_threshold
from router_models.difficulty.metrics import Array

Kind = Literal["share", "expectation", "probability", "plug-in"]
Interval = tuple[float, float, float]
"""A value, and the ends of its 95 % interval."""
_RESAMPLES: Final = 1000
_DIGITS: Final = 1e6


@dataclass(frozen=True, slots=True)
class Choice:
    """A threshold, None where none can be promised yet; requests of a value from it on go up.

    `share` is what it sends up; `quality` what is served, as a part of the strong tier's (None
    where nothing is known of it). `n` requests are behind it, and `missing` more labels are needed
    at the least. `alpha` is the loss a request that is promised at most.
    """

    threshold: float | None
    kind: Kind
    n: int
    share: Interval | None = None
    quality: Interval | None = None
    missing: int = 0
    alpha: float | None = None

    @property
    def promises(self) -> bool:
        """Is it a promise of quality?"""
        return self.kind in {"expectation", "probability"} and self.threshold is not None


def for_share(values: Sequence[float], share: float) -> Choice:
    """Choose what sends `share` of `values` (at least one) up."""
    values = _under_one(values)
    threshold = _rounded(share_threshold(values, share))
    return Choice(threshold, "share", len(values), _share(values, threshold))


def for_quality(
    values: Sequence[float],
    weak: Sequence[float],
    strong: Sequence[float],
    quality: float,
    confidence: float | None = None,
    traffic: Sequence[float] = (),
) -> Choice:
    """Choose the highest threshold that keeps `quality` of the strong tier's, promised on average
    over such calibrations or, with a `confidence`, in that part of them.

    `values` (N,) and the labels `weak` and `strong` (N,), 0..1, are of requests drawn from the
    traffic; `traffic` has values of more of it, without labels.
    """
    values = _under_one(values)
    found = quality_threshold(values, weak, strong, quality, confidence)
    kind: Kind = "expectation" if confidence is None else "probability"
    if found.threshold is None:
        return Choice(None, kind, found.n, missing=found.missing, alpha=found.alpha)
    threshold = _rounded(found.threshold)
    return Choice(
        threshold,
        kind,
        found.n,
        _share(traffic or values, threshold),
        _quality(values, weak, strong, threshold),
        alpha=found.alpha,
    )


def plug_in(
    values: Sequence[float],
    weak: Sequence[float],
    strong: Sequence[float],
    quality: float,
    traffic: Sequence[float] = (),
) -> Choice:
    """Choose the highest threshold that kept `quality` on these very requests: no promise, about
    half of such thresholds miss their target on others. Needs at least one request."""
    values = _under_one(values)
    given, kept, best = (np.array(each, np.float64) for each in (values, weak, strong))
    order = np.argsort(-given, kind="stable")
    served = kept.sum() + np.concatenate([[0.0], np.cumsum((best - kept)[order])])
    ends = np.append(given[order][1:] != given[order][:-1], True)
    cuts = np.concatenate([[True], ends])
    enough = np.flatnonzero(cuts & (served >= quality * best.sum() - 1e-9))
    first = int(enough[0])
    threshold = 1.0 if first == 0 else _rounded(float(given[order][first - 1]))
    return Choice(
        threshold,
        "plug-in",
        len(values),
        _share(traffic or values, threshold),
        _quality(values, weak, strong, threshold),
    )


def _under_one(values: Sequence[float]) -> list[float]:
    """A threshold of 1 sends nothing up, not even a value of 1: that one must stay under it."""
    return [min(value, 1 - 1 / _DIGITS) for value in values]


def _rounded(threshold: float) -> float:
    """Cut to the digits that are written down; a lower threshold sends more up, never less."""
    return floor(threshold * _DIGITS) / _DIGITS


def _share(values: Sequence[float], threshold: float) -> Interval:
    share = share_above(values, threshold)
    return (share, *wilson(round(share * len(values)), len(values)))


def _quality(
    values: Sequence[float], weak: Sequence[float], strong: Sequence[float], threshold: float
) -> Interval | None:
    """What is served, as a part of the strong tier's, with a bootstrap interval."""
    given, kept, best = (np.array(each, np.float64) for each in (values, weak, strong))
    if not best.sum():
        return None
    served = np.where((given >= threshold) & (threshold < 1.0), best, kept)
    random = np.random.default_rng(0)
    draws = [random.integers(0, len(best), len(best)) for _ in range(_RESAMPLES)]
    parts: Array = np.array([served[at].sum() / max(best[at].sum(), 1e-12) for at in draws])
    low, high = (float(each) for each in np.quantile(parts, [0.025, 0.975]))
    value = float(served.sum() / best.sum())
    return value, min(low, value), max(high, value)
