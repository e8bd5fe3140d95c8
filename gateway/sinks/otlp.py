"""OTLP over HTTP, by OpenTelemetry's own exporters: our spans and metrics in its data classes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode
from prometheus_client.metrics_core import Metric as Family

from gateway.config import OtlpSettings
from gateway.core.trace import Trace
from gateway.sinks.genai import UNITS, GenAi
from gateway.sinks.spans import Span

TIMEOUT = 5.0
"""Seconds that the collector has for one export, all tries together."""
_KINDS = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}
_NANO = 1_000_000_000
_CUMULATIVE = AggregationTemporality.CUMULATIVE

Cell = tuple[Mapping[str, str], tuple[float, ...], list[int], float]
"""Labels, boundaries, how many fell between them, and the sum."""


class OtlpExporter:
    """Fits `gateway.sinks.telemetry.Exporter`."""

    def __init__(self, settings: OtlpSettings, version: str, instance: str) -> None:
        """`instance` names this process among all."""
        # It says of every try what went wrong; we say it once, and count.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
        names = {"service.name": "waterfall", "service.version": version}
        # Not by Resource.create, which would look into the environment for more.
        self._resource = Resource({**names, "service.instance.id": instance})
        self._scope = InstrumentationScope("waterfall", version)
        self._began = time.time_ns()
        url, headers = settings.endpoint, dict(settings.headers)
        self._spans = OTLPSpanExporter(f"{url}/v1/traces", headers=headers, timeout=TIMEOUT)
        self._metrics = OTLPMetricExporter(f"{url}/v1/metrics", headers=headers, timeout=TIMEOUT)

    def traces(self, spans: Iterable[tuple[Trace, Span]]) -> bool:
        """Send spans."""
        made = [self._span(trace, span) for trace, span in spans]
        return self._spans.export(made) is SpanExportResult.SUCCESS

    def metrics(self, families: Iterable[Family], genai: GenAi) -> bool:
        """Send every metric, counted from this process's start."""
        made = [*map(self._family, families), *self._genai(genai)]
        scope = ScopeMetrics(self._scope, made, "")
        data = MetricsData([ResourceMetrics(self._resource, [scope], "")])
        return self._metrics.export(data) is MetricExportResult.SUCCESS

    def close(self) -> None:
        """Give up what is being sent."""
        self._spans.shutdown()  # type: ignore[no-untyped-call]
        self._metrics.shutdown()

    def _span(self, trace: Trace, span: Span) -> ReadableSpan:
        error = {"error.type": span.error} if span.error else {}
        return ReadableSpan(
            name=span.name,
            context=_context(trace, span.span_id),
            parent=_context(trace, span.parent) if span.parent else None,
            resource=self._resource,
            attributes={**span.attributes, **error},
            kind=_KINDS[span.kind],
            status=Status(StatusCode.ERROR if span.error else StatusCode.UNSET),
            start_time=round(span.start * _NANO),
            end_time=round(span.end * _NANO),
            instrumentation_scope=self._scope,
        )

    def _family(self, family: Family) -> Metric:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        if family.type == "histogram":
            return self._histogram(name, family.documentation, "", _cells(family))
        values = [(sample.labels, sample.value) for sample in family.samples]
        if family.type == "counter":
            return self._sum(name, family.documentation, "", values)
        points = [self._number(labels, value) for labels, value in values]
        return Metric(name, family.documentation, "", Gauge(points))

    def _genai(self, genai: GenAi) -> Iterator[Metric]:
        for part in genai.histograms:
            metric = part.metric
            cells = [
                (_given(metric.labels, labels), metric.buckets, [*map(int, counts)], total)
                for labels, counts, total in part.values()
            ]
            yield self._histogram(metric.name, metric.help, UNITS[metric.name], cells)
        for counts in genai.counters:
            metric = counts.metric
            values = [(_given(metric.labels, labels), n) for labels, n in counts.values()]
            yield self._sum(metric.name, metric.help, "{token}", values)

    def _sum(
        self, name: str, text: str, unit: str, values: Iterable[tuple[Mapping[str, str], float]]
    ) -> Metric:
        points = [self._number(labels, value) for labels, value in values]
        return Metric(name, text, unit, Sum(points, _CUMULATIVE, is_monotonic=True))

    def _number(self, labels: Mapping[str, str], value: float) -> NumberDataPoint:
        return NumberDataPoint(dict(labels), self._began, time.time_ns(), value)

    def _histogram(self, name: str, text: str, unit: str, cells: Iterable[Cell]) -> Metric:
        unknown: Any = None  # the least and the most: we keep neither, and the wire may lack them
        points = [
            HistogramDataPoint(
                attributes=dict(labels),
                start_time_unix_nano=self._began,
                time_unix_nano=time.time_ns(),
                count=sum(counts),
                sum=total,
                bucket_counts=counts,
                explicit_bounds=bounds,
                min=unknown,
                max=unknown,
            )
            for labels, bounds, counts, total in cells
        ]
        return Metric(name, text, unit, Histogram(points, _CUMULATIVE))


def _cells(family: Family) -> list[Cell]:
    """Take a family's samples, whose counts run up, apart."""
    rows: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    sums: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in family.samples:
        labels = tuple((key, value) for key, value in sample.labels.items() if key != "le")
        if "le" in sample.labels:
            rows.setdefault(labels, []).append((float(sample.labels["le"]), sample.value))
        elif sample.name.endswith("_sum"):
            sums[labels] = sample.value
    made: list[Cell] = []
    for labels, row in rows.items():
        upto = [0, *(int(count) for _, count in row)]
        counts = [after - before for before, after in pairwise(upto)]
        bounds = tuple(bound for bound, _ in row[:-1])
        made.append((dict(labels), bounds, counts, sums[labels]))
    return made


def _given(names: tuple[str, ...], labels: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, value in zip(names, labels, strict=True) if value}


def _context(trace: Trace, span_id: int) -> SpanContext:
    return SpanContext(trace.trace_id, span_id, is_remote=False, trace_flags=TraceFlags(1))
