"""Counters and histograms of plain integers: a fraction of a client library's cost to update.

They are exported through prometheus_client's families, so the text format is the library's.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

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
        self._cells: dict[Labels, list[int]] = {}

    def begin(self, *labels: str) -> None:
        """Export these labels from now on, as 0: a rate needs to see the first increase."""
        self.cell(labels)

    def cell(self, labels: Labels) -> list[int]:
        """Return the count of these labels, in the metric's order, as a list of it alone: whoever
        counts there often keeps it. Exported from now on."""
        found = self._cells.get(labels)
        if found is None:
            found = self._cells[labels] = [0]
        return found

    def add(self, labels: Labels, amount: int = 1) -> None:
        """Count; `labels` are in the metric's order."""
        self.cell(labels)[0] += amount

    def values(self) -> list[tuple[Labels, int]]:
        """Read every count."""
        return [(labels, count) for labels, (count,) in list(self._cells.items())]

    def family(self) -> Family:
        """Read it for export."""
        cells = self.values()
        return read_off(self.metric, [(labels, count / self._scale) for labels, count in cells])


class Bins:
    """What of a histogram is of the same labels: a count for each bucket, and the sum."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Note one value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


class Times:
    """A histogram, mostly of seconds. Updated by one thread, read by any."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self._bounds = metric.buckets
        self._names = [*map(floatToGoString, metric.buckets), "+Inf"]
        self._cells: dict[Labels, Bins] = {}

    def begin(self, *labels: str) -> None:
        """Export these labels from now on, with nothing in them."""
        self.cell(labels)

    def cell(self, labels: Labels) -> Bins:
        """Return what is of these labels, in the metric's order: whoever observes them often keeps
        it. Exported from now on."""
        found = self._cells.get(labels)
        if found is None:
            found = self._cells[labels] = Bins(self._bounds)
        return found

    def observe(self, labels: Labels, value: float) -> None:
        """Note one value; `labels` are in the metric's order."""
        self.cell(labels).observe(value)

    def values(self) -> list[tuple[Labels, list[int], float]]:
        """Read every cell: how many fell into each bucket, the last one unbounded; and the sum."""
        cells = list(self._cells.items())
        return [(labels, list(cell.counts), cell.total) for labels, cell in cells]

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
