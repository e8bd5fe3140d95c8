"""What the ledger, the log and telemetry tell of themselves, read off at each scrape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.metrics_core import Metric as Family

from gateway.sinks import catalogue
from gateway.sinks.catalogue import Metric
from gateway.sinks.cells import Labels, read_off

_SINK = "sink"
FIGURES: dict[str, tuple[Metric, Labels]] = {
    "written": (catalogue.LEDGER_ROWS, (_SINK, "written")),
    "duplicates": (catalogue.LEDGER_ROWS, (_SINK, "duplicate")),
    "malformed": (catalogue.LEDGER_ROWS, (_SINK, "malformed")),
    "dropped_cap": (catalogue.LEDGER_DROPPED, ("spool", "cap")),
    "dropped_disk": (catalogue.LEDGER_DROPPED, ("spool", "disk")),
    "dropped_lines": (catalogue.LEDGER_DROPPED, ("log", "slow_reader")),
    "unmarked_calls": (catalogue.LEDGER_UNMARKED, ()),
    "recovered_settled": (catalogue.LEDGER_RECOVERED, ("settled",)),
    "recovered_unsettled": (catalogue.LEDGER_RECOVERED, ("unsettled",)),
    "write_failures": (catalogue.LEDGER_FAILURES, (_SINK,)),
    "torn_bytes": (catalogue.LEDGER_TORN, ()),
    "spool_bytes": (catalogue.LEDGER_BYTES, ()),
    "oldest_unflushed_seconds": (catalogue.LEDGER_BEHIND, ()),
    "open_calls": (catalogue.LEDGER_OPEN, ()),
    "shared_up": (catalogue.SHARED_UP, ()),
    "shared_trips": (catalogue.SHARED_TRIPS, ()),
    "shared_failures": (catalogue.SHARED_FAILURES, ()),
    "dropped_traces": (catalogue.TELEMETRY_DROPPED, ("traces", "queue")),
    "refused_traces": (catalogue.TELEMETRY_DROPPED, ("traces", "refused")),
    "refused_metrics": (catalogue.TELEMETRY_DROPPED, ("metrics", "refused")),
}
"""Each figure's metric and labels; `_SINK` stands for the ledger's database."""


def families(figures: Mapping[str, float], database: str) -> Iterator[Family]:
    """Export figures by the names of FIGURES; those not given are not exported."""
    metrics: dict[str, list[tuple[Labels, float]]] = {}
    for name, value in figures.items():
        metric, labels = FIGURES[name]
        named = tuple(database if label is _SINK else label for label in labels)
        metrics.setdefault(metric.name, []).append((named, value))
    for metric in catalogue.CATALOGUE:
        if metric.name in metrics:
            yield read_off(metric, metrics[metric.name])
