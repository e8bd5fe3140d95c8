"""What another threshold would have come to: a seeded sample of the ledger, decided again."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from gateway.store.blocks import Period
from gateway.store.connection import Place
from router_models.dashboard.asking import Asked, Refused
from router_models.dashboard.hourly import about
from router_models.report.what_if import Decisions, drawn, in_force, tried, why_not

SAMPLE: Final = 200
MOST: Final = 2_000


def what_if(asked: Asked) -> dict[str, Any]:
    """Say it of one route at one threshold: the figures of `waterfall replay --sample N --seed S
    --threshold T` over the same period. `now` is the threshold that was in force last."""
    if asked.route is None:
        raise Refused("route must name the route to try a threshold of.", "route")
    threshold = asked.number("threshold", -1.0, 0.0, 1.0)
    if threshold < 0:
        raise Refused("threshold must be a number from 0 to 1.", "threshold")
    count = asked.whole("sample", SAMPLE, 1, MOST)
    seed = asked.whole("seed", 0, 0, 2**31 - 1)
    records, judged = decisions(asked.place, asked.period, count, seed)
    told = {**about(asked), "sample": len(records), "seed": seed, "why": why_not(records)}
    if told["why"]:
        return told
    return {**told, "now": in_force(records), **tried(records, judged, threshold)}


@lru_cache(maxsize=4)
def decisions(
    place: Place, period: Period, count: int, seed: int
) -> tuple[list[Decisions], list[Decisions]]:
    """Draw requests; a slider that moves asks for the same ones again. Raises OSError."""
    return drawn(place, replace(period), count, seed)
