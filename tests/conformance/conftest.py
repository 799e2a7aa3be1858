"""The backends that the conformance suite runs over."""

from collections.abc import AsyncGenerator
from itertools import count

import psycopg
import pytest

from ameide.storage.db import Database
from tests.conformance.carriers import Carrier, KafkaCarrier, PostgresCarrier
from tests.conftest import SpineDatabase
from tests.engines.kafka.broker import KafkaBroker

_numbers = count(1)


@pytest.fixture(params=["postgres", "kafka"])
async def carrier(request: pytest.FixtureRequest, database: SpineDatabase) -> AsyncGenerator[Carrier]:
    """A transport with nothing in it."""
    made = await (_postgres(database) if request.param == "postgres" else _kafka(request, database))
    yield made
    await made.close()


async def _postgres(database: SpineDatabase) -> Carrier:
    async def end_sessions() -> None:
        async with await psycopg.AsyncConnection.connect(database.address.conninfo, autocommit=True) as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    app, relay, ingress = (Database(database.dsn(f"ameide_{role}")) for role in ("app", "relay", "ingress"))
    for pool in (app, relay, ingress):
        await pool.open()
    return PostgresCarrier(app, relay, ingress, end_sessions)


async def _kafka(request: pytest.FixtureRequest, database: SpineDatabase) -> Carrier:
    broker: KafkaBroker = request.getfixturevalue("kafka")
    ingress = Database(database.dsn("ameide_ingress"))
    await ingress.open()
    made = KafkaCarrier(broker, ingress, f"test-{next(_numbers)}")
    await made.prepare()
    return made
