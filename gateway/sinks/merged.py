"""What several processes' metrics make together, by the rule that each has in the catalogue.

Counters and histograms of a process that has ended still count: a sum over processes never falls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric as Family

from gateway.sinks.catalogue import CATALOGUE

Rows = list[list[Any]]
"""Each sample of a family: its name, its labels and its value."""
Snapshot = list[list[Any]]
"""One process's metrics as JSON values: each family's name, kind and help, and its rows."""

_RULES = {metric.full_name.removesuffix("_total"): metric.merge for metric in CATALOGUE}


class Collector(Protocol):
    """Has metrics."""

    def collect(self) -> Iterable[Family]:
        """Read everything for export."""
        ...


def snapshot(metrics: Collector) -> Snapshot:
    """Read all metrics of this process."""
    return [
        [
            family.name,
            family.type,
            family.documentation,
            [[*sample[:3]] for sample in family.samples],
        ]
        for family in metrics.collect()
    ]


def counted(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Add up what processes that have ended had counted; gauges went with them."""
    families = merged(snapshots)
    return [family for family in families if family[1] != "gauge"]


def merged(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Merge several processes' metrics; where one value is wanted, it is the first one's."""
    families: dict[str, list[Any]] = {}
    parts: dict[str, list[Rows]] = {}
    for each in snapshots:
        for name, kind, text, rows in each:
            families.setdefault(name, [name, kind, text])
            parts.setdefault(name, []).append(rows)
    return [[*head, _combined(head[0], parts[head[0]])] for head in families.values()]


def render(snapshot: Snapshot) -> bytes:
    """Write a snapshot in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Read(snapshot))
    return generate_latest(registry)


class _Read:
    """A snapshot as the library wants to collect it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Family]:
        for name, kind, text, rows in self._snapshot:
            family = Family(name, text, kind)
            for sample, labels, value in rows:
                family.add_sample(sample, labels, value)
            yield family


def _combined(name: str, parts: Sequence[Rows]) -> Rows:
    rule = _RULES[name]
    if rule == "one":
        return next(filter(None, parts), [])
    combine: Callable[[float, float], float] = max if rule == "max" else float.__add__
    values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for rows in parts:
        for sample, labels, value in rows:
            key = sample, tuple(labels.items())
            number = float(value) if value is not None else math.nan  # JSON knows no NaN
            values[key] = combine(values[key], number) if key in values else number
    # To the nano-dollar: in another order a sum differs in its last digit, and whoever reads a
    # counter takes the least fall for a start from nothing.
    return [[sample, dict(labels), round(value, 9)] for (sample, labels), value in values.items()]
