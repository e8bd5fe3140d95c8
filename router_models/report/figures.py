"""All figures of a report, as plain JSON values. Money is in whole nano-dollars, unless a name ends
in `_usd`; shares are 0..1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from gateway.store.blocks import Period
from gateway.store.totals import Totals
from router_models.report.bill import (
    UNKNOWN,
    add_up,
    cached_prices,
    saved_share,
    sum_of,
)
from router_models.report.certainty import certainty, least_volume, sensitivity
from router_models.report.places import by_cost, by_start, losses
from router_models.report.quality import bad_answers, quality

DAY = 86_400.0
MONTH = 30.0
"""Days of the month that --own-cost is for."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is to be of: `own` is what the gateway costs in thirty days, in nano-dollars,
    beside what the ledger says of it; `seed` is for what is drawn by chance."""

    period: Period = field(default_factory=Period)
    own: int = 0
    seed: int = 0


def figures(totals: Totals, asked: Asked, prices: Mapping[str, float] = {}) -> dict[str, Any]:
    """Say everything that the sums say. `prices` is what a cached token saves, by tier, in
    nano-dollars, for tiers whose own calls do not tell it."""
    blocks = totals.blocks
    days = _days(totals, asked.period)
    own = round(asked.own * days / MONTH)
    bill = add_up(blocks, {**prices, **cached_prices(blocks)}, own)
    requests = [row for block in blocks for row in block.requests]
    served = Counter[str]()
    for row in requests:
        served[row["tier"]] += row["requests"]
    served.pop("none", None)
    baselines = Counter({row["baseline_tier"]: 0 for row in requests})
    for row in requests:
        baselines[row["baseline_tier"]] += row["requests"]
    baseline = next((name for name, _ in baselines.most_common() if name), "")
    judged = quality(totals.labels, dict(served.most_common()), baseline)
    return {
        "period": {
            "since": asked.period.since,
            "until": asked.period.until,
            "first": totals.first,
            "last": totals.last,
            "days": days,
        },
        "route": asked.period.route,
        "requests": bill.requests,
        "baseline_tier": baseline,
        "baseline_tiers": sorted(filter(None, baselines)),  # a dead process told none
        "served": dict(served.most_common()),
        "bill": {**asdict(bill), "actual": bill.actual, "saved": bill.saved},
        "saved_share": saved_share(totals, own, asked.seed) if bill.baseline else dict(UNKNOWN),
        "quality": judged,
        "cost": by_cost(blocks),
        "starts": by_start(blocks),
        "losses": losses(blocks),
        "bad_answers": bad_answers(bill.saved, bill.requests, judged["difference"]),
        "certainty": certainty(blocks),
        "sensitivity": sensitivity(bill, blocks, own),
        "kept": sum_of(requests, "kept"),
        "by_budget": sum_of(requests, "by_budget"),
        "own_cost": own,
        "least_volume": least_volume(bill, own, days),
        "over_time": _over_time(totals),
        "blocks": len(blocks),
        "deleted_before": totals.deleted_before,
        "missing": totals.missing,
        "seed": asked.seed,
    }


def _days(totals: Totals, period: Period) -> float:
    """How long the period was: by its bounds where they are given, else by its requests."""
    if totals.first is None or totals.last is None:
        return 0.0
    first = totals.first if period.since is None else period.since
    last = totals.last if period.until is None else period.until
    return max(last - first, 0.0) / DAY


def _over_time(totals: Totals) -> list[dict[str, int]]:
    """What each block cost, and its baseline; in order."""
    names = ("cost", "shadow_cost", "gateway_cost")
    return [
        {
            "requests": sum_of(block.requests, "requests"),
            "cost": sum(sum_of(block.requests, name) for name in names),
            "baseline": sum_of(block.requests, "baseline_cost"),
        }
        for block in totals.blocks
    ]
