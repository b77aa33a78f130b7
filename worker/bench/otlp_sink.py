"""A collector that takes what comes by OTLP over HTTP, counts it and throws it away.

It runs as a process of its own (``python -m worker.bench.otlp_sink PORT``) and tells what it counted to whoever GETs
anything: ``{"spans": n, "metrics": n}``.
"""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Counts(msgspec.Struct):
    """What came so far."""

    spans: int = 0
    metrics: int = 0

    def take(self, path: str, body: bytes) -> None:
        """Count what a request holds."""
        if path == "/v1/traces":
            traces = ExportTraceServiceRequest.FromString(body)
            self.spans += sum(len(scope.spans) for one in traces.resource_spans for scope in one.scope_spans)
        elif path == "/v1/metrics":
            metrics = ExportMetricsServiceRequest.FromString(body)
            self.metrics += sum(len(scope.metrics) for one in metrics.resource_metrics for scope in one.scope_metrics)


def serve(port: int) -> None:
    """Serve until the process is ended."""
    counts = Counts()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            counts.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(b"")

        def do_GET(self) -> None:
            self._answer(msgspec.json.encode(counts))

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
