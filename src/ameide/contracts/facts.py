"""Facts and intents as they travel: which aggregator carries which fact, how a payload is opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from protobuf import DescFieldValueMessage, Message, Oneof

from ameide.contracts import topics
from ameide_core_proto.common.v1.metadata_pb import AggregateRef, MessageMetadata
from ameide_core_proto.process.transformation.v1.facts_pb import TransformationProcessFact
from ameide_core_proto.transformation.governance.v1.facts_pb import TransformationGovernanceDomainFact
from ameide_core_proto.transformation.knowledge.v1.facts_pb import TransformationKnowledgeDomainFact
from ameide_core_proto.transformation.work.v1.facts_pb import TransformationWorkDomainFact, WorkExecutionRequested

Aggregator = (
    TransformationWorkDomainFact
    | TransformationKnowledgeDomainFact
    | TransformationGovernanceDomainFact
    | TransformationProcessFact
)
AGGREGATORS: dict[str, type[Aggregator]] = {
    topics.WORK_FACTS: TransformationWorkDomainFact,
    topics.KNOWLEDGE_FACTS: TransformationKnowledgeDomainFact,
    topics.GOVERNANCE_FACTS: TransformationGovernanceDomainFact,
    topics.PROCESS_FACTS: TransformationProcessFact,
}


# Field 1, with a length.
_ENVELOPE = b"\x0a"


def _fields() -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for topic, aggregator in AGGREGATORS.items():
        for oneof in aggregator.desc().oneofs:
            for field in oneof.fields:
                if isinstance(field.value, DescFieldValueMessage):
                    found[field.value.message.name] = (topic, field.local_name)
    return found


# Name of the fact's message -> (topic, field of the oneof).
FACT_FIELDS: dict[str, tuple[str, str]] = _fields()


@dataclass(frozen=True, slots=True)
class Opened:
    """A payload, opened. `fact` is None for a case that this program does not know."""

    message: Aggregator
    metadata: MessageMetadata
    aggregate: AggregateRef | None
    name: str
    fact: Message | None


def topic_of(fact: Message) -> str:
    """The topic that a fact belongs on. Raises KeyError for a message that is no fact."""
    return FACT_FIELDS[type(fact).__name__][0]


def wrap(fact: Message, metadata: MessageMetadata, aggregate: AggregateRef) -> Aggregator:
    """The aggregator message of a domain fact."""
    topic, field = FACT_FIELDS[type(fact).__name__]
    oneof: Oneof[str, Message] = Oneof(field=field, value=fact)
    # The table above pairs each field with its own message, which the type checker cannot follow.
    return AGGREGATORS[topic](metadata=metadata, aggregate=aggregate, fact=oneof)  # pyright: ignore[reportArgumentType, reportCallIssue]


def open_payload(topic: str, payload: bytes) -> Opened:
    """Open a fact's payload. Raises ValueError when the bytes are no message of this topic."""
    aggregator = AGGREGATORS.get(topic)
    if aggregator is None:
        raise ValueError(f"{topic} carries no facts")
    message = aggregator.from_binary(payload)
    aggregate = None if isinstance(message, TransformationProcessFact) else message.aggregate
    fact = cast("Message | None", message.fact.value) if message.fact is not None else None
    name = type(fact).__name__ if fact is not None else "unknown"
    return Opened(message, message.metadata or MessageMetadata(), aggregate, name, fact)


def open_intent(payload: bytes) -> WorkExecutionRequested:
    """Open an execution intent. Raises ValueError when the bytes are none."""
    return WorkExecutionRequested.from_binary(payload)


def envelope_of(payload: bytes) -> MessageMetadata:
    """The envelope of a fact or an intent without the rest of it; an empty one when there is none.

    It is the first field of each of them, and is written first. Raises ValueError when the bytes cannot be read.
    """
    if not payload.startswith(_ENVELOPE):
        return MessageMetadata()
    size, shift, at = 0, 0, len(_ENVELOPE)
    while at < len(payload):
        byte = payload[at]
        size |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return MessageMetadata.from_binary(payload[at : at + size])
    raise ValueError("the envelope has no end")
