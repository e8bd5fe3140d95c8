"""What is counted of everything around upstreams, and of requests that were too many."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric as Family

from gateway.sinks import catalogue_upstreams as catalogue
from gateway.sinks.cells import Counts, Times

SHED = {
    "too_many_requests_under_way": "requests",
    "too_many_bytes_under_way": "bytes",
    "not_ready": "draining",
    "request_timeout": "slow",
    "url_too_long": "head",
    "headers_too_large": "head",
}
"""The reasons for which requests are turned away at the door, by the error's code."""


class ResilienceCounts:
    """Counts that outlive a reload; their labels are names of the configuration and fixed words.
    Changed by one thread, read by any."""

    def __init__(self) -> None:
        self._events = {
            "retries": Counts(catalogue.RETRIES),
            "breaker": Counts(catalogue.BREAKER_CHANGES),
            "ejections": Counts(catalogue.EJECTIONS),
            "shed": Counts(catalogue.UPSTREAM_SHED),
            "turned_away": Counts(catalogue.REQUESTS_SHED),
            "blocked": Counts(catalogue.LOOP_BLOCKED),
        }
        self._waited = Times(catalogue.QUEUE_SECONDS)
        for reason in dict.fromkeys(SHED.values()):
            self._events["turned_away"].begin(reason)
        self._events["blocked"].begin()

    def begin(self, upstream: str, model: str) -> None:
        """Export a deployment's counts from now on."""
        for outcome in ("made", "answered", "no_budget"):
            self._events["retries"].begin(upstream, model, outcome)
        self._events["breaker"].begin(upstream, model, "open")
        self._events["ejections"].begin(upstream, model)
        for reason in ("breaker", "queue_full", "queue_wait"):
            self._events["shed"].begin(upstream, model, reason)

    def count(self, event: str, *labels: str) -> None:
        """Count one event."""
        self._events[event].add(labels)

    def blocked(self) -> None:
        """Count a time that the event loop stood; called by the thread that has seen it, alone."""
        self.count("blocked")

    def waited(self, upstream: str, model: str, seconds: float) -> None:
        """Note for how long a call has stood in line."""
        self._waited.observe((upstream, model), seconds)

    def families(self) -> Iterator[Family]:
        """Read everything for export."""
        for counts in self._events.values():
            yield counts.family()
        yield self._waited.family()
