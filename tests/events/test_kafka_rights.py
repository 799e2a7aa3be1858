"""The rights that the how-to gives each role are enough for what it does, and an executor can do nothing else."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourceType

from ameide.contracts.topics import consumer_group
from ameide.errors import Unreachable
from ameide.events.backends.kafka.connection import KafkaConnection
from ameide.events.backends.kafka.facts import KafkaFactStream
from ameide.events.backends.kafka.intents import KafkaIntentQueue
from ameide.events.backends.kafka.progress import Group
from ameide.events.backends.kafka.publisher import Publisher
from ameide.events.backends.kafka.topics import KafkaTopics, TopicSettings
from tests.conformance.carriers import fact, intent
from tests.engines.kafka.broker import PASSWORD, STRANGERS, KafkaBroker
from tests.events.kafka_world import logged

FACTS, QUEUE, INGRESS = "rights.facts", "rights.queue", "rights-ingress"
HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "kafka.md"
_PATIENCE = 30.0


def table() -> dict[str, dict[ResourceType, set[AclOperation]]]:
    """What the how-to says: by role, which operations on topics and on groups."""
    said: dict[str, dict[ResourceType, set[AclOperation]]] = {}
    for line in HOW_TO.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[0] in STRANGERS:
            words = [
                {operation for operation in AclOperation if f"`{operation.name}`" in cell.upper()} for cell in cells
            ]
            said[cells[0]] = {ResourceType.TOPIC: words[1], ResourceType.GROUP: words[2]}
    return said


async def test_each_role_can_do_its_own_and_an_executor_nothing_else(kafka: KafkaBroker):
    assert kafka.authority
    names = {
        "forwarder": [
            (ResourceType.TOPIC, FACTS),
            (ResourceType.TOPIC, QUEUE),
            (ResourceType.GROUP, consumer_group(QUEUE)),
        ],
        "ingress": [(ResourceType.TOPIC, FACTS), (ResourceType.GROUP, INGRESS)],
        "executor": [(ResourceType.TOPIC, QUEUE), (ResourceType.GROUP, consumer_group(QUEUE))],
    }
    rights = table()
    assert rights.keys() == names.keys()
    for user, resources in names.items():
        await kafka.allow(user, [(kind, name, what) for kind, name in resources for what in rights[user][kind]])
    forwarder, ingress, executor = (
        KafkaConnection(kafka.sasl_brokers, "SASL_SSL", "PLAIN", user, PASSWORD, kafka.authority.ca) for user in names
    )

    await KafkaTopics(forwarder).ensure([FACTS, QUEUE], TopicSettings(1, 1, 1))
    sent = [logged(1, replace(fact("a", 1), topic=FACTS)), logged(2, replace(intent("w1"), topic=QUEUE))]
    async with Publisher(forwarder) as publisher:
        assert await publisher.publish(sent) == [None, None]
    await _lags(Group(forwarder, consumer_group(QUEUE), [QUEUE]), 1)

    stream, intents = KafkaFactStream(ingress, INGRESS, [FACTS]), KafkaIntentQueue(executor)
    async with asyncio.timeout(_PATIENCE):
        while not (await stream.activate() and await stream.fetch(1)):
            await stream.wait(0.2)
        taken = False
        while not taken:
            async with intents.receive([QUEUE]) as delivery:
                if delivery is not None:
                    taken = True
                    await delivery.acknowledge()
    await intents.close()
    await stream.close()
    await _lags(Group(forwarder, consumer_group(QUEUE), [QUEUE]), 0)

    async with Publisher(executor, patience=5.0) as publisher:
        for answer in await publisher.publish(sent):
            assert isinstance(answer, Unreachable)
            assert "lists the rights" in str(answer)
    curious = KafkaFactStream(executor, consumer_group(QUEUE), [FACTS])
    with pytest.raises(Unreachable, match="lists the rights"):
        await _active(curious)
    await curious.close()


async def _active(stream: KafkaFactStream) -> None:
    async with asyncio.timeout(_PATIENCE):
        while not await stream.activate():
            await stream.wait(0.2)


async def _lags(group: Group, messages: int) -> None:
    """Until the group lags so; the first question finds its coordinator being made."""
    async with asyncio.timeout(_PATIENCE):
        while True:
            try:
                assert await group.lag() == messages
            except Unreachable:
                continue
            return
