"""Facts from the log through Kafka to a member of a group, against the client library alone with the same records."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import psycopg
from confluent_kafka import Consumer as BareConsumer
from confluent_kafka import Producer

from ameide import config
from ameide.contracts.topics import WORK_FACTS
from ameide.events.backends.kafka.connection import KafkaConnection
from ameide.events.backends.kafka.facts import KafkaFactStream
from ameide.events.backends.kafka.publisher import Publisher
from ameide.events.backends.kafka.records import headers
from ameide.events.backends.kafka.topics import KafkaTopics, TopicSettings
from ameide.events.backends.postgres import PostgresFactStream
from ameide.events.carriage import FORWARDER, carry
from ameide.events.consumer import Consumer
from ameide.events.forwarder import BATCH, Forwarder
from ameide.events.log import read
from ameide.events.messages import LoggedMessage
from ameide.events.relay import Relay
from ameide.events.wakeups import Wakeups
from ameide.storage.db import Database
from benchmarks import command
from benchmarks.domain import domain, verify
from benchmarks.installation import Cluster, Installation
from benchmarks.protocol import Plan, Row, alternate, compare
from tests.engines.kafka import broker_in

NAME = "kafka"
_MESSAGES = 20_000
_REQUESTS = 50
_BARE = "bare"
_TOPICS = TopicSettings(partitions=6, replication=1, retention_hours=1)


@dataclass(frozen=True)
class _Way:
    """`bring` takes every message from its beginning until it is acknowledged; seconds."""

    messages: int
    bring: Callable[[], Awaitable[float]]


async def bench(cluster: Cluster, plan: Plan) -> list[Row]:
    """Two rows: messages a second until a member of the group has acknowledged them, from a publisher's call, and from
    the log by the forwarder."""
    there = await cluster.installation(NAME)
    with broker_in(cluster.folder / "kafka", config.read().cache_dir) as broker:
        connection = KafkaConnection(broker.brokers)
        await KafkaTopics(connection).ensure([WORK_FACTS, _BARE], _TOPICS)
        sample = await _fill(there, plan.count(_MESSAGES, 2 * _REQUESTS))
        async with _ours(there, connection, sample) as (transport, whole):
            bare = _bare(connection, sample)
            for way in (transport, whole, bare):
                await way.bring()
            sides = {"transport": transport, "log": whole, "bare": bare}
            found = await alternate({name: partial(_rate, way) for name, way in sides.items()}, plan)
    against = "confluent-kafka alone: the same records, options and commits"
    note = f"{sum(len(message.payload) for message in sample) // len(sample)} bytes and 14 headers a message"
    return [
        compare(
            "Kafka transport, published to acknowledged",
            against,
            found["transport"],
            found["bare"],
            reach=0.7,
            aim=0.9,
            note=note,
        ),
        compare(
            "the same from the log, by the forwarder", against, found["log"], found["bare"], reach=0, aim=0, note=note
        ),
    ]


async def _rate(way: _Way, seconds: float) -> float:
    done, busy = 0, 0.0
    while busy < seconds:
        busy += await way.bring()
        done += way.messages
    return done / busy


@asynccontextmanager
async def _ours(
    there: Installation, connection: KafkaConnection, sample: Sequence[LoggedMessage]
) -> AsyncGenerator[tuple[_Way, _Way]]:
    """Publisher or forwarder, and member beside it, each in the loops' own batches."""
    database = Database(there.dsn("ingress"), max_size=6)
    await database.open()
    wakeups = Wakeups()
    await carry(database, [WORK_FACTS])
    member = Consumer(KafkaFactStream(connection, "bench", [WORK_FACTS]), database, "ingress")
    async with Publisher(connection) as publisher, member:
        log = Consumer(PostgresFactStream(database, FORWARDER, wakeups), database, FORWARDER)
        forwarder = Forwarder(log, database, publisher, [WORK_FACTS], wakeups, prepare=_nothing)

        async def consume() -> None:
            left = len(sample)
            while left > 0:
                if batch := await member.next_batch(BATCH):
                    await member.acknowledge(batch[-1].position)
                    left -= len(batch)
                else:
                    await member.wait(1.0)

        async def publish() -> None:
            for start in range(0, len(sample), BATCH):
                assert not any(await publisher.publish(sample[start : start + BATCH]))

        async def forward() -> None:
            while await forwarder.step():
                pass

        async def bring(give: Callable[[], Awaitable[None]]) -> float:
            with psycopg.connect(there.admin.conninfo, autocommit=True) as admin:
                admin.execute("UPDATE ameide.cursor SET position = 0 WHERE name = 'forwarder'")
            begun = time.perf_counter()
            consuming = asyncio.create_task(consume())
            await give()
            await consuming
            return time.perf_counter() - begun

        yield _Way(len(sample), partial(bring, publish)), _Way(len(sample), partial(bring, forward))
    await database.close()


async def _nothing() -> None:
    """The topics are there."""


def _bare(connection: KafkaConnection, sample: Sequence[LoggedMessage]) -> _Way:
    """One thread that produces all and then consumes all, a thousand at once."""
    producer = Producer(Publisher(connection).options())
    own = {"group.id": "bare", "enable.auto.commit": False, "auto.offset.reset": "earliest"}
    consumer = BareConsumer(cast("dict[str, Any]", connection.options() | own))
    consumer.subscribe([_BARE])
    records = [(message.key.encode(), message.payload, headers(message)) for message in sample]

    def bring() -> float:
        begun, heard = time.perf_counter(), 0

        def on_delivery(error: object, _: object) -> None:
            nonlocal heard
            assert error is None
            heard += 1

        for number, (key, value, said) in enumerate(records):
            producer.produce(_BARE, key=key, value=value, headers=said, on_delivery=on_delivery)
            if number % 1000 == 0:
                producer.poll(0)
        producer.flush()
        assert heard == len(records)
        left = len(records)
        while left > 0:
            if found := consumer.consume(BATCH, 0.05):
                assert all(record.error() is None for record in found)
                consumer.commit(asynchronous=False)
                left -= len(found)
        return time.perf_counter() - begun

    return _Way(len(records), lambda: asyncio.to_thread(bring))


async def _fill(there: Installation, messages: int) -> list[LoggedMessage]:
    """Facts as RequestWork states them, in the log as often as it takes."""
    async with domain(there, size=2) as inside:
        await inside.register()
        run = await inside.run()
        for _ in range(_REQUESTS):
            await inside.request(verify(run.process_instance_id))
    database = Database(there.dsn("relay"), max_size=2)
    await database.open()
    try:
        relay = Relay(database, Wakeups())
        while await relay.move():
            pass
        with psycopg.connect(there.admin.conninfo, autocommit=True) as admin:
            admin.execute(_REPEAT, {"topic": WORK_FACTS, "copies": messages // _REQUESTS})
        async with database.transaction(None) as tx:
            return await read(tx, 0, messages)
    finally:
        await database.close()


_COLUMNS = (
    "tenant_id, topic, kind, key, message_id, name, aggregate_type, aggregate_id, aggregate_version, "
    "process_instance_id, correlation_id, causation_id, work_request_id, occurred_at, payload"
)
_REPEAT = f"""
    WITH facts AS (
        DELETE FROM ameide.log WHERE true RETURNING *
    ), again AS (
        INSERT INTO ameide.log (position, {_COLUMNS})
        SELECT row_number() OVER (ORDER BY copy, position), {_COLUMNS}
        FROM facts, generate_series(1, %(copies)s) AS copy WHERE topic = %(topic)s RETURNING position)
    UPDATE ameide.log_head SET position = (SELECT max(position) FROM again)"""  # noqa: S608


if __name__ == "__main__":
    command.main(NAME)
