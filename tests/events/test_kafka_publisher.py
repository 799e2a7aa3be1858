"""What the publisher promises: order per key, an answer for each message, and the rest of the world flows."""

import asyncio
import os
from dataclasses import replace

import pytest

from ameide.errors import InvalidArgument, Refused, Unreachable
from ameide.events.backends.kafka.connection import KafkaConnection
from ameide.events.backends.kafka.publisher import Publisher
from ameide.events.backends.kafka.records import HEADERS, TRACE, message_of
from ameide.events.backends.kafka.topics import KafkaTopics, TopicSettings
from tests.conformance.carriers import fact
from tests.engines.kafka.broker import KafkaBroker
from tests.events.kafka_world import logged, make_topics, records


async def test_messages_arrive_whole_and_in_order_of_their_keys(kafka: KafkaBroker) -> None:
    connection, topic = KafkaConnection(kafka.brokers), "published.whole"
    await make_topics(connection, [topic])
    sent = [logged(n, replace(fact(f"a{n % 7}", n, payload=bytes([n])), topic=topic)) for n in range(1, 100)]
    async with Publisher(connection) as publisher:
        assert set(await publisher.publish(sent)) == {None}
    read = await asyncio.to_thread(records, connection, topic, len(sent))
    assert {name for record in read for name, _ in record.headers() or ()} == HEADERS.keys() - {TRACE}
    got = [message_of(record) for record in read]
    assert sorted(got, key=lambda message: message.position) == sent
    for key in {message.key for message in sent}:
        positions = [message.position for message in got if message.key == key]
        assert positions == sorted(positions)


@pytest.mark.parametrize("admitted", [None, 100_000], ids=["more than we send", "more than the topic takes"])
async def test_a_message_that_is_too_large_holds_its_key_and_the_others_flow(
    kafka: KafkaBroker, admitted: int | None
) -> None:
    connection, topic = KafkaConnection(kafka.brokers), f"published.large.{admitted}"
    await make_topics(connection, [topic], 1)
    if admitted:
        await kafka.configure(topic, {"max.message.bytes": str(admitted)})
    large = os.urandom(150_000 if admitted else 1_500_000)
    sent = [
        fact("a", 1),
        fact("a", 2, payload=large),
        fact("b", 1),
        fact("a", 3),
        *(fact("c", version, payload=large[:90_000]) for version in (1, 2, 3)),
    ]
    messages = [logged(n, replace(message, topic=topic)) for n, message in enumerate(sent, 1)]
    async with Publisher(connection) as publisher:
        answers = await publisher.publish(messages)
        reasons = [answer.reason if answer else "" for answer in answers]
        assert reasons == ["", "MESSAGE_TOO_LARGE", "", "BEHIND_REFUSED", "", "", ""]
        assert isinstance(answers[1], Refused)
        # It goes on as if nothing had been.
        assert await publisher.publish([logged(9, replace(fact("d", 1), topic=topic))]) == [None]
    got = [message_of(record) for record in await asyncio.to_thread(records, connection, topic, 9, 1.0)]
    assert {(message.aggregate_id, message.aggregate_version) for message in got} == {
        ("a", 1),
        ("b", 1),
        ("c", 1),
        ("c", 2),
        ("c", 3),
        ("d", 1),
    }


async def test_without_a_topic_the_answer_says_who_makes_it(kafka: KafkaBroker) -> None:
    async with Publisher(KafkaConnection(kafka.brokers)) as publisher:
        [answer] = await publisher.publish([logged(1, replace(fact("a", 1), topic="published.nowhere"))])
    assert isinstance(answer, Unreachable)
    assert "forwarder makes the topics" in str(answer)


async def test_a_topic_is_made_once_with_the_documented_settings(kafka: KafkaBroker) -> None:
    topics = KafkaTopics(KafkaConnection(kafka.brokers))
    settings = TopicSettings(partitions=4, replication=0, retention_hours=2)
    made = await asyncio.gather(*(topics.ensure(["made.once"], settings) for _ in range(3)))
    assert ["made.once"] in made
    assert await topics.ensure(["made.once"], settings) == []
    said = await kafka.configuration("made.once")
    assert {name: said[name] for name in settings.configuration} == settings.configuration
    assert said["retention.ms"] == "7200000"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"brokers": ""}, "KAFKA_BROKERS"),
        ({"brokers": "a:1,b"}, "KAFKA_BROKERS"),
        ({"security_protocol": "TLS"}, "AMEIDE_KAFKA_SECURITY_PROTOCOL"),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "GSSAPI"}, "AMEIDE_KAFKA_SASL_MECHANISM"),
        ({"security_protocol": "SASL_SSL"}, "AMEIDE_KAFKA_SASL_USERNAME"),
        ({"security_protocol": "SASL_SSL", "sasl_username": "u"}, "AMEIDE_KAFKA_SASL_PASSWORD"),
    ],
)
def test_a_setting_that_is_wrong_is_named(wrong: dict[str, str], named: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        replace(KafkaConnection("127.0.0.1:9092"), **wrong).check()  # pyright: ignore[reportArgumentType]
    assert refused.value.field == named
    assert refused.value.remedy


def test_no_secret_is_shown() -> None:
    shown = repr(KafkaConnection("b:1", sasl_password="quite secret", key_password="also secret"))
    assert "secret" not in shown
