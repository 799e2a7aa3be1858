"""What goes by Kafka, as the database remembers it: so that a change of carrier loses nothing, whoever starts first."""

from __future__ import annotations

from collections.abc import Collection

from ameide.contracts import topics
from ameide.contracts.transports import Transports
from ameide.storage.db import Database, Transaction
from ameide.storage.sql import load

FORWARDER = "forwarder"
FOR_INGRESS = (topics.WORK_FACTS, topics.KNOWLEDGE_FACTS, topics.GOVERNANCE_FACTS)
"""The facts that move runs. Process facts are said by the Process itself."""
INGRESS_GROUP = "ameide-ingress"
"""The consumer group of the ingress. It reads several topics, and so bears the name of none."""
_SQL = load("carriage")


def topics_of(transports: Transports) -> frozenset[str]:
    """The topics that go by Kafka."""
    facts = topics.FACT_TOPICS if transports.facts_on_kafka else ()
    return transports.kafka_queues.union(facts)


async def carry(db: Database, wanted: Collection[str]) -> list[str]:
    """Exactly these topics go by Kafka from now on; returns those that changed their carrier.

    `db` is of the role ameide_relay or ameide_ingress. Relay and forwarder call it before they work.
    """
    async with db.transaction(None) as tx:
        row = await tx.fetch_one(_SQL["carry"], {"topics": sorted(wanted)})
    assert row is not None
    return sorted(row["changed"])


async def carried(tx: Transaction) -> frozenset[str]:
    """The topics that go by Kafka now."""
    return frozenset(row["topic"] for row in await tx.fetch_all(_SQL["carried"]))


async def adopt(db: Database) -> int:
    """Give the ingress the facts that a forwarder had set aside when it was still there; returns how many.

    For an ingress that reads the log: the forwarder's place is behind them, and so is its own. `db` is the ingress'.
    """
    async with db.transaction(None) as tx:
        return await tx.execute(_SQL["adopt"], {"topics": list(FOR_INGRESS)})
