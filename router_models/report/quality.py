"""What labels say of the answers: how good the served ones are, and what was lost by not asking the
baseline tier."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

from gateway.core.economics import worth
from gateway.core.money import NANO
from gateway.store.blocks import Row
from router_models.report.bill import UNKNOWN, Interval, grouped, sum_of

LEAST = 30
"""Labels under which nothing is said of a tier's answers: chance says more."""
_Z = 1.959964
_SUPPOSED = (0.005, 0.01, 0.02, 0.05)


def quality(labels: Sequence[Row], served: dict[str, int], baseline: str) -> dict[str, Any]:
    """Say how good the answers were.

    `served` counts the requests by the tier that served them. `difference` is the mean label of
    what was served less that of the baseline tier's answer to the same request, 0 to 1, over all
    traffic: what the baseline tier served itself counts as no difference, each other tier by its
    share and the mean over its requests that have labels of both (normal approximation, each tier
    a stratum). It holds as far as requests are labelled by chance. `why` says why it is unknown, or
    what it goes by where it is known without labels.
    """
    tiers = {tier: rows for (tier,), rows in grouped(labels, ("tier",)).items()}
    judged = {tier: sum_of(rows, "judged") for tier, rows in tiers.items()}
    told = {
        "labelled": sum_of(labels, "labelled"),
        "tiers": {
            tier: {"labels": judged[tier], **_mean(rows, "judged", "served")}
            for tier, rows in tiers.items()
            if judged[tier]
        },
        "difference": dict(UNKNOWN),
        "pairs": sum(sum_of(rows, "pairs") for tier, rows in tiers.items() if tier != baseline),
        "why": "",
    }
    total, value, variance = sum(served.values()), 0.0, 0.0
    for tier, count in served.items():
        if tier == baseline:
            continue
        rows = tiers.get(tier, [])
        pairs = sum_of(rows, "pairs")
        if pairs < LEAST:
            needed = f"{tier} has {pairs} answers with a label of both, and {LEAST} are needed"
            return told | {"why": needed}
        gap = _float(rows, "gap")
        value += count / total * gap / pairs
        spread = _spread(pairs, gap, _float(rows, "gap_squares"))
        variance += (count / total) ** 2 * spread / (pairs + 2)
    if not total:
        return told | {"why": "nothing was served"}
    if {*served} <= {baseline}:
        told["why"] = f"all answers are those of {baseline} itself, which no label is needed for"
    half = _Z * sqrt(variance)
    return told | {"difference": {"value": value, "low": value - half, "high": value + half}}


def _mean(rows: Sequence[Row], count: str, name: str) -> Interval:
    """With Wilson's interval, which is on the safe side for any score from 0 to 1."""
    number = sum_of(rows, count)
    if number < LEAST:
        return dict(UNKNOWN)
    mean, square = _float(rows, name) / number, _Z * _Z
    middle = (mean + square / (2 * number)) / (1 + square / number)
    spread = max(0.0, mean * (1 - mean)) / number + square / (4 * number * number)
    half = _Z / (1 + square / number) * sqrt(spread)
    return {"value": mean, "low": max(0.0, middle - half), "high": min(1.0, middle + half)}


def _float(rows: Sequence[Row], name: str) -> float:
    return float(sum(row[name] or 0.0 for row in rows))


def _spread(pairs: int, gap: float, squares: float) -> float:
    """The variance of a pair's difference, with half a pair added to each of the four ways in which
    two labels can fall, after Agresti and Min (2005): so that no few equal pairs seem certain."""
    count, squares = pairs + 2, squares + 1
    mean = gap / count
    return (squares / count - mean * mean) * count / (count - 1)


def bad_answers(saved: int, requests: int, difference: Interval) -> dict[str, Any]:
    """λ*: what a bad answer may cost, in dollars, before the waterfall stops paying.

    With labels by the difference that they say, at either end of its interval; and for shares of
    bad answers that one may suppose.
    """
    each = saved / requests / NANO if requests else 0.0
    told: dict[str, Any] = {
        "saved_per_request_usd": each,
        "supposed": [
            {"extra_bad": share, "limit_usd": worth(each, share).limit or 0.0}
            for share in _SUPPOSED
        ],
        "measured": None,
    }
    value, low, high = (difference[name] for name in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return told
    found = {"value": worth(each, -value), "low": worth(each, -low), "high": worth(each, -high)}
    measured = {name: {"when": at.when, "limit_usd": at.limit} for name, at in found.items()}
    return told | {"measured": measured}
