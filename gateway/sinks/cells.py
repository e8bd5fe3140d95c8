"""Counters and histograms of plain integers: a fraction of a client library's cost to update.

They are exported through prometheus_client's families, so the text format is the library's.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.utils import floatToGoString

from gateway.sinks.catalogue import Metric

Labels = tuple[str, ...]


class Counts:
    """A counter. Updated by one thread, read by any."""

    def __init__(self, metric: Metric, scale: int = 1) -> None:
        """What is exported is the integer count divided by `scale`."""
        self.metric = metric
        self._scale = scale
        self._cells: dict[Labels, int] = {}

    def begin(self, *labels: str) -> None:
        """Export these labels from now on, as 0: a rate needs to see the first increase."""
        self._cells.setdefault(labels, 0)

    def add(self, labels: Labels, amount: int = 1) -> None:
        """Count; `labels` are in the metric's order."""
        self._cells[labels] = self._cells.get(labels, 0) + amount

    def values(self) -> list[tuple[Labels, int]]:
        """Read every count."""
        return list(self._cells.items())

    def family(self) -> Family:
        """Read it for export."""
        cells = self.values()
        return read_off(self.metric, [(labels, count / self._scale) for labels, count in cells])


class Times:
    """A histogram, mostly of seconds. Updated by one thread, read by any."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self._bounds = metric.buckets
        self._names = [*map(floatToGoString, metric.buckets), "+Inf"]
        self._cells: dict[Labels, list[float]] = {}

    def begin(self, *labels: str) -> None:
        """Export these labels from now on, with nothing in them."""
        self._cells.setdefault(labels, [0] * len(self._names) + [0.0])

    def observe(self, labels: Labels, value: float) -> None:
        """Note one value; `labels` are in the metric's order."""
        cell = self._cells.get(labels)
        if cell is None:  # one count for each bucket, then the sum
            cell = self._cells[labels] = [0] * len(self._names) + [0.0]
        cell[bisect_left(self._bounds, value)] += 1
        cell[-1] += value

    def values(self) -> list[tuple[Labels, list[float], float]]:
        """Read every cell: how many fell into each bucket, the last one unbounded; and the sum."""
        cells = [(labels, list(cell)) for labels, cell in list(self._cells.items())]
        return [(labels, cell[:-1], cell[-1]) for labels, cell in cells]

    def family(self) -> Family:
        """Read it for export."""
        family = HistogramMetricFamily(
            self.metric.full_name, self.metric.help, labels=self.metric.labels
        )
        for labels, counts, total in self.values():
            running, buckets = 0.0, []
            for name, count in zip(self._names, counts, strict=True):
                running += count
                buckets.append((name, running))
            family.add_metric(labels, buckets, total)
        return family


def read_off(metric: Metric, values: Iterable[tuple[Labels, float]]) -> Family:
    """Export a counter or gauge whose values are read off somewhere else."""
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.full_name, metric.help, labels=metric.labels)
    for labels, value in values:
        family.add_metric(labels, value)
    return family
