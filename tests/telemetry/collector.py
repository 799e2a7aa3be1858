"""A collector for tests: what is exported by OTLP over HTTP arrives here as spans."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Recorded


@dataclass(frozen=True)
class Span:
    """One span as it arrived; ids in hexadecimal, `parent` empty for the first of a trace."""

    service: str
    pid: int
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent: str
    error: str
    attributes: dict[str, str | int]


@dataclass
class Collector:
    """`received` grows as spans arrive; `paths`, `headers` and `bodies` are of the requests that brought them."""

    address: str
    received: list[Span] = field(default_factory=list[Span])
    paths: set[str] = field(default_factory=set[str])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    bodies: list[bytes] = field(default_factory=list[bytes])

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of one trace."""
        return [span for span in self.received if span.trace_id == trace_id]

    def named(self, name: str) -> list[Span]:
        """The spans of one name, of all traces."""
        return [span for span in self.received if span.name == name]


@contextmanager
def collecting() -> Generator[Collector]:
    """A collector on a free port of this machine."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.paths.add(self.path)
            collector.bodies.append(body)
            collector.headers.append({name.lower(): value for name, value in self.headers.items()})
            collector.received.extend(spans_of(ExportTraceServiceRequest.FromString(body)))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Tests print nothing of it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}")
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        yield collector
        server.shutdown()
        serving.join()


def spans_of(request: ExportTraceServiceRequest) -> list[Span]:
    """The spans of one export."""
    return [
        _span(values(resource.resource.attributes), span)
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _span(process: dict[str, str | int], span: Recorded) -> Span:
    return Span(
        service=str(process["service.name"]),
        pid=int(process["process.pid"]),
        name=span.name,
        kind=span.kind,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        error=span.status.message if span.status.code == span.status.STATUS_CODE_ERROR else "",
        attributes=values(span.attributes),
    )


def values(attributes: object) -> dict[str, str | int]:
    """Attributes by name; only texts and numbers are used."""
    found: dict[str, str | int] = {}
    for attribute in attributes:  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
        assert isinstance(attribute, KeyValue)
        value = attribute.value
        found[attribute.key] = value.string_value if value.HasField("string_value") else value.int_value
    return found
