"""What many requests, decided again, add up to; with 95 % intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from gateway.core.money import NANO
from router_models.replay.again import Again
from router_models.replay.recorded import Record

RESAMPLES = 1_000
_BATCH = 50
_Z = 1.959964
_FIRST: Final = 5
_ELSEWHERE: Final = frozenset({"tier", "check", "step"})
"""Whys of what is unknown that say that something else is done than was."""


@dataclass
class Tally:
    """Requests as they come: each as recorded, and as a policy decides it again."""

    requests: int = 0
    starts: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    served: Counter[str] = field(default_factory=Counter)
    above: int = 0
    escalated: int = 0
    degraded: int = 0
    same: int = 0
    untold: int = 0
    """Decided alike as far as anybody can tell, which is not to the end."""
    other: list[str] = field(default_factory=list)
    """Entries that were decided otherwise; the first few."""
    money: list[tuple[int, int, int]] = field(default_factory=list)
    """Of what is known: the cost again, as recorded, and at the baseline, in nano-dollars."""
    good: list[float] = field(default_factory=list)
    before: list[float] = field(default_factory=list)
    """Labels of what is served again and, of the same requests, of what was served: what was
    deferred is seldom known, and against all requests its absence would pass for quality."""

    def add(self, record: Record, again: Again | str) -> None:
        """Count one request."""
        self.requests += 1
        row = record.row
        if isinstance(again, str):
            self.unknown[again] += 1
            self.untold += 1
            return
        self.starts[again.start] += 1
        self.above += again.above
        if again.unknown:
            self.unknown[again.unknown] += 1
        else:
            self._add_known(record, again)
        found = alike(record, again)
        self.same += found == "same"
        self.untold += found == "unknown"
        if found == "otherwise" and len(self.other) < _FIRST:
            self.other.append(str(row["entry_id"]))

    def _add_known(self, record: Record, again: Again) -> None:
        row = record.row
        self.served[again.served] += 1
        self.escalated += again.escalated
        self.degraded += again.degraded
        self.money.append((again.cost, row["cost"], row["baseline_cost"]))
        if again.served in record.good and row["tier"] in record.good:
            self.good.append(record.good[again.served])
            self.before.append(record.good[row["tier"]])

    def figures(self) -> dict[str, Any]:
        """Say what it comes to. Shares are 0..1, money in dollars."""
        known, planned = len(self.money), sum(self.starts.values())
        money = np.array(self.money, dtype=np.float64).reshape(-1, 3) / NANO
        missing = self.requests - known
        return {
            "requests": self.requests,
            "known": known,
            "unknown": dict(self.unknown.most_common()),
            "unknown_share": missing / self.requests if self.requests else None,
            "start": dict(self.starts.most_common()),
            "share_up": _share(self.above, planned),
            "escalated": {
                **_share(self.escalated, known),
                "at_least": self.escalated / self.requests if self.requests else None,
                "at_most": (self.escalated + missing) / self.requests if self.requests else None,
            },
            "degraded": _share(self.degraded, known),
            "served": dict(self.served.most_common()),
            "cost_usd": _resampled(money, lambda sums: sums[:, 0] / known),
            "recorded_cost_usd": _resampled(money, lambda sums: sums[:, 1] / known),
            "baseline_cost_usd": _resampled(money, lambda sums: sums[:, 2] / known),
            "saved": _resampled(money, _saved),
            "quality": _mean(self.good),
            "recorded_quality": _mean(self.before),
            "same": self.same,
            "same_unknown": self.untold,
            "otherwise": self.requests - self.same - self.untold,
            "other": self.other,
        }


def alike(record: Record, again: Again) -> Literal["same", "unknown", "otherwise"]:
    """Is this what was decided then: start, calls, what was served, and how? What nobody can follow
    to its end is no more than unknown, and otherwise where it has left the record's way by then."""
    row = record.row
    if (again.start, again.reason) != (row["start_tier"], row["start_reason"]):
        return "otherwise"
    if again.unknown in _ELSEWHERE or again.called != record.actual[: len(again.called)]:
        return "otherwise"
    if not record.over or (again.unknown and again.unknown != "cut"):
        return "unknown"
    served = (again.called, again.served, again.escalated, again.degraded, again.cost)
    actual = (bool(row["escalated"]), bool(row["degraded"]), row["cost"])
    is_same = not again.unknown and served == (record.actual, row["tier"], *actual)
    return "same" if is_same else "otherwise"


def _saved(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(sums[:, 2] > 0, 1 - sums[:, 0] / sums[:, 2], np.nan))


def _share(count: int, of: int) -> dict[str, float | None]:
    """A share with Wilson's interval."""
    if not of:
        return {"value": None, "low": None, "high": None}
    part, square = count / of, _Z * _Z
    middle = (part + square / (2 * of)) / (1 + square / of)
    half = _Z / (1 + square / of) * sqrt(part * (1 - part) / of + square / (4 * of * of))
    return {"value": part, "low": max(0.0, middle - half), "high": min(1.0, middle + half)}


def _mean(values: Sequence[float]) -> dict[str, Any]:
    """A mean over labels, and how many they are; nothing is known without any."""
    column = np.array(values, dtype=np.float64).reshape(-1, 1)
    found = _resampled(column, lambda sums: sums[:, 0] / len(values))
    return {**found, "labels": len(values)}


def _resampled(
    rows: NDArray[np.float64], figure: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> dict[str, float | None]:
    """A figure of the rows' sums, with its percentile bootstrap interval; one seed, so that the
    same rows say the same."""
    if not len(rows):
        return {"value": None, "low": None, "high": None}
    found = np.concatenate([figure(sums) for sums in _sums(rows)])
    value = float(figure(rows.sum(axis=0, keepdims=True))[0])
    if np.isnan(value):
        return {"value": None, "low": None, "high": None}
    low, high = np.nanquantile(found, [0.025, 0.975])
    return {"value": value, "low": float(low), "high": float(high)}


def _sums(rows: NDArray[np.float64]) -> Iterable[NDArray[np.float64]]:
    random = np.random.default_rng(0)
    for _ in range(RESAMPLES // _BATCH):
        drawn = random.integers(0, len(rows), (_BATCH, len(rows)))
        yield rows[drawn].sum(axis=1)
