"""Pick-up latency at 20 jobs a second: from before a job is enqueued until it begins, against the same peers."""

from __future__ import annotations

from contextlib import AsyncExitStack

from benchmarks import command
from benchmarks.installation import Cluster
from benchmarks.protocol import Block, Plan, Row, alternate, compare, percentile
from benchmarks.work_queue import installed_peers, opened

NAME = "pick_up"
RATE = 20.0


async def bench(cluster: Cluster, plan: Plan) -> list[Row]:
    """A row for each peer: the medians' ratio."""
    names = ["ameide", *installed_peers()]
    taken: dict[str, list[float]] = {name: [] for name in names}
    async with AsyncExitStack() as stack:
        talkers = await opened(stack, cluster, names)
        for talker in talkers.values():
            await talker.ask({"do": "fill", "jobs": 0})

        def side(name: str) -> Block:
            async def block(seconds: float) -> float:
                found = await talkers[name].ask({"do": "pace", "rate": RATE, "seconds": seconds})
                taken[name] += found
                return percentile(found, 50) * 1000

            return block

        found = await alternate({name: side(name) for name in names}, plan)
    said = {name: f"{percentile(values, 99) * 1000:.1f}" for name, values in taken.items()}
    return [
        compare(
            "pick-up latency at 20 jobs/s, p50",
            name,
            found["ameide"],
            found[name],
            reach=1.0,
            aim=0.0,
            better="low",
            unit="ms",
            note=f"p99 {said['ameide']} against {said[name]} ms",
        )
        for name in names[1:]
    ]


if __name__ == "__main__":
    command.main(NAME)
