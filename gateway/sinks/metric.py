"""What a metric is: its name, kind, labels and meaning; and the bounds that histograms share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PREFIX = "waterfall_"

# Boundaries in seconds. Each objective of the alerts (2.56 s to the first token, 10 ms of
# overhead) lies exactly on one.
DURATION = tuple(round(0.01 * 2**n, 2) for n in range(15))
FIRST_TOKEN = (0.001, 0.005, *DURATION[:13])
OVERHEAD = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25)
LAG = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)
BETWEEN_TOKENS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5)
DECISION = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1)

# Boundaries in tokens and in dollars.
SIZES = tuple(float(4**n) for n in range(2, 11))
COSTS = (*(float(f"{digit}e{power}") for power in range(-6, 1) for digit in (1, 3)), 10.0)

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
