"""A collector that speaks OTLP over HTTP, with the protocol's own messages."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """What has come so far; with a `status`, that is all it says."""

    def __init__(self):
        self.status = 200
        self.traces, self.metrics, self.headers = [], [], []

    def take(self, path, headers, body):
        self.headers.append(dict(headers))
        kinds = {
            "/v1/traces": (ExportTraceServiceRequest, self.traces),
            "/v1/metrics": (ExportMetricsServiceRequest, self.metrics),
        }
        message, kept = kinds[path]
        kept.append(message.FromString(body))

    @property
    def spans(self):
        return [
            span
            for request in self.traces
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def resources(self):
        """The resources' attributes, of both signals."""
        parts = [each for request in self.traces for each in request.resource_spans]
        parts += [each for request in self.metrics for each in request.resource_metrics]
        return [plain(each.resource.attributes) for each in parts]

    def last(self, name):
        """The newest export of one metric."""
        (resource,) = self.metrics[-1].resource_metrics
        (scope,) = resource.scope_metrics
        (found,) = [metric for metric in scope.metrics if metric.name == name]
        return found


def plain(attributes):
    """Attributes as a mapping."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@contextlib.contextmanager
def collecting():
    """A collector on loopback: (itself, its endpoint)."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            if collector.status == 200:
                collector.take(self.path, self.headers, body)
            self.send_response(collector.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield collector, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
