"""pgqueuer: its queue manager with the psycopg driver and durable tables, batches as asked."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import psycopg
from pgqueuer.db import PsycopgDriver
from pgqueuer.models import Job
from pgqueuer.qm import QueueManager
from pgqueuer.queries import Queries

from benchmarks.peers.port import Meter
from benchmarks.protocol import paced

_JOB = "noop"


class Pgqueuer:
    """See `Peer`. Completions are written in batches of the same size."""

    def __init__(self) -> None:
        self._meter = Meter()
        self._waiting: dict[bytes, asyncio.Future[float]] = {}

    async def prepare(self, dsn: str) -> None:
        """See `Peer`."""
        self._dsn = dsn
        self._connection = await psycopg.AsyncConnection.connect(self._dsn, autocommit=True)
        self._queries = Queries(PsycopgDriver(self._connection))
        await self._queries.install()

    async def fill(self, jobs: int) -> None:
        """See `Peer`."""
        await self._connection.execute("TRUNCATE pgqueuer, pgqueuer_log")
        for start in range(0, jobs, 1000):
            size = min(1000, jobs - start)
            await self._queries.enqueue([_JOB] * size, [None] * size, [0] * size)
        await self._connection.execute("ANALYZE pgqueuer")

    async def drain(self, seconds: float, batch: int) -> float:
        """See `Peer`."""
        self._meter = Meter()
        await self._work_for(seconds, batch)
        return self._meter.rate

    async def pace(self, rate: float, seconds: float) -> list[float]:
        """See `Peer`."""
        number = 0

        async def one() -> float:
            nonlocal number
            number += 1
            begun = time.perf_counter()
            name = str(number).encode()
            heard = self._waiting[name] = asyncio.get_running_loop().create_future()
            await self._queries.enqueue(_JOB, name)
            return await heard - begun

        working = asyncio.create_task(self._work_for(seconds + 3, 1))
        await asyncio.sleep(0.5)
        found = await paced(rate, seconds, one)
        await working
        return found

    async def _work_for(self, seconds: float, batch: int) -> None:
        async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as connection:
            manager = QueueManager(Queries(PsycopgDriver(connection)))

            @manager.entrypoint(_JOB)
            async def noop(job: Job) -> None:
                self._meter.count(time.perf_counter())
                if job.payload in self._waiting:
                    self._waiting.pop(job.payload).set_result(time.perf_counter())

            asyncio.get_running_loop().call_later(seconds, manager.shutdown.set)
            await manager.run(batch_size=batch, dequeue_timeout=timedelta(seconds=30))
