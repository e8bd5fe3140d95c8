"""How far the figures can be trusted, and what would change them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.store.blocks import Block, Row
from gateway.store.doubts import MISSING_PRICE, MISSING_RATE
from router_models.report.bill import Bill, grouped, sum_of


def certainty(blocks: Sequence[Block]) -> dict[str, Any]:
    """Count what the bill rests on: prices, baselines, modes, and what was estimated.

    `estimated_cost` is of calls whose tokens the upstream did not report, `unsettled_cost` of
    those whose end nobody saw; `unserved` are requests that ended without an answer: they cost,
    and their baseline is nothing. `unpriced` and `off_rate` say by model how many calls, and how
    many tokens, are booked at nothing for want of a price, and at the common price for want of one
    of their tier of service, with what that came to.
    """
    requests = [row for block in blocks for row in block.requests]
    calls = [row for block in blocks for row in block.calls]
    unserved = [row for row in requests if row["tier"] == "none"]
    return {
        "price_versions": _counts(
            [row for row in requests if row["recipe"] is not None], "price_version"
        ),
        "baseline": {
            f"{tier}, {policy or 'same_prompt'}, {basis}": sum_of(rows, "requests")
            for (tier, policy, basis), rows in grouped(
                [{**row, "basis": _basis(row)} for row in requests],
                ("baseline_tier", "baseline_policy", "basis"),
            ).items()
        },
        "unpriced": _doubtful(calls, MISSING_PRICE),
        "off_rate": _doubtful(calls, MISSING_RATE),
        "modes": _counts(requests, "mode"),
        "estimated_requests": sum_of(requests, "estimated"),
        "estimated_cost": sum_of((call for call in calls if call["estimated"]), "cost"),
        "unsettled_calls": sum_of((c for c in calls if c["status"] == "unsettled"), "calls"),
        "unsettled_cost": sum_of((c for c in calls if c["status"] == "unsettled"), "cost"),
        "degraded": sum_of(requests, "degraded"),
        "unserved": sum_of(unserved, "requests"),
        "unserved_cost": sum_of(unserved, "cost"),
    }


def _basis(row: Row) -> str:
    """What a baseline rests on: that of an answer which nobody has priced is no measure."""
    if row["recipe"] is not None and not row["price_version"]:
        return "unpriced"
    return row["baseline_basis"] or "estimated"


def _doubtful(calls: Sequence[Row], doubt: str) -> list[dict[str, Any]]:
    """By model, the one with the most tokens first."""
    models = grouped((call for call in calls if call["doubt"] == doubt), ("model",))
    told = [
        {
            "model": model,
            "calls": sum_of(rows, "calls"),
            "tokens": sum_of(rows, "prompt_tokens") + sum_of(rows, "completion_tokens"),
            "cost": sum_of(rows, "cost"),
        }
        for (model,), rows in models.items()
    ]
    return sorted(told, key=lambda each: (-each["tokens"], -each["calls"], each["model"]))


def _counts(requests: Sequence[Mapping[str, Any]], name: str) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for row in requests:
        counts[row[name] or "none"] += row["requests"]
    return dict(counts.most_common())


def tier_costs(blocks: Sequence[Block]) -> dict[str, int]:
    """What was spent on each tier's own calls, in nano-dollars, served or not; not on checks."""
    costs: Counter[str] = Counter()
    for block in blocks:
        for row in block.requests:  # `check_cost` is also of the drafts that were not served
            costs[row["tier"]] += row["served_cost"] - row["check_cost"]
        for row in block.attempts:
            costs[row["tier"]] += 0 if row["shadow"] else row["cost"]
        for row in (each for each in block.checks if not each["shadow"]):
            costs[row["served_by"]] += row["cost"]
            costs[row["tier"]] -= row["cost"]
    return {tier: cost for tier, cost in costs.items() if cost}


def sensitivity(bill: Bill, blocks: Sequence[Block], own: int) -> list[dict[str, Any]]:
    """The saved share, were something else: the baseline tier's prices, the other tiers', caches,
    shadows, the volume (`own` is what the gateway costs, whatever the volume). Each for itself; the
    traffic stays as it was."""
    spent = tier_costs(blocks)
    bases = {row["baseline_tier"] for block in blocks for row in block.requests}
    at_base = sum(cost for tier, cost in spent.items() if tier in bases)
    others = sum(spent.values()) - at_base
    baseline, actual = bill.baseline, bill.actual

    def told(what: str, baseline: float, actual: float) -> dict[str, Any]:
        share = 1 - actual / baseline if baseline else None
        return {"what": what, "saved": round(baseline - actual), "share": share}

    names = ", ".join(sorted(filter(None, bases)))
    rows = [
        told(f"{names} {change:.0%} dearer" if change > 0 else f"{names} {-change:.0%} cheaper",
             baseline * (1 + change), actual + at_base * change)
        for change in (0.25, -0.25)
    ] + [
        told(f"the other tiers {change:.0%} dearer" if change > 0
             else f"the other tiers {-change:.0%} cheaper",
             baseline, actual + others * change)
        for change in (0.25, -0.25)
    ]  # fmt: skip
    if bill.cache:
        rows.append(told("without providers' caches", baseline, actual + bill.cache))
    if bill.shadow:
        rows.append(told("without shadows", baseline, actual - bill.shadow))
    if own:
        rows += [
            told(f"{times:g} times the volume, at the same cost of the gateway's own",
                 baseline * times, (actual - own) * times + own)
            for times in (0.1, 10)
        ]  # fmt: skip
    return rows


def least_volume(bill: Bill, own: int, days: float) -> float | None:
    """Requests a day from which the gateway's `own` cost has come in; None where it never does, or
    where there is none."""
    earned = bill.saved + own
    if not own or earned <= 0 or not days:
        return None
    return own / (earned / bill.requests) / days
