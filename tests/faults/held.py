"""A transaction that a test holds open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from ameide.storage.db import Database, Opening, Transaction


class Held(Database):
    """Each of its transactions stays before its commit until it is let go."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn, max_size=1)
        self.reached = asyncio.Event()
        self.let_go = asyncio.Event()

    @asynccontextmanager
    async def transaction(self, tenant: str | Opening | None, *, point: str = "") -> AsyncGenerator[Transaction]:
        async with super().transaction(tenant, point=point) as tx:
            yield tx
            self.reached.set()
            await self.let_go.wait()
