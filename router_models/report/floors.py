"""Floors that a report may not fall under: for a pipeline that is to stop when one is broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from router_models.report.document import percent

Figures = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Floor:
    """`find` takes the figure from a report's figures, None where it is unknown; `least` says that
    the limit is the least that it may be, else the most."""

    option: str
    what: str
    least: bool
    find: Callable[[Figures], float | None]


def _over_requests(name: str) -> Callable[[Figures], float | None]:
    def find(told: Figures) -> float | None:
        return told["certainty"][name] / told["requests"] if told["requests"] else None

    return find


def _of_spent(name: str) -> Callable[[Figures], float | None]:
    def find(told: Figures) -> float | None:
        actual = told["bill"]["actual"]
        return told["certainty"][name] / actual if actual else None

    return find


def _unpriced(told: Figures) -> float | None:
    calls = sum(row["calls"] for row in told["certainty"]["unpriced"])
    return calls / told["requests"] if told["requests"] else None


def _escalation(told: Figures) -> float | None:
    started = sum(row["requests"] for row in told["starts"])
    return sum(row["escalated"] for row in told["starts"]) / started if started else None


def _discarded(told: Figures) -> float | None:
    bill = told["bill"]
    return bill["discarded"] / bill["actual"] if bill["actual"] else None


def _quality_loss(told: Figures) -> float | None:
    found: float | None = told["quality"]["difference"]["value"]
    return None if found is None else -found


FLOORS = (
    Floor("min_saving", "saved of the baseline's bill", True, lambda t: t["saved_share"]["value"]),
    Floor("max_quality_loss", "quality lost against the baseline tier", False, _quality_loss),
    Floor("max_escalation", "escalated of what started lower", False, _escalation),
    Floor("max_discarded", "discarded of what was spent", False, _discarded),
    Floor("max_estimated", "estimated of what was spent", False, _of_spent("estimated_cost")),
    Floor("max_unsettled", "unsettled of what was spent", False, _of_spent("unsettled_cost")),
    Floor("max_unpriced", "calls without a price, of all requests", False, _unpriced),
    Floor("max_unserved", "requests without an answer", False, _over_requests("unserved")),
)  # fmt: skip
"""Each is an option; its value is a share."""


def judge(told: Figures, limits: Mapping[str, float]) -> list[dict[str, Any]]:
    """Hold the figures themselves, not their intervals, against the limits that are given. What is
    unknown holds no floor."""
    judged = []
    for floor in FLOORS:
        if (limit := limits.get(floor.option)) is None:
            continue
        found = floor.find(told)
        held = found is not None and (found >= limit if floor.least else found <= limit)
        judged.append(
            {
                "floor": floor.option,
                "what": floor.what,
                "limit": f"{'at least' if floor.least else 'at most'} {percent(limit, 2)}",
                "found": percent(found, 2),
                "held": held,
            }
        )
    return judged
