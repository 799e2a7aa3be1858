"""What goes by Kafka, put together. Its client is loaded where something does, and nowhere else."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from ameide.config import Settings
from ameide.contracts import topics
from ameide.contracts.transports import Transports
from ameide.events import gauges
from ameide.events.backends.kafka.connection import KafkaConnection
from ameide.events.backends.kafka.facts import KafkaFactStream
from ameide.events.backends.kafka.progress import Group
from ameide.events.backends.kafka.publisher import Publisher
from ameide.events.backends.kafka.topics import KafkaTopics, TopicSettings
from ameide.events.backends.postgres import PostgresFactStream
from ameide.events.carriage import FOR_INGRESS, FORWARDER, INGRESS_GROUP, topics_of
from ameide.events.consumer import Consumer
from ameide.events.forwarder import Forwarder
from ameide.events.log import attested
from ameide.events.wakeups import Wakeups
from ameide.events.watermark import Watermark
from ameide.rpc.probes import Probes
from ameide.storage.db import Database

# A publisher waits for reports ten seconds at most. A forwarder that is stopped in its batch gives its place up after:
IDLE_SECONDS = 30.0
# What an operator who asks for metrics waits for.
_GAUGE_SECONDS = 1.5
INGRESS = "ingress"


async def forwarding(
    stack: AsyncExitStack, settings: Settings, transports: Transports, db: Database, wakeups: Wakeups, probes: Probes
) -> Sequence[Coroutine[Any, Any, None]]:
    """The loops of a forwarder; `db` is of the role ameide_ingress. Raises InvalidArgument for a missing setting."""
    connection = KafkaConnection.of(settings)
    brokers, carried = KafkaTopics(connection), topics_of(transports)
    made = TopicSettings(settings.kafka_partitions, settings.kafka_replication, settings.kafka_retention_hours)
    publisher = await stack.enter_async_context(Publisher(connection))
    reader = Consumer(PostgresFactStream(db, FORWARDER, wakeups), db, FORWARDER)
    forwarder = Forwarder(
        reader, db, publisher, carried, wakeups, prepare=partial(brokers.ensure, sorted(carried), made)
    )
    probes.need("Kafka for the forwarder", brokers.check)
    probes.gauges.add(partial(gauges.of_consumer, db, FORWARDER))
    for queue in sorted(transports.kafka_queues):
        asked = Group(connection, topics.consumer_group(queue), [queue], patience=_GAUGE_SECONDS)
        probes.gauges.add(partial(gauges.of_group, asked, topics.consumer_group(queue), queue))
    loops = [forwarder.run()]
    if transports.facts_on_kafka:
        group = partial(Group, connection, INGRESS_GROUP, FOR_INGRESS)
        probes.gauges.add(partial(gauges.of_group, group(patience=_GAUGE_SECONDS), INGRESS_GROUP))
        loops.append(Watermark(db, group(), INGRESS, wakeups).run())
    return loops


def facts_for_ingress(settings: Settings, db: Database) -> KafkaFactStream:
    """The facts that move runs, as a member of the group of all ingresses, so far as the log has them.

    `db` is of the role ameide_ingress. Raises InvalidArgument.
    """
    return KafkaFactStream(
        KafkaConnection.of(settings),
        INGRESS_GROUP,
        FOR_INGRESS,
        session_seconds=settings.kafka_session_seconds,
        attest=partial(attested, db),
    )


async def missing_topics(settings: Settings, transports: Transports) -> list[str]:
    """The topics that should be there and are not. Raises Unreachable, InvalidArgument."""
    return await KafkaTopics(KafkaConnection.of(settings)).missing(sorted(topics_of(transports)))
