"""OpenTelemetry's SDK behind `tracing`: spans in batches to an OTLP/HTTP collector, from a thread of its own.

The queue is bounded: a collector that is slow or away costs spans, never the program.
"""

from __future__ import annotations

import os
import threading
import uuid
from importlib import metadata
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.re import parse_env_headers

from ameide.errors import InvalidArgument
from ameide.telemetry.context import TraceContext
from ameide.telemetry.recording import Attributes, Kind

VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"
_TIMEOUT_SECONDS = 5.0
_DELAY_MILLISECONDS = 1000
_KINDS: dict[Kind, SpanKind] = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}
_propagator = TraceContextTextMapPropagator()


class _Span:
    def __init__(self, span: trace.Span) -> None:
        self._span = span
        carrier: dict[str, str] = {}
        _propagator.inject(carrier, trace.set_span_in_context(span))
        self.context = TraceContext.read(carrier.get)

    def note(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def fail(self, kind: str) -> None:
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR, kind))

    def end(self) -> None:
        self._span.end()


class Exporter:
    """Records every span whose caller did not decide against it, and exports to `endpoint` + `/v1/traces`."""

    def __init__(self, endpoint: str, headers: str, service: str) -> None:
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise InvalidArgument(
                "is not a URL of http or https",
                field=VARIABLE,
                remedy="Name the collector's OTLP/HTTP address, e.g. http://127.0.0.1:4318",
            )
        about = {
            "service.name": service,
            "service.namespace": "ameide",
            "service.version": _version(),
            "service.instance.id": str(uuid.uuid4()),
            "process.pid": os.getpid(),
        }
        exporter = OTLPSpanExporter(
            endpoint=f"{endpoint.rstrip('/')}/v1/traces",
            headers=parse_env_headers(headers, liberal=True),
            timeout=_TIMEOUT_SECONDS,
        )
        self._provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=_DELAY_MILLISECONDS))
        self._tracer = self._provider.get_tracer("ameide", _version())

    def start(self, name: str, kind: Kind, parent: TraceContext, attributes: Attributes) -> _Span:
        """Begin a span below the parent, or a new trace when there is none."""
        above = _propagator.extract(parent.headers)
        return _Span(self._tracer.start_span(name, above, _KINDS[kind], attributes))

    def close(self, seconds: float) -> None:
        """Send what is left within so many seconds."""
        closing = threading.Thread(target=self._provider.shutdown, name="ameide-spans", daemon=True)
        closing.start()
        closing.join(seconds)


def _version() -> str:
    try:
        return metadata.version("ameide")
    except metadata.PackageNotFoundError:
        return "unknown"
