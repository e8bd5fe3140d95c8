"""How things stand, as gauges: what is under way, what is in force, what the ledger and tuning say.

What others know is asked for at each scrape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.metrics_core import Metric as Family

from gateway.core.routing import Route
from gateway.sinks import catalogue
from gateway.sinks.catalogue_upstreams import DEPLOYMENTS
from gateway.sinks.cells import Labels, Times, read_off
from gateway.sinks.ledger_figures import families as ledger_families

Tuning = Callable[[], Mapping[str, Mapping[Labels, float]]]
"""Values by metric's name and labels."""


class Standing:
    """The gauges. Changed by one thread, read by any."""

    def __init__(
        self, figures: Callable[[], Mapping[str, float]], tuning: Tuning, database: str
    ) -> None:
        """For all three see `gateway.sinks.metrics.Metrics`."""
        self._database = database
        self._figures = figures
        self._tuning = tuning
        self._flushes = Times(catalogue.LEDGER_FLUSHES)
        if database:
            self._flushes.begin(database)
        self._in_flight: dict[str, int] = {}
        self._tasks = 0
        self._thresholds: dict[str, float] = {}
        self._build: tuple[str, ...] = ()
        self._priced_at: float | None = None

    def begin(self, build: Mapping[str, str], priced_at: float | None) -> None:
        """Take a new configuration, whose routes follow."""
        self._build = tuple(build.get(label, "") for label in catalogue.BUILD.labels)
        self._priced_at = priced_at
        self._thresholds = {}

    def begin_route(self, route: Route) -> None:
        """Add one of its routes."""
        if route.thresholds:
            self._thresholds[route.name] = route.thresholds[0]
        self._in_flight.setdefault(route.name, 0)

    def moved(self, route: str, by: int) -> None:
        """Count requests in, or out."""
        self._in_flight[route] = self._in_flight.get(route, 0) + by

    def tasked(self, count: int) -> None:
        """Note how many tasks the event loop has."""
        self._tasks = count

    def flushed(self, seconds: float) -> None:
        """Note what a batch of the ledger took: the ledger's own thread may say so."""
        self._flushes.observe((self._database,), seconds)

    def families(self) -> Iterator[Family]:
        """Read everything for export."""
        yield read_off(catalogue.IN_FLIGHT, _by_name(self._in_flight))
        yield read_off(catalogue.LOOP_TASKS, [((), float(self._tasks))])
        tuning = self._tuning()
        live = tuning.get(catalogue.THRESHOLD.name, {})
        thresholds = {**dict(_by_name(self._thresholds)), **live}
        yield read_off(catalogue.THRESHOLD, thresholds.items())
        for metric in (*catalogue.TUNING, *DEPLOYMENTS):
            if values := tuning.get(metric.name):
                yield read_off(metric, values.items())
        yield read_off(catalogue.WORKERS, [((), 1.0)])
        yield read_off(catalogue.BUILD, [(self._build, 1.0)])
        if self._priced_at is not None:
            yield read_off(catalogue.PRICE_BOOK, [((), self._priced_at)])
        yield self._flushes.family()
        yield from ledger_families(self._figures(), self._database)


def _by_name(values: Mapping[str, float]) -> list[tuple[Labels, float]]:
    return [((name,), value) for name, value in list(values.items())]
