"""1,000 governance runs that wait at their first gate at once: memory, and how long one more takes to get there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack

import psutil
import psycopg

from benchmarks import command
from benchmarks.domain import Domain, domain
from benchmarks.installation import Cluster, Installation
from benchmarks.loops import CONTROL
from benchmarks.protocol import Plan, Row, compare, percentile, say

NAME = "waiting_runs"
_RUNS = 1000
_MORE = 10
_PATIENCE = 600.0
_MEGABYTE = 1 << 20


async def bench(cluster: Cluster, plan: Plan) -> list[Row]:
    """Two rows: one more run with 1,000 waiting against one with none, and memory likewise."""
    there = await cluster.installation(NAME)
    number = plan.count(_RUNS, 10)
    with ExitStack() as stack:
        pids = [stack.enter_context(there.serving(*CONTROL)), stack.enter_context(there.serving("worker"))]
        async with domain(there, size=8) as inside:
            await inside.register()
            await _one_more(there, inside)
            before = await _latencies(there, inside, plan)
            memory_before = [_resident(pid) for pid in pids]
            say(f"  starting {number:,} runs")
            begun = time.monotonic()
            ids = [run.process_instance_id for run in await inside.runs(number)]
            await _all_wait(there, ids)
            rate = number / (time.monotonic() - begun)
            after = await _latencies(there, inside, plan)
            memory_after = [_resident(pid) for pid in pids]
    return [
        compare(
            f"one more run to its first gate, {number:,} waiting",
            "the same with none waiting",
            after,
            before,
            reach=0.0,
            aim=0.0,
            better="high",
            unit="s",
            note=f"{rate:.0f} runs/s to get there",
        ),
        compare(
            f"resident memory of control and worker, {number:,} waiting",
            "the same with none waiting",
            [(sum(memory_after),) * 2],
            [(sum(memory_before),) * 2],
            reach=0.0,
            aim=0.0,
            better="high",
            unit="MB",
            note=f"control {memory_before[0]:.0f} to {memory_after[0]:.0f} MB, "
            f"worker {memory_before[1]:.0f} to {memory_after[1]:.0f} MB",
        ),
    ]


async def _latencies(there: Installation, inside: Domain, plan: Plan) -> list[tuple[float, float]]:
    taken = [await _one_more(there, inside) for _ in range(max(2, min(_MORE, int(plan.rounds * 2))))]
    middle = percentile(taken, 50)
    return [(middle, middle)]


async def _one_more(there: Installation, inside: Domain) -> float:
    """Seconds from when a run was started until its gate is open."""
    run = await inside.run()
    begun = time.perf_counter()
    await _all_wait(there, [run.process_instance_id])
    return time.perf_counter() - begun


async def _all_wait(there: Installation, ids: Sequence[str]) -> None:
    deadline = time.monotonic() + _PATIENCE
    async with await psycopg.AsyncConnection.connect(there.admin.conninfo, autocommit=True) as admin:
        while time.monotonic() < deadline:
            row = await (
                await admin.execute(
                    "SELECT count(DISTINCT parent_id) FROM ameide.aggregate "
                    "WHERE kind = 'gate' AND status = 'OPEN' AND parent_id = ANY(%s)",
                    (list(ids),),
                )
            ).fetchone()
            if row == (len(ids),):
                return
            await asyncio.sleep(0.005 if len(ids) == 1 else 0.5)
    raise TimeoutError(f"{len(ids)} runs did not reach their first gate within {_PATIENCE:g} s")


def _resident(pid: int) -> float:
    return psutil.Process(pid).memory_info().rss / _MEGABYTE


if __name__ == "__main__":
    command.main(NAME)
