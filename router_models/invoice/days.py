"""Whose midnight a bill's days end at: the zone in which the ledger's days fit it best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta, timezone
from typing import Any

from router_models.invoice.billed import Billed, match
from router_models.invoice.hold import by_day

_HOURS = range(-12, 15)
_BETTER = 0.5
"""Another zone is named where it leaves less than this part of the days' gaps."""
_LEAST_DAYS = 3


def better_zone(
    rows: Sequence[Mapping[str, Any]],
    billed: Mapping[tuple[str, str], Billed],
    same: Mapping[str, str],
    now: float,
) -> str:
    """Name the whole-hour zone in which the days fit the bill far better than at `now` hours from
    UTC; empty where there is none, or too few days to tell. The bill's first and last day are left
    out: they are often cut."""
    names = sorted({row["model"] for row in rows})
    days = sorted({day for _, day in billed})[1:-1]
    if len(days) < _LEAST_DAYS:
        return ""
    wanted: dict[tuple[str, str], int] = {}
    for (model, day), line in billed.items():
        weight = line.cost if line.cost is not None else line.prompt
        key = (match(model, names, same), day)
        if day in days and weight is not None and key[0] in names:
            wanted[key] = wanted.get(key, 0) + weight
    by_cost = any(line.cost is not None for line in billed.values())
    gaps = {hours: _gap(rows, wanted, hours, "cost" if by_cost else "prompt_tokens")
            for hours in (*_HOURS, now)}  # fmt: skip
    best = min(gaps, key=lambda hours: (gaps[hours], abs(hours)))
    return f"{best:+03d}:00" if gaps[best] < _BETTER * gaps[now] else ""


def _gap(
    rows: Sequence[Mapping[str, Any]],
    wanted: Mapping[tuple[str, str], int],
    hours: float,
    column: str,
) -> float:
    """How far the days are apart in all, once each model's total is levelled: a price that is wrong
    on every day is no reason for another midnight."""
    found = by_day(rows, timezone(timedelta(hours=hours)))
    ours = {key: found[key].sums[column] if key in found else 0 for key in wanted}
    gap = 0.0
    for model in {model for model, _ in wanted}:
        keys = [key for key in wanted if key[0] == model]
        level = sum(wanted[key] for key in keys) / (sum(ours[key] for key in keys) or 1)
        gap += sum(abs(wanted[key] - ours[key] * level) for key in keys)
    return gap
