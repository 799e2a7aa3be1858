"""dbos: a workflow on a queue that is polled every 10 ms (its setting for latency), no limit on how many it takes."""

from __future__ import annotations

import asyncio
import time
import uuid

import psycopg
import sqlalchemy
from dbos import DBOS, DBOSClient, DBOSConfig

from benchmarks.peers.port import Meter
from benchmarks.protocol import paced

_POLL_SECONDS = 0.01
_QUEUE = "noop"
_PATIENCE = 60.0
_meter = [Meter()]
_begun: dict[str, float] = {}


@DBOS.workflow()
def noop(name: str) -> None:
    """Nothing, seen."""
    now = time.perf_counter()
    _meter[0].count(now)
    if name:
        _begun[name] = now


class Dbos:
    """See `Peer`. It takes whatever is waiting, whatever the batch."""

    async def prepare(self, dsn: str) -> None:
        """See `Peer`."""
        config: DBOSConfig = {"name": "bench", "system_database_url": dsn, "log_level": "ERROR"}
        DBOS(config=config)
        await asyncio.to_thread(DBOS.launch)
        await asyncio.to_thread(lambda: DBOS.register_queue(_QUEUE, polling_interval_sec=_POLL_SECONDS))
        self._client = DBOSClient(system_database_url=dsn)
        self._engine = sqlalchemy.create_engine(dsn.replace("postgresql://", "postgresql+psycopg://"))
        self._admin = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
        self._jobs = 0

    async def fill(self, jobs: int) -> None:
        """See `Peer`. A registered queue is worked on at once, so the jobs come when it is drained, in one commit."""
        self._jobs = jobs

    async def drain(self, seconds: float, batch: int) -> float:
        """See `Peer`."""
        del batch
        await self._admin.execute("DELETE FROM dbos.workflow_status")
        _meter[0] = Meter()
        await asyncio.to_thread(self._enqueue)
        # Its threads and its rows ring no event of ours.
        while not _meter[0].done:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(seconds)
        # It starts what it took at once and records the ends behind: only an end that is recorded is one.
        done = await self._number("SUCCESS")
        rate = done / (time.perf_counter() - _meter[0].first)
        await self._admin.execute("DELETE FROM dbos.workflow_status WHERE status = 'ENQUEUED'")
        deadline = time.perf_counter() + _PATIENCE
        while await self._number("PENDING") and time.perf_counter() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        return rate

    async def _number(self, status: str) -> int:
        cursor = await self._admin.execute("SELECT count(*) FROM dbos.workflow_status WHERE status = %s", (status,))
        row = await cursor.fetchone()
        return int(row[0]) if row else 0

    async def pace(self, rate: float, seconds: float) -> list[float]:
        """See `Peer`."""

        async def one() -> float:
            name = uuid.uuid4().hex
            begun = time.perf_counter()
            await asyncio.to_thread(DBOS.enqueue_workflow, _QUEUE, noop, name)
            # Its workflows run on threads: when one began is read afterwards.
            return await asyncio.to_thread(_beginning_of, name) - begun

        return await paced(rate, seconds, one)

    def _enqueue(self) -> None:
        with self._engine.begin() as connection:
            for _ in range(self._jobs):
                self._client.enqueue_in_transaction(
                    connection, {"workflow_name": noop.__qualname__, "queue_name": _QUEUE}, ""
                )


def _beginning_of(name: str) -> float:
    while name not in _begun:
        time.sleep(0.005)
    return _begun.pop(name)
