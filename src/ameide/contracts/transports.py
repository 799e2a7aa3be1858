"""Which way facts and invitations go: by PostgreSQL, or by Kafka."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from ameide.contracts.topics import QUEUES, queue_named
from ameide.errors import InvalidArgument

POSTGRES, KAFKA = "postgres", "kafka"


@dataclass(frozen=True, slots=True)
class Transports:
    """What goes by Kafka; everything else goes by PostgreSQL."""

    facts_on_kafka: bool = False
    kafka_queues: frozenset[str] = frozenset()

    @property
    def any_kafka(self) -> bool:
        """Whether a broker is needed at all."""
        return self.facts_on_kafka or bool(self.kafka_queues)

    @classmethod
    def of(cls, facts: str, queues: Sequence[str]) -> Self:
        """From the values of the settings `facts_transport` and `queue_transport`; of two words for a queue the later.

        Raises InvalidArgument naming the setting.
        """
        chosen = dict.fromkeys(QUEUES, POSTGRES)
        for word in queues:
            name, equals, transport = word.rpartition("=")
            named = [queue_named(name, "AMEIDE_QUEUE_TRANSPORT")] if equals else QUEUES
            chosen |= dict.fromkeys(named, _transport(transport, "AMEIDE_QUEUE_TRANSPORT"))
        on_kafka = frozenset(queue for queue, transport in chosen.items() if transport == KAFKA)
        return cls(_transport(facts, "AMEIDE_FACTS_TRANSPORT") == KAFKA, on_kafka)


def queues_by_kafka(queues: Sequence[str]) -> frozenset[str]:
    """The queues that go by Kafka, for who has nothing to do with facts. Raises as `Transports.of`."""
    return Transports.of(POSTGRES, queues).kafka_queues


def _transport(text: str, field: str) -> str:
    if text not in (POSTGRES, KAFKA):
        raise InvalidArgument(f"{text!r} carries nothing", field=field, remedy=f"Choose {POSTGRES} or {KAFKA}")
    return text
