"""States facts: the only place that writes the outbox. Service and sweeper call it in their transaction."""

from __future__ import annotations

from typing import Any

from protobuf import Message

from ameide.contracts import facts as wire
from ameide.contracts import topics
from ameide.contracts.ids import new_message_id
from ameide.domain.aggregates import Place, State, place_of, ref_of, state_of
from ameide.domain.decisions.claim_check import in_brief
from ameide.domain.unit import Unit
from ameide.events import outbox
from ameide.events.outbox import OutboxMessage
from ameide_core_proto.common.v1.metadata_pb import MessageMetadata
from ameide_core_proto.process.transformation.v1.facts_pb import TransformationProcessFact
from ameide_core_proto.transformation.work.v1.facts_pb import WorkExecutionRequested

PRODUCER = "transformation.domain"
SCHEMA_VERSION = 1


def state_facts(unit: Unit) -> None:
    """Append the unit's facts and intents to the outbox, facts first, in the order of recording."""
    messages = [_fact(unit, fact) for fact in unit.facts]
    messages += [_intent(unit, intent) for intent in unit.intents if isinstance(intent, WorkExecutionRequested)]
    if messages:
        outbox.append(unit.tx, messages)
        unit.stated = True


def state_process_facts(unit: Unit, process_instance_id: str, facts: list[TransformationProcessFact]) -> None:
    """Append process facts, which come with an envelope of the process's own."""
    messages: list[OutboxMessage] = []
    for fact in facts:
        metadata = fact.metadata or MessageMetadata()
        # The process decides without knowing of traces; the call that brings its facts knows.
        metadata.traceparent, metadata.tracestate = unit.caller.trace.traceparent, unit.caller.trace.tracestate
        opened = fact.fact.value if fact.fact else None
        messages.append(
            OutboxMessage(
                tenant_id=unit.tenant_id,
                topic=topics.PROCESS_FACTS,
                kind="process_fact",
                key=f"{unit.tenant_id}:{process_instance_id}",
                message_id=metadata.message_id,
                name=type(opened).__name__ if opened is not None else "unknown",
                aggregate_type="process",
                aggregate_id=process_instance_id,
                aggregate_version=0,
                process_instance_id=process_instance_id,
                correlation_id=metadata.correlation_id,
                causation_id=metadata.causation_id,
                work_request_id="",
                occurred_at=unit.now,
                payload=fact.to_binary(),
            )
        )
    outbox.append(unit.tx, messages)
    unit.stated = True


def _metadata(unit: Unit, place: Place) -> MessageMetadata:
    trace = unit.caller.trace or place.trace
    return MessageMetadata(
        message_id=new_message_id(),
        schema_version=SCHEMA_VERSION,
        tenant_id=unit.tenant_id,
        correlation_id=place.change_id,
        causation_id=unit.causation_id,
        traceparent=trace.traceparent,
        tracestate=trace.tracestate,
        occurred_at=unit.timestamp,
        producer=PRODUCER,
        actor=unit.actor,
        process_instance_id=place.process_instance_id or unit.process_instance_id,
    )


def _fact(unit: Unit, fact: Message[Any]) -> OutboxMessage:
    state: State = state_of(fact)
    place = place_of(state)
    metadata = _metadata(unit, place)
    topic = wire.topic_of(fact)
    return OutboxMessage(
        tenant_id=unit.tenant_id,
        topic=topic,
        kind="fact",
        key=f"{unit.tenant_id}:{place.id}",
        message_id=metadata.message_id,
        name=type(fact).__name__,
        aggregate_type=place.kind,
        aggregate_id=place.id,
        aggregate_version=state.version,
        process_instance_id=metadata.process_instance_id,
        correlation_id=metadata.correlation_id,
        causation_id=metadata.causation_id,
        work_request_id=place.work_request_id,
        occurred_at=unit.now,
        payload=wire.wrap(in_brief(fact), metadata, ref_of(state)).to_binary(),
    )


def _intent(unit: Unit, intent: WorkExecutionRequested) -> OutboxMessage:
    metadata = intent.metadata or MessageMetadata()
    return OutboxMessage(
        tenant_id=unit.tenant_id,
        topic=intent.queue,
        kind="intent",
        key=f"{unit.tenant_id}:{intent.work_request_id}",
        message_id=metadata.message_id,
        name=type(intent).__name__,
        aggregate_type="work",
        aggregate_id=intent.work_request_id,
        aggregate_version=intent.dispatch,
        process_instance_id=metadata.process_instance_id,
        correlation_id=metadata.correlation_id,
        causation_id=metadata.causation_id,
        work_request_id=intent.work_request_id,
        occurred_at=unit.now,
        payload=intent.to_binary(),
    )


def intent_metadata(unit: Unit, state: State) -> MessageMetadata:
    """The envelope of an intent about a state."""
    return _metadata(unit, place_of(state))
