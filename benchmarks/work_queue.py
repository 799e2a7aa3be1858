"""The work queue with no-op jobs, against procrastinate, pgqueuer and dbos at the same durability.

Each queue lives in a process of its own on a database of its own; all wait for the disk at each commit. Blocks of all
of them follow each other and then come in reverse. Jobs are enqueued before a block's clock starts.
"""

from __future__ import annotations

import importlib.util
from contextlib import AsyncExitStack

from benchmarks import command
from benchmarks.installation import Cluster, url_of
from benchmarks.protocol import Block, Plan, Row, alternate, compare, say
from benchmarks.talking import Talker

NAME = "work_queue"
PEERS = ("procrastinate", "pgqueuer", "dbos")
# Jobs to prepare for a second, more than any of them can do; preparing them takes time as well.
_PER_SECOND = {"ameide": 3000, "procrastinate": 1500, "pgqueuer": 5000, "dbos": 800}


def installed_peers() -> list[str]:
    """The peers that this environment has; `make bench` has all."""
    found = [name for name in PEERS if importlib.util.find_spec(name)]
    if len(found) < len(PEERS):
        say(f"  without {', '.join(sorted(set(PEERS) - set(found)))}: `make bench` installs them")
    return found


async def opened(stack: AsyncExitStack, cluster: Cluster, names: list[str]) -> dict[str, Talker]:
    """A process for each queue, with its schema on a database of its own."""
    talkers: dict[str, Talker] = {}
    for name in names:
        talkers[name] = await stack.enter_async_context(Talker("benchmarks.peers", name))
        await talkers[name].ask({"do": "prepare", "dsn": url_of(cluster.database(name))})
    return talkers


async def bench(cluster: Cluster, plan: Plan) -> list[Row]:
    """A row for each peer and batch size; dbos and procrastinate have no batches, so they meet both of ours."""
    names = ["ameide", *installed_peers()]
    async with AsyncExitStack() as stack:
        talkers = await opened(stack, cluster, names)

        def side(name: str, batch: int) -> Block:
            async def block(seconds: float) -> float:
                jobs = max(200, int(_PER_SECOND[name] * seconds))
                await talkers[name].ask({"do": "fill", "jobs": jobs})
                return float(await talkers[name].ask({"do": "drain", "seconds": seconds, "batch": batch}))

            return block

        sides = {f"ameide {batch}": side("ameide", batch) for batch in (1, 10)}
        for name in names[1:]:
            sides |= {f"{name} {batch}": side(name, batch) for batch in ((1, 10) if name == "pgqueuer" else (1,))}
        found = await alternate(sides, plan)
    rows: list[Row] = []
    for batch in (1, 10):
        for name in names[1:]:
            theirs = found.get(f"{name} {batch}") or found[f"{name} 1"]
            rows.append(
                compare(
                    f"work queue, no-op jobs, claim by {batch}",
                    name,
                    found[f"ameide {batch}"],
                    theirs,
                    reach=1.0,
                    aim=3.0,
                    unit="jobs/s",
                )
            )
    return rows


if __name__ == "__main__":
    command.main(NAME)
