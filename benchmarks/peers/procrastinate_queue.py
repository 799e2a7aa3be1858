"""procrastinate: psycopg's asynchronous connector with its pool, concurrency 10, LISTEN on, finished jobs deleted."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import procrastinate

from benchmarks.peers.port import Meter
from benchmarks.protocol import paced

_AT_ONCE = 10


class Procrastinate:
    """See `Peer`. It fetches one job a query, whatever the batch."""

    def __init__(self) -> None:
        self._meter = Meter()
        self._waiting: dict[int, asyncio.Future[float]] = {}

    async def prepare(self, dsn: str) -> None:
        """See `Peer`."""
        size = _AT_ONCE + 2
        self._app = procrastinate.App(
            connector=procrastinate.PsycopgConnector(conninfo=dsn, min_size=size, max_size=size)
        )

        @self._app.task(name="noop")
        async def noop(number: int) -> None:
            self._meter.count(time.perf_counter())
            if number in self._waiting:
                self._waiting.pop(number).set_result(time.perf_counter())

        self._task = noop
        await self._app.open_async()
        await self._app.schema_manager.apply_schema_async()

    async def fill(self, jobs: int) -> None:
        """See `Peer`."""
        await self._app.connector.execute_query_async("DELETE FROM procrastinate_jobs")
        for start in range(0, jobs, 1000):
            await self._task.batch_defer_async(*({"number": -1} for _ in range(min(1000, jobs - start))))
        await self._app.connector.execute_query_async("ANALYZE procrastinate_jobs")

    async def drain(self, seconds: float, batch: int) -> float:
        """See `Peer`."""
        del batch
        self._meter = Meter()
        await self._work_for(seconds)
        return self._meter.rate

    async def pace(self, rate: float, seconds: float) -> list[float]:
        """See `Peer`."""
        number = 0

        async def one() -> float:
            nonlocal number
            number += 1
            begun = time.perf_counter()
            heard = self._waiting[number] = asyncio.get_running_loop().create_future()
            await self._task.defer_async(number=number)
            return await heard - begun

        working = asyncio.create_task(self._work_for(seconds + 3))
        await asyncio.sleep(0.5)
        found = await paced(rate, seconds, one)
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        return found

    async def _work_for(self, seconds: float) -> None:
        worker = asyncio.create_task(
            self._app.run_worker_async(
                concurrency=_AT_ONCE, install_signal_handlers=False, delete_jobs="always", wait=True
            )
        )
        try:
            await asyncio.wait([worker], timeout=seconds)
        finally:
            worker.cancel()
            with suppress(asyncio.CancelledError):
                await worker
