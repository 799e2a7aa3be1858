"""TLS and SASL: what is set right works for everything, and what is wrong is said with the setting to correct."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from ameide.errors import AmeideError, InvalidArgument, Unreachable
from ameide.events.backends.kafka.connection import KafkaConnection
from ameide.events.backends.kafka.facts import KafkaFactStream
from ameide.events.backends.kafka.intents import KafkaIntentQueue
from ameide.events.backends.kafka.publisher import Publisher
from ameide.events.backends.kafka.topics import KafkaTopics
from tests.conformance.carriers import fact, intent
from tests.engines.certificates import Authority
from tests.engines.kafka.broker import PASSWORD, USER, KafkaBroker
from tests.events.kafka_world import logged, make_topics

_PATIENCE = 30.0
_KEY_PASSWORD = "the key's password"


@pytest.fixture(scope="module")
def sasl(kafka: KafkaBroker) -> KafkaConnection:
    """With a user and a password."""
    return KafkaConnection(
        kafka.sasl_brokers,
        security_protocol="SASL_SSL",
        sasl_username=USER,
        sasl_password=PASSWORD,
        ca_file=authority(kafka).ca,
    )


@pytest.fixture(scope="module")
def mutual(kafka: KafkaBroker) -> KafkaConnection:
    """With a certificate whose key has a password."""
    certificate, key = authority(kafka).sign("client", _KEY_PASSWORD)
    return KafkaConnection(
        kafka.tls_brokers,
        security_protocol="SSL",
        ca_file=authority(kafka).ca,
        certificate_file=certificate,
        key_file=key,
        key_password=_KEY_PASSWORD,
    )


def authority(kafka: KafkaBroker) -> Authority:
    """Who signed the broker's certificate."""
    assert kafka.authority
    return kafka.authority


async def _carries_everything(connection: KafkaConnection, name: str) -> None:
    """Topics are made, facts and invitations published and read."""
    connection.check()
    facts, queue = f"{name}.facts", f"{name}.queue"
    await make_topics(connection, [facts, queue], 1)
    async with Publisher(connection) as publisher:
        sent = [logged(1, replace(fact("a", 1), topic=facts)), logged(2, replace(intent("w1"), topic=queue))]
        assert await publisher.publish(sent) == [None, None]
    stream, intents = KafkaFactStream(connection, name, [facts]), KafkaIntentQueue(connection)
    async with asyncio.timeout(_PATIENCE):
        while not (await stream.activate() and await stream.fetch(1)):
            await stream.wait(0.2)
        works: list[str] = []
        while not works:
            async with intents.receive([queue]) as delivery:
                works += [delivery.invitation.work_request_id] if delivery else []
    await stream.close()
    await intents.close()
    assert works == ["w1"]


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
async def test_with_a_password(sasl: KafkaConnection, mechanism: str):
    await _carries_everything(replace(sasl, sasl_mechanism=mechanism), f"secure.{mechanism}")


async def test_with_a_certificate(mutual: KafkaConnection):
    await _carries_everything(mutual, "secure.mutual")


async def test_what_is_wrong_is_said_with_its_setting(
    sasl: KafkaConnection, mutual: KafkaConnection, kafka: KafkaBroker
):
    wrong = {
        replace(sasl, sasl_password="wrong"): "AMEIDE_KAFKA_SASL_USERNAME",
        replace(sasl, ca_file=Path()): "AMEIDE_KAFKA_CA_FILE",
        replace(mutual, certificate_file=Path(), key_file=Path()): "AMEIDE_KAFKA_CERTIFICATE_FILE",
        replace(mutual, security_protocol="PLAINTEXT"): "AMEIDE_KAFKA_SECURITY_PROTOCOL",
        KafkaConnection(kafka.brokers, security_protocol="SSL"): "AMEIDE_KAFKA_SECURITY_PROTOCOL",
    }

    async def attempt(connection: KafkaConnection, named: str) -> None:
        connection.check()
        for error in await asyncio.gather(_published(connection), _checked(connection), _followed(connection)):
            assert isinstance(error, Unreachable)
            assert named in str(error)
            assert PASSWORD not in repr(error)

    await asyncio.gather(*(attempt(connection, named) for connection, named in wrong.items()))


async def _published(connection: KafkaConnection) -> AmeideError | None:
    async with Publisher(connection, patience=3.0) as publisher:
        [answer] = await publisher.publish([logged(1, fact("a", 1))])
        return answer


async def _checked(connection: KafkaConnection) -> AmeideError | None:
    try:
        await KafkaTopics(connection).check()
    except AmeideError as error:
        return error
    return None


async def _followed(connection: KafkaConnection) -> AmeideError | None:
    stream = KafkaFactStream(connection, "stranger")
    try:
        async with asyncio.timeout(_PATIENCE):
            while True:
                await stream.activate()
                await stream.wait(0.5)
    except AmeideError as error:
        return error
    finally:
        await stream.close()


async def test_a_key_that_cannot_be_opened_is_said_before_anything_is_sent(mutual: KafkaConnection):
    async with Publisher(replace(mutual, key_password="wrong")) as publisher:
        with pytest.raises(InvalidArgument, match=r"key\.location.*AMEIDE_KAFKA_KEY_PASSWORD"):
            await publisher.publish([logged(1, fact("a", 1))])
