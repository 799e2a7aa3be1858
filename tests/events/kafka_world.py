"""Messages of a log that needs no database, and what lies in the topics of a real Kafka."""

import asyncio
from collections.abc import Sequence
from typing import Any

from confluent_kafka import OFFSET_END, Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from ameide.errors import Unreachable
from ameide.events.backends.kafka.connection import KafkaConnection
from ameide.events.backends.kafka.topics import KafkaTopics, TopicSettings
from ameide.events.messages import LoggedMessage, OutboxMessage
from tests.faults.rig.patience import pause


def logged(position: int, message: OutboxMessage) -> LoggedMessage:
    """The message at a position of the log."""
    return LoggedMessage.of({name: getattr(message, name) for name in OutboxMessage.__slots__} | {"position": position})


async def make_topics(connection: KafkaConnection, topics: Sequence[str], partitions: int = 3) -> None:
    """Topics as the forwarder would make them."""
    await KafkaTopics(connection).ensure(topics, TopicSettings(partitions, 1, 1))


async def makes_topics_again(connection: KafkaConnection, topic: str) -> None:
    """Wait until a broker that was away makes this one: its controller has to know it again."""
    while True:
        try:
            return await make_topics(connection, [topic], 1)
        except Unreachable:
            await pause()


def records(connection: KafkaConnection, topic: str, number: int, seconds: float = 10.0) -> list[Message]:
    """The first records of a topic, in order of each partition; fewer when no more come for some seconds."""
    consumer = Consumer(
        connection.options() | {"group.id": "onlooker", "enable.auto.commit": False, "auto.offset.reset": "earliest"}
    )
    partitions = consumer.list_topics(topic, timeout=seconds).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    found: list[Message] = []
    while len(found) < number and (record := consumer.poll(seconds)) is not None:
        assert record.error() is None
        found.append(record)
    consumer.close()
    return found


async def garble(connection: KafkaConnection, topic: str, number: int) -> None:
    """Records that no forwarder wrote."""
    producer = Producer(connection.options())
    for _ in range(number):
        producer.produce(topic, key=b"acme:w1", value=b"no message")
    assert await asyncio.to_thread(producer.flush, 10) == 0


async def committed(connection: KafkaConnection, group: str, topic: str, partition: int = 0) -> int:
    """The offset at which the group goes on; negative when it has none."""
    consumer = Consumer(connection.options() | {"group.id": group})
    [found] = await asyncio.to_thread(consumer.committed, [TopicPartition(topic, partition)], 10)
    await asyncio.to_thread(consumer.close)
    return found.offset


async def remove_records(connection: KafkaConnection, topic: str) -> None:
    """All that the topic holds, as when its retention is over."""
    # Untyped in the library.
    admin: Any = AdminClient(connection.options())
    partitions = admin.list_topics(topic, timeout=10).topics[topic].partitions
    removed = admin.delete_records([TopicPartition(topic, number, OFFSET_END) for number in partitions])
    await asyncio.gather(*(asyncio.wrap_future(one) for one in removed.values()))
