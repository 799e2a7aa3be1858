"""How each aggregate's message lies in the shared versioned table, and where its facts belong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from protobuf import Message

from ameide.telemetry.context import NO_TRACE, TraceContext
from ameide_core_proto.common.v1.metadata_pb import AggregateRef
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Change,
    Consent,
    Conversation,
    Gate,
    GateStatus,
    Principal,
    Promotion,
    Release,
    Repository,
    Run,
    TenantBudget,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact
from ameide_core_proto.transformation.work.v1.work_pb import WorkRequest

State = (
    Repository
    | Policy
    | Change
    | Run
    | Gate
    | Release
    | Promotion
    | Principal
    | TenantBudget
    | Conversation
    | Consent
    | Artifact
    | WorkRequest
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a state lies: kind, id, its parent for look-ups, its status, when the sweeper must look at it."""

    kind: str
    id: str
    parent_id: str = ""
    status: str = ""
    due_at: datetime | None = None
    change_id: str = ""
    process_instance_id: str = ""
    work_request_id: str = ""
    # The trace that the record came about in, for facts that nobody's call states.
    trace: TraceContext = NO_TRACE


def _gate(state: Gate) -> Place:
    due = state.expires_at.to_datetime() if state.expires_at and state.status == GateStatus.OPEN else None
    return Place(
        "gate",
        state.gate_id,
        state.process_instance_id,
        state.status.name,
        due,
        state.change_id,
        state.process_instance_id,
    )


_PLACES: dict[type[Message[Any]], Callable[[Any], Place]] = {
    Repository: lambda s: Place("repository", s.repository_id),
    Policy: lambda s: Place("policy", s.repository_id),
    Change: lambda s: Place("change", s.change_id, s.repository_id, s.status.name, None, s.change_id, s.open_run_id),
    Run: lambda s: Place(
        "run", s.process_instance_id, s.change_id, s.status.name, None, s.change_id, s.process_instance_id
    ),
    Gate: _gate,
    Release: lambda s: Place("release", s.release_id, s.change_id, "", None, s.change_id, s.process_instance_id),
    Promotion: lambda s: Place(
        "promotion", s.promotion_id, s.release_id, s.status.name, None, s.change_id, s.process_instance_id
    ),
    Principal: lambda s: Place("principal", s.principal_id),
    TenantBudget: lambda s: Place("tenant_budget", s.scope.tenant_id),
    Conversation: lambda s: Place("conversation", s.conversation_id, s.change_id, "", None, s.change_id),
    Consent: lambda s: Place("consent", s.consent_id, s.conversation_id, s.status.name, None, s.change_id),
    Artifact: lambda s: Place(
        "artifact", s.artifact_id, s.change_id, s.current.status.name if s.current else "", None, s.change_id
    ),
    WorkRequest: lambda s: Place(
        "work",
        s.work_request_id,
        s.process_instance_id,
        s.status.name,
        None,
        s.change_id,
        s.process_instance_id,
        s.work_request_id,
        TraceContext.parse(s.traceparent, s.tracestate) if s.traceparent else NO_TRACE,
    ),
}


def place_of(state: State) -> Place:
    """The place of a state."""
    return _PLACES[type(state)](state)


def state_of(fact: Message[Any]) -> State:
    """The aggregate's resulting state, which every domain fact carries. Raises TypeError for another message."""
    for member in fact:
        value = cast("object", fact[member])
        if isinstance(value, State):
            return value
    raise TypeError(f"{type(fact).__name__} carries no aggregate")


def ref_of(state: State) -> AggregateRef:
    """The reference that a fact's envelope carries."""
    place = place_of(state)
    return AggregateRef(type=place.kind, id=place.id, version=state.version)
