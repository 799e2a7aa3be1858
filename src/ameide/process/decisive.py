"""What of a fact a workflow needs: references and decisive fields, and the trace that it goes on with.

The rest would only fill its history.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from copy import deepcopy

from ameide.events.messages import LoggedMessage
from ameide.process.workflows.inbox import DomainFact
from ameide.telemetry import tracing
from ameide.telemetry.context import TraceContext
from ameide_core_proto.common.v1.metadata_pb import MessageMetadata
from ameide_core_proto.transformation.governance.v1.facts_pb import RunCancelRequested, RunClosed, RunRequested
from ameide_core_proto.transformation.work.v1.facts_pb import (
    WorkCanceled,
    WorkCompleted,
    WorkFailed,
    WorkRequested,
    WorkStarted,
)


def decisive(fact: DomainFact) -> DomainFact:
    """The fact without evidence, which its result refers to, without work inputs and run input, which the run knows."""
    lean = deepcopy(fact)
    body = lean.fact.value if lean.fact is not None else None
    if isinstance(body, WorkCompleted | WorkFailed | WorkCanceled):
        body.evidence = None
    if isinstance(body, WorkRequested | WorkStarted | WorkCompleted | WorkFailed | WorkCanceled) and body.work:
        body.work.inputs = None
        body.work.path_rules = None
    if isinstance(body, RunRequested | RunCancelRequested | RunClosed) and body.run:
        body.run.input = None
    return lean


@contextmanager
def continued(message: LoggedMessage, fact: DomainFact) -> Generator[DomainFact]:
    """What the workflow gets of the fact, in a span below what stated it: its envelope names that span."""
    said = fact.metadata or MessageMetadata()
    about = {
        "messaging.system": "ameide",
        "messaging.operation.type": "process",
        "messaging.destination.name": message.topic,
        "messaging.consumer.group.name": "ingress",
        "messaging.message.id": message.message_id,
        "ameide.fact": message.name,
        "ameide.process_instance_id": message.process_instance_id,
        "ameide.log_position": message.position,
    }
    parent = TraceContext.parse(said.traceparent, said.tracestate)
    with tracing.span(f"process {message.topic}", "consumer", parent=parent, attributes=about) as trace:
        lean = decisive(fact)
        if lean.metadata is not None:
            lean.metadata.traceparent, lean.metadata.tracestate = trace.traceparent, trace.tracestate
        yield lean
