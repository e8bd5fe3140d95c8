"""How long the baseline tier's replies are beside another's, from requests that both answered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Pair = tuple[int, int]
"""Tokens of two whole replies to one request: another tier's, and the baseline tier's."""


@dataclass(frozen=True, slots=True)
class Length:
    """What some pairs say: `ratio` is the baseline tier's tokens over the other's, `error` its
    standard error, `typical` by how much a single estimate is off on average, as a share of the
    mean reply of the baseline tier."""

    pairs: int
    ratio: float
    error: float
    typical: float


def fit_length(pairs: Sequence[Pair]) -> Length | None:
    """Fit the ratio of totals, which brings the sum over many requests out right; None without a
    pair in which both said something.

    The standard error is the ratio estimator's own: sqrt(sum((b - ratio * o)^2) / (n - 1)) over
    mean(o) and sqrt(n).
    """
    known = [(other, base) for other, base in pairs if other > 0 and base > 0]
    if not known:
        return None
    others, bases = sum(o for o, _ in known), sum(b for _, b in known)
    ratio, count = bases / others, len(known)
    square = math.fsum((b - ratio * o) ** 2 for o, b in known)
    spread = math.sqrt(square / (count - 1)) if count > 1 else math.inf
    return Length(
        pairs=count,
        ratio=ratio,
        error=spread * math.sqrt(count) / others,
        typical=math.fsum(abs(b - ratio * o) for o, b in known) / bases,
    )


def estimate_error(pairs: Sequence[Pair], ratio: float) -> float | None:
    """By which share of the truth the sum of what `ratio` estimates is too long (or, negative, too
    short); None where there is no truth to hold it against."""
    bases = sum(base for _, base in pairs)
    return ratio * sum(other for other, _ in pairs) / bases - 1 if bases else None
