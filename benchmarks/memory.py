"""Resident memory of `ameide up` without its engines, against three bare Temporal workers."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import psutil
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

from benchmarks import command
from benchmarks.installation import Cluster
from benchmarks.protocol import Plan, Row, compare
from benchmarks.starting import Installed
from benchmarks.talking import Talker, answering

NAME = "memory"
_PROCESSES = ("control", "worker", "executor")
_MEGABYTE = 1 << 20


@workflow.defn(name="bench.nothing")
class Nothing:
    """A workflow that is never started."""

    @workflow.run
    async def run(self) -> None:
        """Nothing."""


@activity.defn
async def nothing() -> None:
    """Nothing."""


async def bench(cluster: Cluster, plan: Plan) -> list[Row]:
    """One row. Memory does not vary as time does: a few looks, no blocks."""
    there, ours, theirs = Installed(), [], []
    namespace = (await cluster.installation(NAME)).settings.temporal_namespace
    try:
        there.ameide("up")
        async with Talker("benchmarks.memory", "bare") as bare:
            await bare.ask({"temporal": cluster.temporal_address, "namespace": namespace})
            for _ in range(plan.rounds):
                await asyncio.sleep(plan.seconds / 2)
                sizes = {name: _resident(_pid(there, name)) for name in _PROCESSES}
                ours.append((sum(sizes.values()),) * 2)
                theirs.append((3 * _resident(bare.pid),) * 2)
    finally:
        there.remove()
    return [
        compare(
            "resident memory of `ameide up` without its engines",
            "a bare Temporal worker, times three",
            ours,
            theirs,
            reach=1.5,
            aim=1.1,
            better="low",
            unit="MB",
            note=", ".join(f"{name} {size:.0f} MB" for name, size in sizes.items()),
        )
    ]


def _pid(there: Installed, name: str) -> int:
    return int(json.loads((there.folder / "run" / f"{name}.pid.json").read_text(encoding="utf-8"))["pid"])


def _resident(pid: int) -> float:
    process = psutil.Process(pid)
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True))) / _MEGABYTE


async def _bare() -> None:
    """A worker with one workflow and one activity, as the SDK's first example has it."""
    tasks: list[asyncio.Task[None]] = []

    async def work(said: dict[str, Any]) -> None:
        client = await Client.connect(said["temporal"], namespace=said["namespace"])
        async with Worker(client, task_queue="bench", workflows=[Nothing], activities=[nothing]):
            await asyncio.Event().wait()

    async def answer(question: dict[str, Any]) -> bool:
        tasks.append(asyncio.create_task(work(question)))
        await asyncio.wait(tasks, timeout=2.0)
        return True

    await answering(answer)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["bare"]:
        asyncio.run(_bare())
    else:
        command.main(NAME)
