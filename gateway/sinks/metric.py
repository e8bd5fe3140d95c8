"""What a metric is: its name, kind, labels and meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PREFIX = "waterfall_"

Merge = Literal["sum", "max", "one"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; its name is without the prefix. `buckets` are a histogram's bounds, in the unit
    of its name; `merge` says what several workers' values make together: `one` is any worker's."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()
    merge: Merge = "sum"

    @property
    def full_name(self) -> str:
        """The name as exported."""
        return PREFIX + self.name


def counter(name: str, labels: str, text: str) -> Metric:
    """Describe a counter; `labels` are words."""
    return Metric(name, "counter", tuple(labels.split()), text)


def gauge(name: str, labels: str, text: str, merge: Merge = "one") -> Metric:
    """Describe a gauge."""
    return Metric(name, "gauge", tuple(labels.split()), text, merge=merge)


def histogram(name: str, labels: str, buckets: tuple[float, ...], text: str) -> Metric:
    """Describe a histogram, by the bounds of its buckets."""
    return Metric(name, "histogram", tuple(labels.split()), text, buckets)
