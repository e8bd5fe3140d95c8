"""What other thresholds would have come to, by replay of a sample of what is recorded.

Where nobody knows what would have come of a request, it is not left out: it costs at least a draft,
and at most a draft and the baseline's answer; started at the baseline tier, it costs what that is
reckoned to.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gateway.core.difficulty import start_index
from gateway.core.plan import Plan, Tier
from gateway.store.blocks import Period
from gateway.store.connection import Place
from gateway.store.sample import sample
from router_models.replay.again import Again, decide_again
from router_models.replay.figures import Tally
from router_models.replay.recorded import Record, read_records
from router_models.report.bill import resampled
from router_models.report.quality import LEAST

GRID = (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)


@dataclass
class _Tally:
    above: int = 0
    known: int = 0
    money: list[tuple[float, float, float]] = field(default_factory=list)
    """At least, at most, and at the baseline; nano-dollars."""
    good: list[float] = field(default_factory=list)


def drawn(
    place: Place, period: Period, count: int, seed: int
) -> tuple[list[Decisions], list[Decisions]]:
    """Draw at most so many of a period's requests by chance, and as many that have labels. Raises
    OSError."""
    whole = sample(place, period, count, random.Random(seed))
    records = list(map(Decisions, read_records(whole)))
    return records, drawn_judged(place, period, count, seed)


def drawn_judged(place: Place, period: Period, count: int, seed: int) -> list[Decisions]:
    """Draw at most so many of a period's requests that have labels. Raises OSError."""
    labelled = sample(place, period, count, random.Random(seed), labelled=True)
    return list(map(Decisions, read_records(labelled)))


def tried(
    records: Sequence[Decisions], judged: Sequence[Decisions], threshold: float
) -> dict[str, Any]:
    """What requests that were drawn come to at a threshold: what `waterfall replay` says of those
    whose end is known, and in `bounds` a row of `sweep`, the others included."""
    tally = Tally()
    for each in records:
        _, again = each.at(threshold)
        tally.add(each.record, "plan" if again is None else again)
    (bounds,) = sweep(records, judged, [threshold])
    return {**tally.figures(), "threshold": threshold, "bounds": bounds}


def why_not(records: Sequence[Decisions]) -> str:
    """Why there is no threshold to try; empty where there is one."""
    if not records:
        return "None of these requests says what it was decided on."
    if not any(len(_usable(each.record.decided.plan)) > 1 for each in records):
        return "Their route has one tier: there is no threshold to try."
    return ""


def in_force(records: Sequence[Decisions]) -> float | None:
    """The first threshold that was in force last."""
    decided = (each.record.decided for each in reversed(records))
    return next((each.thresholds[0] for each in decided if each.thresholds), None)


def try_thresholds(
    place: Place, period: Period, route: str, count: int, seed: int
) -> dict[str, Any]:
    """Replay a sample of a route's requests at each of GRID, and at the threshold in force last;
    say which is the cheapest for sure. Raises OSError."""
    records, judged = drawn(place, replace(period, route=route), count, seed)
    if why := why_not(records):
        return {"why": why}
    now = in_force(records)
    rows = sweep(records, judged, GRID if now is None else (*GRID, now))
    return {
        "why": "",
        "route": route,
        "sample": len(records),
        "seed": seed,
        "now": now,
        "rows": rows,
        "best": _best(rows, now),
    }


def _best(rows: Sequence[dict[str, Any]], now: float | None) -> float | None:
    """The threshold whose least saving is over the most that the one in force can have."""
    here = next((row for row in rows if row["threshold"] == now), None)
    if here is None:
        return None
    surely = [row for row in rows if row["saved"]["low"] > here["saved"]["high"]]
    return max(surely, key=lambda row: row["saved"]["low"])["threshold"] if surely else None


def sweep(
    records: Sequence[Decisions], judged: Sequence[Decisions], thresholds: Iterable[float]
) -> list[dict[str, Any]]:
    """Replay the records at each threshold; the quality is that of `judged`, which have labels."""
    tallies = {threshold: _Tally() for threshold in sorted({*thresholds})}
    for record in records:
        for threshold, tally in tallies.items():
            _add(tally, record.record, *record.at(threshold))
    for record in judged:
        for threshold, tally in tallies.items():
            good = _label(record.record, *record.at(threshold))
            tally.good += [] if good is None else [good]
    return [_row(threshold, tally) for threshold, tally in tallies.items()]


class Decisions:
    """One request decided again at many thresholds: most of them make the same plan."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self._known: dict[tuple[str, ...], tuple[Plan, Again]] = {}

    def at(self, threshold: float) -> tuple[Plan | None, Again | None]:
        """The plan and what comes of it; None for both where the plan cannot be told."""
        plan = at_threshold(self.record, threshold)
        if isinstance(plan, str):
            return None, None
        starts = tuple(tier.name for tier in plan.tiers)
        if starts not in self._known:
            self._known[starts] = (plan, decide_again(plan, self.record))
        return self._known[starts]


def _label(record: Record, plan: Plan | None, again: Again | None) -> float | None:
    """The label of what would have been served, where it is known who would have served it, and
    that one's answer is labelled. What starts at the strongest tier is served by it."""
    if plan is None or again is None:
        return None
    strongest = list(plan.expected)[-1] if plan.expected else ""
    served = again.served if not again.unknown else again.start
    known = not again.unknown or (again.unknown == "tier" and again.start == strongest)
    return record.good.get(served) if known else None


def at_threshold(record: Record, threshold: float) -> Plan | str:
    """The plan that a request would have had at another first threshold, all else as it was; a word
    of `again.UNKNOWN` where that cannot be told.

    Only what the score decided starts elsewhere: not what a rule, the client, a latch or a cache
    did. Where the policy only observed, its own plan is meant.
    """
    decided = record.decided
    plan = decided.would or decided.plan
    value = record.row["difficulty"]
    if plan.reason != "score" or value is None or decided.asked.thresholds is not None:
        return plan
    names, usable = list(plan.expected), _usable(plan)
    others = decided.thresholds[1:]
    scored = start_index(value, (threshold, *(max(threshold, each) for each in others)))
    wanted = names[min(scored, len(names) - 1)]
    if wanted not in [tier.name for tier in usable]:
        return "plan"
    at = [tier.name for tier in usable].index(wanted)
    if usable[at] == plan.tiers[0]:
        return plan
    below = tuple(reversed(usable[:at])) if plan.below else ()
    return replace(plan, tiers=tuple(usable[at:]), below=below, speculate=None)


def _usable(plan: Plan) -> list[Tier]:
    """The tiers of a plan, cheap to strong."""
    ladder = {tier.name: tier for tier in (*plan.tiers, *plan.below)}
    return [ladder[name] for name in plan.expected if name in ladder]


def _add(tally: _Tally, record: Record, plan: Plan | None, again: Again | None) -> None:
    baseline = record.row["baseline_cost"]
    if plan is None or again is None:
        tally.money.append((0.0, float(baseline), baseline))
        return
    tally.above += again.above
    if not again.unknown:
        tally.known += 1
        tally.money.append((again.cost, again.cost, baseline))
        return
    tally.money.append((*_bounds(record, plan, again), baseline))


def _bounds(record: Record, plan: Plan, again: Again) -> tuple[float, float]:
    """What a request costs at least and at most of which only the start is known."""
    row = record.row
    baseline = float(row["baseline_cost"] or row["cost"])
    if again.unknown == "cut":
        return float(row["cost"]), float(row["cost"])
    if again.start == row["baseline_tier"]:
        return baseline, baseline
    tier = plan.tiers[0]
    checks = sum(plan.check_cost(tier, spec) for spec in tier.bar.checks)
    draft = float(plan.expected.get(again.start, 0))
    return min(draft, baseline), draft + checks + baseline


def _row(threshold: float, tally: _Tally) -> dict[str, Any]:
    table = np.array(tally.money, np.float64)
    count = len(table)
    least = resampled(table, lambda sums: 1 - sums[:, 1] / sums[:, 2])
    most = resampled(table, lambda sums: 1 - sums[:, 0] / sums[:, 2])
    good: dict[str, float | None] = {"value": None, "low": None, "high": None}
    if len(tally.good) >= LEAST:
        column = np.array(tally.good, np.float64).reshape(-1, 1)
        good = resampled(column, lambda sums: sums[:, 0] / len(column))
    return {
        "threshold": threshold,
        "above": tally.above / count,
        "known": tally.known / count,
        "cost_per_1000": [round(float(table[:, end].mean()) * 1_000) for end in (0, 1)],
        "saved": {
            "at_least": least["value"],
            "at_most": most["value"],
            "low": least["low"],
            "high": most["high"],
        },
        "quality": {**good, "labels": len(tally.good)},
    }
