"""One trace through a real run: from what a person decided to a work, its outcome, and the step after it."""

from __future__ import annotations

import secrets

from tests.acceptance.installation import Installation, wait_for
from tests.telemetry.collector import Collector, Span

GOVERNANCE = "ameide_core_proto.transformation.governance.v1.GovernanceCommandService"
WORK = "ameide_core_proto.transformation.work.v1.WorkCommandService"
# Up from an executor's attempt to the fact that made the workflow ask for it.
REQUESTED = [
    ("ameide-executor", "process transformation.work.queue.*"),
    ("ameide-control", f"{WORK}/RequestWork"),
    ("ameide-worker", f"{WORK}/RequestWork"),
    ("ameide-worker", "RunActivity:request_work"),
    ("ameide-control", "process transformation.*"),
]


def test_one_trace_from_workflow_to_workflow(installation: Installation, collector: Collector, orders: str) -> None:
    change = installation.start_change(orders, "A title that no span tells", "An order can be canceled")
    gate = installation.gate(change, "REQUIREMENT_STABILIZED")
    trace_id, root = secrets.token_hex(16), secrets.token_hex(8)
    installation.settings["TRACEPARENT"] = f"00-{trace_id}-{root}-01"
    try:
        installation.decide(gate)
    finally:
        del installation.settings["TRACEPARENT"]

    def attempts() -> list[Span]:
        return [span for span in collector.trace(trace_id) if span.service == "ameide-executor" and span.kind == 5]

    # An attempt is told of when it has ended, so that the second one's whole way here is known.
    wait_for(lambda: len(attempts()) >= 2, "two works of the run to be traced")
    installation.ameide("change", "cancel", change, "--reason", "seen enough", who="requester")

    wait_for(lambda: not missing(collector, trace_id, root), "the spans in between to arrive")
    by_id = {span.span_id: span for span in collector.trace(trace_id)}
    first, second = sorted(attempts(), key=lambda span: len(way_up(span, by_id)))[:2]
    decided = [
        ("ameide-control", f"{GOVERNANCE}/DecideGate"),
        ("ameide-cli", f"{GOVERNANCE}/DecideGate"),
        ("ameide-cli", "ameide gate"),
    ]
    resumed = [("ameide-control", f"{WORK}/RecordWorkOutcome"), ("ameide-executor", f"{WORK}/RecordWorkOutcome")]
    assert way_up(first, by_id) == [*REQUESTED, *decided]
    assert way_up(second, by_id) == [*REQUESTED, *resumed, *REQUESTED, *decided]
    assert by_id[first.span_id].attributes["ameide.action"] == "preflight"
    assert by_id[first.span_id].attributes["ameide.outcome"] == "success"
    assert len({span.pid for span in by_id.values()}) >= 4

    told = " ".join(f"{span.name} {span.attributes} {span.error}" for span in collector.received)
    assert "no span tells" not in told
    for token in (installation.state_dir / "tokens").iterdir():
        assert token.read_text(encoding="utf-8").strip() not in told


def missing(collector: Collector, trace_id: str, root: str) -> set[str]:
    """Parents that have not arrived; the caller's own span never does."""
    spans = collector.trace(trace_id)
    return {span.parent for span in spans} - {span.span_id for span in spans} - {root}


def way_up(span: Span | None, by_id: dict[str, Span]) -> list[tuple[str, str]]:
    """Service and name of a span and of all above it; of topics and queues only that they are."""
    way: list[tuple[str, str]] = []
    while span is not None:
        name = span.name
        for prefix in ("process transformation.work.queue.", "process transformation."):
            if name.startswith(prefix):
                name = f"{prefix}*"
                break
        way.append((span.service, name))
        span = by_id.get(span.parent)
    return way
