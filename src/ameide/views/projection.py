"""What one message becomes in the read model. Pure: a message in, rows out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from protobuf import Message

from ameide.contracts import facts as wire
from ameide.domain.aggregates import State, place_of, state_of
from ameide.events.messages import LoggedMessage
from ameide.views.process_sentences import course_of
from ameide.views.sentences import sentence
from ameide_core_proto.common.v1.metadata_pb import Actor, MessageMetadata
from ameide_core_proto.process.transformation.v1.facts_pb import ActivityTransitioned
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, Promotion, Release, Repository, Run
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact

ARTIFACT_VERSION = "artifact_version"
Values = tuple[object, ...]


@dataclass(slots=True)
class Rows:
    """Rows for the views, as the positional parameters of their statements; nothing for an unknown fact. The body of a
    state is its message until it is `folded`."""

    facts: list[Values] = field(default_factory=list[Values])
    states: list[Values] = field(default_factory=list[Values])
    processes: list[Values] = field(default_factory=list[Values])

    def extend(self, other: Rows) -> None:
        """Add another message's rows behind these."""
        self.facts += other.facts
        self.states += other.states
        self.processes += other.processes

    def folded(self) -> Rows:
        """The same with one row a state and one a process: what writing all of them one by one would end in.

        Only here states become bytes, since most of them are overtaken within their batch.
        """
        states: dict[Values, Values] = {}
        for row in self.states:
            known = states.get(row[:3])
            if known is None:
                states[row[:3]] = row
            elif cast("int", known[3]) < cast("int", row[3]):
                # Its first position stays.
                states[row[:3]] = (*row[:9], known[9], row[10])
        processes: dict[Values, Values] = {}
        for row in self.processes:
            known = processes.get(row[:2])
            if known is None:
                processes[row[:2]] = row
            elif cast("int", known[5]) < cast("int", row[5]):
                phase, awaiting = (known[n] if row[n] is None else row[n] for n in (6, 7))
                processes[row[:2]] = (*known[:3], phase or "", awaiting or "", row[5], phase, awaiting)
        final = [(*row[:10], cast("Message[Any]", row[10]).to_binary()) for row in states.values()]
        return Rows(self.facts, final, list(processes.values()))


def project(message: LoggedMessage) -> Rows | None:
    """The rows of a message; None for a fact of a kind that this program does not know. Raises ValueError on bytes that
    are no message of their topic, TypeError on a fact that carries no state."""
    if message.kind == "intent":
        intent = wire.open_intent(message.payload)
        return Rows(facts=[_fact_row(message, intent, intent.metadata, message.work_request_id)])
    opened = wire.open_payload(message.topic, message.payload)
    fact = opened.fact
    if fact is None:
        return None
    if message.kind == "process_fact":
        work = fact.work_request_id if isinstance(fact, ActivityTransitioned) else ""
        rows = Rows(facts=[_fact_row(message, fact, opened.metadata, work)])
        course = course_of(fact)
        known = (message.process_instance_id, message.correlation_id, course.phase or "", course.awaiting or "")
        rows.processes.append((message.tenant_id, *known, message.position, course.phase, course.awaiting))
        return rows
    rows = Rows(facts=[_fact_row(message, fact, opened.metadata, message.work_request_id)])
    state = state_of(fact)
    place = place_of(state)
    rows.states.append(_state_row(message, state, place.kind, place.id, state))
    if isinstance(state, Artifact) and state.current:
        number = f"{state.artifact_id}@{state.current.number}"
        rows.states.append(_state_row(message, state, ARTIFACT_VERSION, number, state))
    return rows


def _fact_row(message: LoggedMessage, fact: Message[Any], metadata: MessageMetadata | None, work: str) -> Values:
    actor = metadata.actor if metadata and metadata.actor else Actor()
    return (
        message.tenant_id,
        message.position,
        message.topic,
        message.name,
        message.message_id,
        message.occurred_at,
        actor.principal_id,
        actor.on_behalf_of,
        message.aggregate_type,
        message.aggregate_id,
        message.aggregate_version,
        message.correlation_id,
        message.process_instance_id,
        work,
        message.causation_id,
        sentence(fact),
    )


def _state_row(message: LoggedMessage, state: State, kind: str, id: str, body: Message[Any]) -> Values:
    place = place_of(state)
    return (
        message.tenant_id,
        kind,
        id,
        message.aggregate_version,
        place.change_id or message.correlation_id,
        place.process_instance_id if kind != "change" else "",
        _repository_of(state),
        place.status,
        message.position,
        message.position,
        body,
    )


def _repository_of(state: State) -> str:
    match state:
        case Repository() | Policy() | Change() | Release() | Promotion():
            return state.repository_id
        case Run():
            return state.input.repository.repository_id if state.input and state.input.repository else ""
        case _:
            return state.scope.repository_id if state.scope else ""
