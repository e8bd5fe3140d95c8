"""Where the money went: by route, tier and recipe; by where requests started; by what was lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gateway.core.economics import break_even_escalation
from gateway.store.blocks import Block, Row
from router_models.report.bill import Interval, grouped, resampled, sum_of

_MOST = 8


def by_cost(blocks: Sequence[Block]) -> dict[str, list[dict[str, Any]]]:
    """What 1,000 requests cost, in nano-dollars, by route, by the tier that served, and by its
    recipe; each table's requests and costs add up to the whole. Shadows are in none."""
    requests = [row for block in blocks for row in block.requests]
    return {
        "route": cost_table(requests, ("route",)),
        "tier": cost_table(requests, ("tier",)),
        "recipe": cost_table([row for row in requests if row["recipe"]], ("tier", "recipe")),
    }


def cost_table(requests: Sequence[Row], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """What requests of each kind cost, the dearest kind first; `names` are the kind's columns."""
    rows = []
    for key, group in grouped(requests, names).items():
        count, cost = sum_of(group, "requests"), sum_of(group, "cost")
        baseline = sum_of(group, "baseline_cost")
        rows.append(
            {
                **dict(zip(names, key, strict=True)),
                "requests": count,
                "cost": cost,
                "baseline": baseline,
                "cost_per_1000": cost * 1_000 / count,
                "saved": 1 - cost / baseline if baseline else None,
            }
        )
    return sorted(rows, key=lambda row: -row["cost"])


def by_start(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    """How often the tier that a request started at was not enough, beside how often it may be.

    For the requests of a route that started at a tier under the baseline's: `rate` is the share
    that a higher tier served; `weighed` the same in money: what came after the first tier, as a
    part of the baseline's bill; `break_even` is e* = 1 - (c_S + v) / c_L, over the same bill.
    `saved` = baseline · (e* - weighed), to the nano-dollar.
    """
    requests = [row for block in blocks for row in block.requests]
    told = []
    for (route, start), group in grouped(requests, ("route", "start_tier")).items():
        if start in {row["baseline_tier"] for row in group}:
            continue
        count = sum_of(group, "requests")
        first, later, baseline = _parts(blocks, route, start)
        limit = break_even_escalation(first / count, 0.0, baseline / count)
        escalated = sum_of((row for row in group if row["escalated"]), "requests")
        told.append(
            {
                "route": route,
                "tier": start,
                "requests": count,
                "escalated": escalated,
                "rate": escalated / count,
                "weighed": later / baseline if baseline else None,
                "break_even": limit,
                "first": first,
                "later": later,
                "baseline": baseline,
                "saved": baseline - first - later,
                "saved_share": _share_of(blocks, route, start),
            }
        )
    return sorted(told, key=lambda row: row["saved"])


def _parts(blocks: Sequence[Block], route: str, start: str) -> tuple[int, int, int]:
    """What was spent on the tier that they started at and on judging and scoring there, what on
    others, and what the baseline would have cost."""
    wanted = {"route": route, "start_tier": start}
    group = _those((row for block in blocks for row in block.requests), wanted)
    others = _those((row for block in blocks for row in block.attempts), wanted)
    later = sum_of((row for row in group if row["tier"] != start), "served_cost")
    later += sum_of((row for row in others if row["tier"] != start and not row["shadow"]), "cost")
    cost = sum_of(group, "cost")
    return cost - later, later, sum_of(group, "baseline_cost")


def _share_of(blocks: Sequence[Block], route: str, start: str) -> Interval:
    """The share of the baseline's bill that was saved, with its interval over blocks."""
    wanted = {"route": route, "start_tier": start}
    rows = [_those(block.requests, wanted) for block in blocks]
    table = [(sum_of(each, "cost"), sum_of(each, "baseline_cost")) for each in rows if each]
    return resampled(np.array(table, np.float64), lambda sums: 1 - sums[:, 0] / sums[:, 1])


def _those(rows: Any, wanted: dict[str, Any]) -> list[Row]:
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def losses(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    """What was spent and not served, by route, tier and reason; the dearest first."""
    others = [row for block in blocks for row in block.attempts if not row["shadow"]]
    told: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in others:
        key = (row["route"], row["tier"], _reason(row))
        names = ("route", "tier", "reason")
        fresh = {**dict(zip(names, key, strict=True)), "attempts": 0, "cost": 0}
        known = told.setdefault(key, fresh)
        known["attempts"] += row["attempts"]
        known["cost"] += row["cost"]
    dearest = sorted(told.values(), key=lambda row: -row["cost"])
    return [row for row in dearest if row["cost"]][:_MOST]


def _reason(row: Row) -> str:
    """Why it was not served: its failure, its verdict's reason; what has neither was cut short."""
    return str(row["failure"] or row["reason"] or "left or outrun")
