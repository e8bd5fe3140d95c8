"""Traces and metrics for a collector, in a thread of their own: serving never waits for it.

What the collector does not take in time is dropped and counted. The libraries that speak OTLP are
loaded only where the configuration asks for it.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from prometheus_client.metrics_core import Metric as Family

import gateway
from gateway.config import OtlpSettings
from gateway.core.ledger import Entry, Origin
from gateway.core.shadow import Shadow
from gateway.core.trace import Trace, span_id, trace_of, traceparent
from gateway.sinks.genai import GenAi
from gateway.sinks.metrics import Metrics
from gateway.sinks.spans import Span, spans_of

_log = logging.getLogger(__name__)
MOST_ENTRIES = 1_000
"""Requests whose spans may wait."""
BATCH = 100
EVERY_SECONDS = 0.5
LAST_CHANCE = 3.0
"""Seconds that the collector has when the gateway ends."""


class TelemetryUnusable(Exception):
    """The configuration asks for what is not installed; the message says what to install."""


class Exporter(Protocol):
    """Speaks to a collector; blocks. Each returns whether it was taken."""

    def traces(self, spans: Iterable[tuple[Trace, Span]]) -> bool:
        """Send spans."""
        ...

    def metrics(self, families: Iterable[Family], genai: GenAi) -> bool:
        """Send every metric."""
        ...

    def close(self) -> None:
        """Give up what is being sent."""
        ...


class NoTelemetry:
    """Telemetry that is off."""

    sinks: tuple[Callable[[Entry], None], ...] = ()
    shadow_sinks: tuple[Callable[[Shadow], None], ...] = ()

    def header(self, origin: Origin, call_id: str) -> str:  # noqa: ARG002 (see Telemetry)
        """Write no trace context."""
        return ""

    def figures(self) -> dict[str, float]:
        """Tell nothing."""
        return {}

    def close(self) -> None:
        """Have nothing to end."""


class Telemetry(NoTelemetry):
    """The sinks of a gateway whose telemetry is on, and their thread."""

    def __init__(
        self,
        settings: OtlpSettings,
        exporter: Exporter,
        families: Callable[[], Iterable[Family]],
        model: Callable[[str], str],
    ) -> None:
        """`families` reads the catalogue's metrics; `model` bounds the name of a model."""
        self._settings = settings
        self._exporter = exporter
        self._families = families
        self._genai = GenAi(model)
        self.sinks = (self.observe,)
        self.shadow_sinks = (self.observe_shadow,)
        self._entries: deque[tuple[Trace, Entry]] = deque()
        self._due = time.monotonic() + settings.every
        self._closing = threading.Event()
        self._failed = False
        self.dropped = 0
        """Requests whose spans found no room to wait in."""
        self.refused_traces = 0
        """Requests whose spans the collector did not take."""
        self.refused_metrics = 0
        """Exports of all metrics that it did not take."""
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._thread.start()

    def observe(self, entry: Entry) -> None:
        """Hear of one finished request."""
        if self._settings.metrics:
            self._genai.observe(entry)
        if not self._settings.traces:
            return
        trace = trace_of(entry.origin, self._settings.sample)
        if not trace.sampled:
            return
        if len(self._entries) >= MOST_ENTRIES:
            self.dropped += 1
        else:
            self._entries.append((trace, entry))

    def observe_shadow(self, shadow: Shadow) -> None:
        """Hear of what was asked in the shadow."""
        if self._settings.metrics:
            self._genai.observe_shadow(shadow)

    def header(self, origin: Origin, call_id: str) -> str:
        """Write the trace context that a call takes along; nothing where it shall take none."""
        if not (self._settings.traces and self._settings.propagate):
            return ""
        return traceparent(trace_of(origin, self._settings.sample), span_id(call_id))

    def figures(self) -> dict[str, float]:
        """Tell what was lost, by the names of ledger_figures.FIGURES."""
        return {
            "dropped_traces": float(self.dropped),
            "refused_traces": float(self.refused_traces),
            "refused_metrics": float(self.refused_metrics),
        }

    def close(self) -> None:
        """Send what waits, unless the collector takes longer than LAST_CHANCE; then end."""
        if not self._closing.is_set():
            self._closing.set()
            self._thread.join(LAST_CHANCE)
            self._exporter.close()

    def _run(self) -> None:
        while not self._closing.wait(EVERY_SECONDS):
            self._turn(at_end=False)
        self._turn(at_end=True)

    def _turn(self, *, at_end: bool) -> None:
        while self._entries:
            waiting = [self._entries.popleft() for _ in range(min(BATCH, len(self._entries)))]
            if not self._send(partial(self._send_traces, waiting)):
                self.refused_traces += len(waiting)
        if self._settings.metrics and (at_end or time.monotonic() >= self._due):
            if not self._send(self._send_metrics):
                self.refused_metrics += 1
            self._due = time.monotonic() + self._settings.every

    def _send_traces(self, batch: list[tuple[Trace, Entry]]) -> bool:
        spans = [(trace, span) for trace, entry in batch for span in spans_of(entry, trace)]
        return self._exporter.traces(spans)

    def _send_metrics(self) -> bool:
        return self._exporter.metrics(self._families(), self._genai)

    def _send(self, send: Callable[[], bool]) -> bool:
        try:
            taken = send()
        except Exception:  # noqa: BLE001 - the thread must not end, whatever a library makes of a bad reply
            _log.exception("Telemetry could not be sent.")
            return False
        if taken == self._failed:
            self._failed = not taken
            told = "takes telemetry again" if taken else "does not take telemetry: it is dropped"
            _log.warning("The collector at %s %s.", self._settings.endpoint, told)
        return taken


def open_telemetry(settings: OtlpSettings | None, metrics: Metrics) -> NoTelemetry:
    """Start what the configuration asks for. Raises TelemetryUnusable without the libraries."""
    if settings is None:
        return NoTelemetry()
    try:
        from gateway.sinks.otlp import OtlpExporter  # noqa: PLC0415 (most gateways never need it)
    except ImportError as error:
        raise TelemetryUnusable(
            f"telemetry.otlp needs more libraries ({error.name}): "
            "pip install 'waterfall-gateway[otlp]', or say off"
        ) from error
    instance = f"{socket.gethostname()}-{os.getpid()}"
    exporter = OtlpExporter(settings, gateway.__version__, instance)
    return Telemetry(settings, exporter, metrics.collect, metrics.names.model)
