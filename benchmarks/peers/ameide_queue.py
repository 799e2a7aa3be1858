"""Ours: the Domain in this process, as its server runs it, with the relay and ten executors beside it.

A job is a whole work: its invitation is taken, its work claimed under a fence with a fact, its outcome recorded with
evidence and another fact. The peers' jobs leave less behind.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psycopg

from ameide.domain.commands import claims
from ameide.domain.unit import Unit
from ameide.events.relay import Relay
from ameide.storage.db import Database
from ameide_core_proto.transformation.work.v1 import command_service_pb as pb
from ameide_core_proto.transformation.work.v1.work_pb import WorkRequest
from benchmarks.domain import EXECUTOR, QUEUE, Domain, key, outcome, verify, waiting_works
from benchmarks.installation import address_of, installed
from benchmarks.peers.port import Meter
from benchmarks.protocol import paced

_AT_ONCE = 10


class Ameide:
    """See `Peer`."""

    async def prepare(self, dsn: str) -> None:
        """See `Peer`."""
        self._folder = tempfile.TemporaryDirectory(prefix="ameide-bench-queue-")
        self._there = await installed(address_of(dsn), Path(self._folder.name))
        app = Database(self._there.dsn("app"), min_size=_AT_ONCE + 2, max_size=_AT_ONCE + 2)
        relay = Database(self._there.dsn("relay"), max_size=1)
        for database in (app, relay):
            await database.open()
        self._domain = Domain(app)
        self._relay = Relay(relay, self._domain.wakeups)
        await self._domain.register()

    async def fill(self, jobs: int) -> None:
        """See `Peer`."""
        with psycopg.connect(self._there.admin.conninfo, autocommit=True) as admin:
            admin.execute("TRUNCATE ameide.work, ameide.attempt, ameide.evidence, ameide.queue_item, ameide.outbox")
        if jobs:
            await waiting_works(self._there, jobs)

    async def drain(self, seconds: float, batch: int) -> float:
        """See `Peer`."""
        meter, deadline = Meter(), time.perf_counter() + seconds

        async def executor() -> None:
            while time.perf_counter() < deadline and await self._turn(meter, 0, batch):
                pass

        await asyncio.gather(*(executor() for _ in range(max(2, _AT_ONCE // batch))))
        return meter.rate

    async def pace(self, rate: float, seconds: float) -> list[float]:
        """See `Peer`."""
        begun: dict[str, float] = {}
        running: dict[str, asyncio.Future[float]] = {}

        async def executor() -> None:
            while True:
                claim_id = key()
                answer = await self._poll(claim_id, 20, 1)
                now = time.perf_counter()
                for work, attempt in _claimed(answer):
                    heard = running.setdefault(work.work_request_id, asyncio.get_running_loop().create_future())
                    heard.set_result(now)
                    await self._finish([outcome(work, attempt, claim_id)])

        async def one() -> float:
            at = time.perf_counter()
            work = await self._domain.request(verify())
            begun[work.work_request_id] = at
            heard = running.setdefault(work.work_request_id, asyncio.get_running_loop().create_future())
            return await heard - at

        tasks = [asyncio.create_task(executor()) for _ in range(_AT_ONCE)]
        tasks.append(asyncio.create_task(self._relay.run()))
        await asyncio.sleep(0.3)
        found = await paced(rate, seconds, one)
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        return found

    async def _turn(self, meter: Meter, wait: int, batch: int) -> bool:
        claim_id = key()
        claimed = _claimed(await self._poll(claim_id, wait, batch))
        for _ in claimed:
            meter.count(time.perf_counter())
        if claimed:
            await self._finish([outcome(work, attempt, claim_id) for work, attempt in claimed])
        return bool(claimed)

    async def _poll(self, claim_id: str, wait: int, batch: int) -> pb.PollWorkResponse:
        return await self._domain.gateway.poll(
            EXECUTOR, pb.PollWorkRequest(queues=[QUEUE], claim_id=claim_id, wait_seconds=wait, max_works=batch)
        )

    async def _finish(self, outcomes: list[pb.RecordWorkOutcomeRequest]) -> None:
        async def handler(unit: Unit) -> pb.RecordWorkOutcomesResponse:
            return await claims.record_work_outcomes(unit, pb.RecordWorkOutcomesRequest(outcomes=outcomes))

        await self._domain.service.perform(EXECUTOR, "RecordWorkOutcomes", None, handler)


def _claimed(answer: pb.PollWorkResponse) -> list[tuple[WorkRequest, int]]:
    if answer.answer != pb.ClaimAnswer.RUN or answer.work is None:
        return []
    return [(answer.work, answer.attempt), *((one.work, one.attempt) for one in answer.more if one.work is not None)]
