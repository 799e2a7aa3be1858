"""What the run has heard: the newest state of every aggregate, each message once, in whatever order they come.

A fact carries its aggregate's whole resulting state, so a higher version subsumes the lower ones and message ids need
remembering only for the newest version. Facts that nobody waits for yet are kept all the same: a completion may arrive
before the activity that requested the work has returned. When the course is done with an aggregate it closes it: a
tombstone stays, so that late repetitions stay unheard.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from protobuf import Message

from ameide_core_proto.common.v1.metadata_pb import AggregateRef, MessageMetadata
from ameide_core_proto.transformation.governance.v1.facts_pb import TransformationGovernanceDomainFact
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, Gate, Promotion, Release, Run
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact
from ameide_core_proto.transformation.knowledge.v1.facts_pb import TransformationKnowledgeDomainFact
from ameide_core_proto.transformation.work.v1.facts_pb import TransformationWorkDomainFact
from ameide_core_proto.transformation.work.v1.work_pb import WorkRequest

DomainFact = TransformationWorkDomainFact | TransformationGovernanceDomainFact | TransformationKnowledgeDomainFact


@dataclass
class Known:
    """The newest state of one aggregate and the messages that brought it."""

    version: int
    message_ids: list[str] = field(default_factory=list[str])
    work: WorkRequest | None = None
    gate: Gate | None = None
    artifact: Artifact | None = None
    change: Change | None = None
    run: Run | None = None
    release: Release | None = None
    promotion: Promotion | None = None

    @property
    def fact_id(self) -> str:
        """The message that brought the newest state."""
        return self.message_ids[-1]

    def learn(self, body: Message) -> bool:
        """Take the state out of a fact's body; False when it is of an aggregate that no run looks at."""
        match state_in(body):
            case WorkRequest() as state:
                self.work = state
            case Gate() as state:
                self.gate = state
            case Artifact() as state:
                self.artifact = state
            case Change() as state:
                self.change = state
            case Run() as state:
                self.run = state
            case Release() as state:
                self.release = state
            case Promotion() as state:
                self.promotion = state
            case _:
                return False
        return True


def state_in(body: Message) -> object:
    """The aggregate's resulting state that a fact's body carries, or None."""
    for name in ("work", "gate", "artifact", "change", "run", "release", "promotion"):
        state: object = getattr(body, name, None)
        if state is not None:
            return state
    return None


def key_of(kind: str, aggregate_id: str) -> str:
    """Under which an aggregate is known."""
    return f"{kind}:{aggregate_id}"


@dataclass
class Inbox:
    """Carried whole through Continue-As-New."""

    known: dict[str, Known] = field(default_factory=dict[str, Known])
    tombstones: list[str] = field(default_factory=list[str])

    def take(self, fact: DomainFact) -> bool:
        """Hear one fact; False for one heard before, subsumed, or of an aggregate that is closed or unknown to runs."""
        aggregate = fact.aggregate or AggregateRef()
        message_id = (fact.metadata or MessageMetadata()).message_id
        key = key_of(aggregate.type, aggregate.id)
        if fact.fact is None or not message_id or key in self.tombstones:
            return False
        known = self.known.get(key)
        if known is not None and (aggregate.version < known.version or message_id in known.message_ids):
            return False
        same = known is not None and known.version == aggregate.version
        heard = known.message_ids if known is not None and same else []
        newer = Known(aggregate.version, [*heard, message_id])
        if not newer.learn(fact.fact.value):
            return False
        self.known[key] = newer
        return True

    def close(self, kind: str, aggregate_id: str) -> None:
        """The course is done with this aggregate: nothing of it is heard any more."""
        key = key_of(kind, aggregate_id)
        self.known.pop(key, None)
        if key not in self.tombstones:
            self.tombstones.append(key)

    def about(self, kind: str, aggregate_id: str) -> Known | None:
        """What is known of an aggregate."""
        return self.known.get(key_of(kind, aggregate_id))
