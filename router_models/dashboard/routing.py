"""Routing: where requests start, who serves them, how often that was not enough, and why."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from gateway.core.economics import break_even_escalation
from gateway.store.blocks import Row
from gateway.store.glance import glance
from router_models.dashboard.asking import Asked
from router_models.dashboard.hourly import about, added, rolled, stepped
from router_models.report.bill import grouped, sum_of

GLANCE: Final = 1_000
"""Requests that are drawn for what the roll-ups do not hold."""
BINS: Final = 20


def routing(asked: Asked) -> dict[str, Any]:
    """Say it. What is `over_time`, `starts` and `escalation` is of all requests; `difficulty`,
    `reasons` and `start_reasons` of `drawn` ones, drawn by chance with `seed`."""
    rows = rolled(asked)
    seed = asked.whole("seed", 0, 0, 2**31 - 1)
    drawn = glance(asked.place, asked.period, GLANCE, random.Random(seed))
    starts: Counter[str] = Counter()
    for row in rows:
        starts[row["start_tier"]] += row["requests"]
    return {
        **about(asked),
        "requests": sum_of(rows, "requests"),
        "escalated": sum_of(rows, "escalated"),
        "degraded": sum_of(rows, "degraded"),
        "starts": dict(starts.most_common()),
        "over_time": [_step(at, part) for at, part in stepped(asked, rows)],
        "escalation": _escalation(rows),
        "drawn": len(drawn),
        "seed": seed,
        "difficulty": _difficulty(drawn),
        "reasons": _reasons(drawn),
        "start_reasons": dict(Counter(row["start_reason"] for row in drawn).most_common(12)),
    }


def _step(at: int, rows: Sequence[Row]) -> dict[str, Any]:
    served: Counter[str] = Counter()
    for row in rows:
        served[row["tier"]] += row["requests"]
    return {"at": at, **added(rows, ("requests", "escalated")), "served": dict(served)}


def _escalation(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """By route and by the tier that requests started at: the share that a higher one served, and
    the most that may (e* of the report); what was served by another tier than the first is what
    came later."""
    told = []
    for (route, start), group in grouped(rows, ("route", "start_tier")).items():
        sums = added(group, ("requests", "escalated", "cost", "baseline_cost"))
        if not sums["escalated"] or not sums["baseline_cost"]:
            continue
        served = [row for row in group if row["tier"] != start]
        later = sum_of(served, "serve_cost") - sum_of(served, "draft_cost")
        count = sums["requests"]
        limit = break_even_escalation(
            (sums["cost"] - later) / count, 0.0, sums["baseline_cost"] / count
        )
        rate = {"rate": sums["escalated"] / count, "break_even": limit}
        told.append({"route": route, "tier": start, **sums, **rate})
    return sorted(told, key=lambda row: -row["requests"])


def _difficulty(drawn: Sequence[Row]) -> list[int]:
    """How many of the drawn requests are how difficult, in bins of a twentieth."""
    bins = [0] * BINS
    for value in (row["difficulty"] for row in drawn if row["difficulty"] is not None):
        bins[min(int(value * BINS), BINS - 1)] += 1
    return bins


def _reasons(drawn: Sequence[Row]) -> list[dict[str, Any]]:
    """Why drawn requests were escalated, the most frequent first."""
    found: Counter[tuple[str, str, str, str]] = Counter()
    for row in drawn:
        for each in row["escalations"]:
            found[each["from"], each["to"], each["cause"], each["reason"]] += 1
    names = ("from", "to", "cause", "reason")
    return [
        {**dict(zip(names, key, strict=True)), "count": count}
        for key, count in found.most_common(12)
    ]
