"""Pools of the roles that write, sequence and read."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import pytest

from ameide.storage.db import Database
from tests.conftest import SpineDatabase


class Pools:
    """One pool per role of a test's database; `admin` is the superuser's."""

    def __init__(self, database: SpineDatabase, stack: AsyncExitStack) -> None:
        self._database = database
        self._stack = stack

    async def role(self, name: str) -> Database:
        """An opened pool of a role, e.g. `ameide_relay`."""
        return await self._open(self._database.dsn(name))

    async def admin(self) -> Database:
        """An opened pool of the superuser."""
        return await self._open(self._database.address.conninfo)

    async def _open(self, dsn: str) -> Database:
        pool = Database(dsn, max_size=12)
        await pool.open()
        self._stack.push_async_callback(pool.close)
        return pool


@pytest.fixture
async def pools(database: SpineDatabase) -> AsyncGenerator[Pools]:
    """Pools that are closed after the test."""
    async with AsyncExitStack() as stack:
        yield Pools(database, stack)
