"""Spans as they arrive at a collector, and a collector that does not answer."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from ameide.errors import InvalidArgument, Refused
from ameide.telemetry import tracing
from ameide.telemetry.context import NO_TRACE, TraceContext
from tests.telemetry.collector import Collector, collecting

PARENT = TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=1")


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector, and tracing turned off again."""
    with collecting() as found:
        yield found
        tracing.use(None)


def test_spans_arrive_below_what_caused_them(collector: Collector) -> None:
    tracing.configure(f"{collector.address}/", "authorization=Basic%20abc,x-team=a", "ameide-test")
    with tracing.span("outer", "server", parent=PARENT, attributes={"rpc.method": "RequestWork"}) as outer:
        assert outer.trace_id == PARENT.trace_id
        assert outer.tracestate == "vendor=1"
        with tracing.span("inner", "client") as inner:
            assert tracing.current() == inner
            tracing.note({"ameide.attempt": 2})
        assert tracing.current() == outer
    assert tracing.current() is NO_TRACE
    tracing.shutdown()
    spans = {span.name: span for span in collector.received}
    assert spans["outer"].parent == "b7ad6b7169203331"
    assert spans["inner"].parent == spans["outer"].span_id == outer.traceparent.split("-")[2]
    assert {span.trace_id for span in spans.values()} == {PARENT.trace_id}
    assert spans["outer"].attributes == {"rpc.method": "RequestWork"}
    assert spans["inner"].attributes == {"ameide.attempt": 2}
    assert {span.service for span in spans.values()} == {"ameide-test"}
    assert collector.paths == {"/v1/traces"}
    assert (collector.headers[0]["authorization"], collector.headers[0]["x-team"]) == ("Basic abc", "a")


def test_an_error_is_told_by_its_type_and_not_by_its_text(collector: Collector) -> None:
    tracing.configure(collector.address, "", "ameide-test")
    with pytest.raises(Refused), tracing.span("refused"):
        raise Refused("the password is hunter2")
    tracing.shutdown()
    [span] = collector.received
    assert span.error == "Refused"
    assert span.attributes == {"error.type": "Refused"}


def test_what_the_caller_does_not_sample_is_not_exported(collector: Collector) -> None:
    tracing.configure(collector.address, "", "ameide-test")
    unsampled = TraceContext(f"{PARENT.traceparent[:-2]}00")
    with tracing.span("quiet", parent=unsampled) as here:
        assert here.trace_id == unsampled.trace_id
        assert here.traceparent.endswith("-00")
    tracing.shutdown()
    assert collector.received == []


def test_a_collector_that_says_nothing_holds_nobody_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        tracing.configure(f"http://127.0.0.1:{deaf.getsockname()[1]}", "", "ameide-test")
        begun = time.monotonic()
        for number in range(5000):
            with tracing.span(f"span {number}"):
                pass
        tracing.shutdown(0.5)
        # They are ten batches; each that somebody waited for would take the exporter's whole timeout of five seconds.
        assert time.monotonic() - begun < 30


def test_an_endpoint_that_is_no_url_is_named() -> None:
    with pytest.raises(InvalidArgument, match="OTEL_EXPORTER_OTLP_ENDPOINT: is not a URL"):
        tracing.configure("collector:4317", "", "ameide-test")
