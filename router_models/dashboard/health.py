"""Health: how long requests take, what fails, and what the gateway says of itself just now."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Final

from gateway.store.blocks import Row
from gateway.store.glance import glance
from router_models.dashboard.asking import Asked
from router_models.dashboard.hourly import about, added, rolled, stepped
from router_models.dashboard.routing import GLANCE

_SHARES: Final = (0.5, 0.95, 0.99)
_TIMES: Final = ("seconds", "first_token", "overhead")


def health(asked: Asked) -> dict[str, Any]:
    """Say it. `outcomes` and `over_time` are of all requests; `latency` is of `drawn` ones that
    were answered, drawn by chance: percentiles in seconds, by the tier that served, and of
    `all`."""
    rows = rolled(asked)
    seed = asked.whole("seed", 0, 0, 2**31 - 1)
    drawn = glance(asked.place, asked.period, GLANCE, random.Random(seed))
    outcomes: Counter[str] = Counter()
    for row in rows:
        outcomes[row["outcome"]] += row["requests"]
    return {
        **about(asked),
        "outcomes": dict(outcomes.most_common()),
        "sums": added(rows, ("requests", "calls", "unsettled_calls", "estimated", "streamed")),
        "over_time": [_step(at, part) for at, part in stepped(asked, rows)],
        "drawn": len(drawn),
        "seed": seed,
        "latency": _latency(drawn),
    }


def _step(at: int, rows: Sequence[Row]) -> dict[str, Any]:
    failed = sum(row["requests"] for row in rows if row["outcome"] not in {"ok", "cancelled"})
    sums = added(rows, ("requests", "timed", "seconds", "first_tokens", "first_token_seconds"))
    mean = sums["seconds"] / sums["timed"] if sums["timed"] else None
    first = sums["first_token_seconds"] / sums["first_tokens"] if sums["first_tokens"] else None
    told = {"requests": sums["requests"], "failed": failed}
    return {"at": at, **told, "seconds": mean, "first_token": first}


def _latency(drawn: Sequence[Row]) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in drawn:
        if row["outcome"] == "ok":
            groups["all"].append(row)
            groups[row["tier"]].append(row)
    return {
        tier: {name: _percentiles(rows, name) for name in _TIMES} for tier, rows in groups.items()
    }


def _percentiles(rows: Sequence[Row], name: str) -> dict[str, float]:
    values = sorted(row[name] for row in rows if row[name] is not None)
    last = len(values) - 1
    return {f"p{share * 100:g}": values[round(share * last)] for share in _SHARES} if values else {}
