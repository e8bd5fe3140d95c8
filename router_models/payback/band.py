"""How sure a pay-back is that rests on a ledger: its days are drawn anew.

What it says is what other days of the same traffic may come to. Prices, costs and how well the
tuned model answers are as given: no traffic tells of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from math import ceil, inf
from typing import Any, Final

import numpy as np

from gateway.core.economics import pay_back, present_values
from router_models.payback.plan import Weighed
from router_models.payback.weigh import costs_of

DRAWS: Final = 400
LEAST: Final = 5
"""Days under which there is no band: so few say nothing of how days differ."""
_SUMS: Final = ("calls", "prompt", "cached", "output", "requests", "escalated")
_OUTER: Final = (0.025, 0.975)
Measured = Mapping[str, float | None]


def drawn(days: Sequence[Mapping[str, float]], measured: Measured) -> Iterator[Measured]:
    """Draw as many days as there are, again and again, and yield what each drawing has measured, in
    the form of `measured`. `days` have sums (`store.recorded.usage_by_day`)."""
    table = np.array([[day[name] for name in _SUMS] for day in days], np.float64)
    even = np.full(len(table), 1.0 / len(table))
    counts = np.random.default_rng(0).multinomial(len(table), even, DRAWS)
    for sums in (counts @ table).tolist():
        found: dict[str, float] = dict(zip(_SUMS, sums, strict=True))
        if calls := found["calls"]:
            means = {name: found[name] / calls for name in ("prompt", "cached", "output")}
            yield {**measured, **found, **means}


def bands(draws: Sequence[Weighed]) -> dict[str, dict[str, Any]]:
    """For each alternative: what a request saves (nano-dollars), the months until it is paid back
    (None: never) and the curve, each from where to where 95 of 100 drawings are; and `within`, the
    share of them that is paid back within the horizon."""
    told: dict[str, list[tuple[Weighed, float]]] = {}
    for each in draws:
        tuned, costs = costs_of(each)
        for name, cost in costs.items():
            told.setdefault(name, []).append((each, cost - tuned))
    return {name: _band(rows) for name, rows in told.items()}


def _band(rows: Sequence[tuple[Weighed, float]]) -> dict[str, Any]:
    horizon = rows[0][0].horizon
    found = [pay_back(saving, each.volume, each.plan).months for each, saving in rows]
    months = [inf if one is None else one for one in found]
    curves = [
        [*islice(present_values(saving, each.volume, each.plan), ceil(horizon) + 1)]
        for each, saving in rows
    ]
    low, high = np.quantile(np.array(curves), _OUTER, axis=0)
    return {
        "saving": _between([saving for _, saving in rows]),
        "months": _between(months),
        "within": sum(one <= horizon for one in months) / len(months),
        "curve": {"low": [round(each) for each in low], "high": [round(each) for each in high]},
    }


def _between(values: Sequence[float]) -> dict[str, float | None]:
    """From where to where 95 of 100 values are: two of them, since some may be without end."""
    ordered = sorted(values)
    low, high = (ordered[round(place * (len(ordered) - 1))] for place in _OUTER)
    return {"low": None if low == inf else low, "high": None if high == inf else high}
