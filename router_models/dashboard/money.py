"""Money: what was spent, what the baseline would have been, and what lies between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from gateway.store.blocks import Block, Row
from gateway.store.totals import Totals
from router_models.dashboard.asking import Asked
from router_models.dashboard.hourly import about, added, rolled, stepped
from router_models.report.bill import UNKNOWN, Interval, saved_share
from router_models.report.places import cost_table

_SPENT: Final = ("cost", "shadow_cost", "gateway_cost")
_SUMS: Final = (
    *(*_SPENT, "requests", "baseline_cost", "serve_cost", "draft_cost", "check_cost", "score_cost"),
    *("escalated", "degraded", "estimated", "calls", "unsettled_calls"),
    *("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens"),
)
_BLOCKS: Final = 100
LEAST: Final = 10
"""Hours that an interval can be told from."""


def money(asked: Asked) -> dict[str, Any]:
    """Say it. Money is in whole nano-dollars, shares are 0..1; the interval of the saved share
    draws the period's blocks of hours anew, as `waterfall report` does with blocks of requests, and
    is None where there are too few."""
    rows = rolled(asked)
    served: Counter[str] = Counter()
    for row in rows:
        served[row["tier"]] += row["requests"]
    bill, sums = bill_of(rows), added(rows, _SUMS)
    return {
        **about(asked),
        "requests": sums["requests"],
        "bill": bill,
        "saved_share": _saved(rows) if bill["baseline"] else dict(UNKNOWN),
        "served": dict(served.most_common()),
        "sums": sums,
        "over_time": [_step(at, part) for at, part in stepped(asked, rows)],
        "by_route": cost_table(rows, ("route",)),
        "by_tier": cost_table(rows, ("tier",)),
    }


def bill_of(rows: Sequence[Row]) -> dict[str, int]:
    """The bill of `waterfall report`, from the baseline to what was spent. `cheaper` is its cheaper
    tiers and caches together: an hour's sums do not tell the two apart."""
    cut_off = added((row for row in rows if row["outcome"] == "unsettled"), ("cost",))["cost"]
    whole = [row for row in rows if row["outcome"] != "unsettled"]
    sums, here = added(rows, _SUMS), added(whole, _SUMS)
    actual = sum(sums[name] for name in _SPENT)
    return {
        "baseline": sums["baseline_cost"],
        "cheaper": sums["baseline_cost"] - (here["serve_cost"] - here["draft_cost"]),
        "discarded": here["draft_cost"],
        "checks": here["check_cost"],
        "scoring": here["score_cost"],
        "cut_off": cut_off,
        "shadow": sums["shadow_cost"],
        "gateway": sums["gateway_cost"],
        "actual": actual,
        "saved": sums["baseline_cost"] - actual,
    }


def _saved(rows: Sequence[Row]) -> Interval:
    """The saved share; of fewer than `LEAST` hours without an interval: drawn anew, they would all
    be the same few."""
    blocks = _blocks(rows)
    found = saved_share(blocks)
    return found if len(blocks.blocks) >= LEAST else {**UNKNOWN, "value": found["value"]}


def _blocks(rows: Sequence[Row]) -> Totals:
    """The hours as a report's blocks: at most a hundred, of as many hours each."""
    hours = sorted({row["hour"] for row in rows})
    many = max(1, -(-len(hours) // _BLOCKS))
    place = {hour: number // many for number, hour in enumerate(hours)}
    blocks: list[list[Row]] = [[] for _ in range(-(-len(hours) // many))]
    for row in rows:
        blocks[place[row["hour"]]].append(row)
    return Totals(tuple(Block(requests=each) for each in blocks))


def _step(at: int, rows: Sequence[Row]) -> dict[str, int]:
    sums = added(rows, ("requests", "baseline_cost", *_SPENT))
    spent = sum(sums[name] for name in _SPENT)
    told = {"requests": sums["requests"], "cost": spent, "baseline": sums["baseline_cost"]}
    return {"at": at, **told}
