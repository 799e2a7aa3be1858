"""What counts as a trace, and what goes through a process that records none."""

from __future__ import annotations

import pytest

from ameide.telemetry import tracing
from ameide.telemetry.context import NO_TRACE, TraceContext

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    "said",
    [
        None,
        "",
        "hello",
        TRACEPARENT.upper(),
        TRACEPARENT + "-more",
        TRACEPARENT + "\n",
        "01" + TRACEPARENT[2:],
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
    ],
)
def test_what_breaks_the_form_is_no_trace(said: str | None) -> None:
    assert TraceContext.parse(said, "vendor=1") is NO_TRACE
    assert not TraceContext.parse(said)


@pytest.mark.parametrize("state", ["é", "a\nb", "x" * 513])
def test_a_bad_state_leaves_the_trace(state: str) -> None:
    assert TraceContext.parse(TRACEPARENT, state) == TraceContext(TRACEPARENT)


def test_headers_there_and_back() -> None:
    trace = TraceContext.parse(TRACEPARENT, "vendor=1")
    assert trace.headers == {"traceparent": TRACEPARENT, "tracestate": "vendor=1"}
    assert TraceContext.read(trace.headers.get) == trace
    assert trace.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert NO_TRACE.headers == {}


def test_a_trace_goes_through_where_nothing_is_recorded() -> None:
    trace = TraceContext(TRACEPARENT)
    with tracing.span("received", "server", parent=trace) as here:
        assert here is trace
        with tracing.span("sent", "client") as there:
            assert there is trace
            tracing.note({"ameide.attempt": 1})
    with tracing.span("of no trace") as nowhere:
        assert nowhere is NO_TRACE
    assert tracing.traced(trace)
    assert not tracing.traced(NO_TRACE)
