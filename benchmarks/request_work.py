"""RequestWork through the service with 16 clients, against pgbench running the same SQL transaction.

The service's clients live in a process of their own and speak to `ameide serve domain` over its door, with a token.
pgbench runs the statements recorded from the service, for the same runs, as the same database role.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from typing import Any

from ameide.rpc.clients import Clients
from ameide_core_proto.transformation.governance.v1.governance_pb import Run
from benchmarks import command
from benchmarks.counters import counting
from benchmarks.domain import Domain, domain, verify
from benchmarks.installation import Cluster
from benchmarks.pgbench import recording, run, script
from benchmarks.protocol import Plan, Row, alternate, compare, saturated
from benchmarks.talking import Talker, answering

NAME = "request_work"
CLIENTS = 16
_RUNS = 64
_COUNTED_SECONDS = 2.0


async def bench(cluster: Cluster, plan: Plan) -> list[Row]:
    """One row."""
    there = await cluster.installation(NAME)
    async with domain(there) as inside:
        await inside.register()
        runs = await inside.runs(plan.count(_RUNS, 4))
        script_file = there.settings.state_dir / "request_work.pgbench"
        script_file.write_text(await _script(inside, runs), encoding="utf-8")
    ids = [one.process_instance_id for one in runs]
    with there.serving("domain"):
        async with Talker("benchmarks.request_work", "clients") as clients:
            await clients.ask({"address": there.settings.address, "token": there.tokens["process"]})

            async def ours(seconds: float) -> float:
                return float(await clients.ask({"seconds": seconds, "runs": ids}))

            async def theirs(seconds: float) -> float:
                return await run(cluster, there.dsn("app"), script_file, CLIENTS, seconds)

            await ours(plan.seconds / 5)
            with counting(there.admin) as count:
                done = await ours(min(_COUNTED_SECONDS, plan.seconds)) * min(_COUNTED_SECONDS, plan.seconds)
            found = await alternate({"service": ours, "pgbench": theirs}, plan)
    return [
        compare(
            "RequestWork through the service, 16 clients",
            "pgbench, the same SQL transaction",
            found["service"],
            found["pgbench"],
            reach=0.5,
            aim=1.0,
            counters=count.per(int(done)),
        )
    ]


async def _script(inside: Domain, runs: list[Run]) -> str:
    first = runs[0]
    asked = verify(first.process_instance_id)
    with recording() as found:
        work = await inside.request(asked)
    random = ":a::text || '-' || :b::text"
    # One script for all runs, so that each connection prepares its statements once, as the service does.
    replaced = {
        asked.client_request_id: f"('c' || {random})",
        work.work_request_id: f"('wrk-' || {random})",
        first.process_instance_id: _one_of([one.process_instance_id for one in runs]),
        first.change_id: _one_of([one.change_id for one in runs]),
    }
    limits = {"a": 2_000_000_000, "b": 2_000_000_000, "r": len(runs)}
    return script(found, replaced, [f"\\set {name} random(1, {limit})" for name, limit in limits.items()])


def _one_of(texts: list[str]) -> str:
    listed = ", ".join(f"'{text}'" for text in texts)
    return f"(ARRAY[{listed}])[:r]"


async def _clients() -> None:
    """The load: 16 clients of the door."""
    doors: list[Clients] = []

    async def answer(question: dict[str, Any]) -> float:
        if "address" in question:
            doors.append(Clients(question["address"], question["token"], timeout=30.0))
            return 0.0
        turn = itertools.cycle(question["runs"])
        return await saturated(CLIENTS, question["seconds"], lambda: doors[0].work.request_work(verify(next(turn))))

    await answering(answer)


if __name__ == "__main__":
    if sys.argv[1:] == ["clients"]:
        asyncio.run(_clients())
    else:
        command.main(NAME)
