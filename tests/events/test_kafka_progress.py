"""How far a group has come, as real brokers tell it to who is no member."""

from __future__ import annotations

import socket
import uuid

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from ameide.errors import Unreachable
from ameide.events import gauges
from ameide.events.backends.kafka.connection import KafkaConnection
from ameide.events.backends.kafka.progress import Group
from tests.engines.kafka.broker import KafkaBroker
from tests.events.kafka_world import make_topics, remove_records
from tests.faults.served import until


async def coordinated(group: Group) -> None:
    """A broker that was just started has yet to find out who coordinates the group."""

    async def answers() -> bool:
        try:
            return await group.committed() == {}
        except Unreachable:
            return False

    await until(answers, "the group to have its coordinator")


async def test_ends_and_what_was_acknowledged_are_told(kafka: KafkaBroker) -> None:
    connection, topic, name = KafkaConnection(kafka.brokers), f"progress-{uuid.uuid4()}", f"group-{uuid.uuid4()}"
    await make_topics(connection, [topic], partitions=2)
    group = Group(connection, name, [topic])
    await coordinated(group)
    producer = Producer(connection.options())
    for number in range(5):
        producer.produce(topic, value=b"x", partition=number % 2)
    producer.flush(10)
    assert await group.ends() == {(topic, 0): 3, (topic, 1): 2}
    assert await group.lag() == 5
    member = Consumer(connection.options() | {"group.id": name})
    member.commit(offsets=[TopicPartition(topic, 0, 2)], asynchronous=False)
    member.close()
    assert await group.committed() == {(topic, 0): 2}
    assert await gauges.of_group(group, name, "coder") == {
        "kafka_group_lag": {name: 3.0},
        "queue_ready": {"coder": 3.0},
    }


async def test_who_forgot_how_far_it_was_has_nothing_to_pass_where_nothing_is(kafka: KafkaBroker) -> None:
    """As when facts went by the log for longer than brokers keep messages, and offsets of a group without a member."""
    connection, topic, name = KafkaConnection(kafka.brokers), f"progress-{uuid.uuid4()}", f"group-{uuid.uuid4()}"
    await make_topics(connection, [topic], partitions=2)
    producer = Producer(connection.options())
    for number in range(4):
        producer.produce(topic, value=b"x", partition=number % 2)
    producer.flush(10)
    await remove_records(connection, topic)
    group = Group(connection, name, [topic])
    await coordinated(group)
    assert await group.ends() == {}
    producer.produce(topic, value=b"x", partition=1)
    producer.flush(10)
    assert await group.ends() == {(topic, 1): 3}
    # Of the first partition the group was given no more than one message, and the second was removed before.
    member = Consumer(connection.options() | {"group.id": name})
    member.commit(offsets=[TopicPartition(topic, 0, 1)], asynchronous=False)
    member.close()
    assert await group.ends() == {(topic, 0): 2, (topic, 1): 3}


async def test_nobody_has_passed_a_topic_that_is_not_there(kafka: KafkaBroker) -> None:
    group = Group(KafkaConnection(kafka.brokers), "group", [f"none-{uuid.uuid4()}"])
    for question in (group.ends, group.committed, group.lag):
        with pytest.raises(Unreachable, match="Kafka has no topic none-"):
            await question()


async def test_a_broker_that_is_away_is_told_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    group = Group(KafkaConnection(f"127.0.0.1:{port}"), "group", ["facts"], patience=0.5)
    with pytest.raises(Unreachable, match="Do the brokers of KAFKA_BROKERS run"):
        await group.lag()
