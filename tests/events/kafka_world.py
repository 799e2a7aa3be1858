"""Messages of a log that needs no database, and what lies in the topics of a real Kafka."""

from collections.abc import Sequence

from confluent_kafka import Consumer, Message, TopicPartition

from ameide.events.backends.kafka.connection import KafkaConnection
from ameide.events.backends.kafka.topics import KafkaTopics, TopicSettings
from ameide.events.messages import LoggedMessage, OutboxMessage


def logged(position: int, message: OutboxMessage) -> LoggedMessage:
    """The message at a position of the log."""
    return LoggedMessage.of({name: getattr(message, name) for name in OutboxMessage.__slots__} | {"position": position})


async def make_topics(connection: KafkaConnection, topics: Sequence[str], partitions: int = 3) -> None:
    """Topics as the forwarder would make them."""
    await KafkaTopics(connection).ensure(topics, TopicSettings(partitions, 1, 1))


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
