"""The backends that the conformance suite runs over."""

from collections.abc import AsyncGenerator

import pytest

from ameide.storage.db import Database
from tests.conformance.carriers import Carrier, PostgresCarrier
from tests.conftest import SpineDatabase


@pytest.fixture(params=["postgres"])
async def carrier(database: SpineDatabase) -> AsyncGenerator[Carrier]:
    """A transport with nothing in it."""
    pools = [Database(database.dsn(role)) for role in ("ameide_app", "ameide_relay", "ameide_ingress")]
    for pool in pools:
        await pool.open()
    made = PostgresCarrier(*pools)
    yield made
    await made.close()
