"""The delegated loop and the bare one, running side by side on one server: turns at a paced rate, their times."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from ameide.process.steps import TASK_QUEUE
from ameide.process.temporal import connect
from benchmarks.domain import domain, key
from benchmarks.installation import Installation
from benchmarks.looping import BARE
from benchmarks.talking import Talker

RUNS = 10
CONTROL = ("domain", "relay", "sweeper", "ingress", "projector")
_PATIENCE = 120.0
Handles = Sequence[WorkflowHandle[object, object]]


class Loops:
    """Workflows of both kinds, ready to take turns."""

    def __init__(self, delegated: Handles, bare: Handles) -> None:
        self._known = {"delegated": (delegated, {}), "bare": (bare, {})}

    async def turns(self, kind: str, rate: float, seconds: float) -> list[float]:
        """Have turns taken at a steady rate, one workflow after the other; the seconds that each took."""
        handles, seen = self._known[kind]
        turn, asked = itertools.cycle(handles), dict.fromkeys(range(len(handles)), 0)
        begun = time.perf_counter()
        for number in range(max(len(handles), int(rate * seconds))):
            await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
            await next(turn).signal("turn")
            asked[number % len(handles)] += 1
        taken: list[float] = []
        for place, handle in enumerate(handles):
            before = seen.get(place, 0)
            taken += (await _all_of(handle, before + asked[place]))[before:]
            seen[place] = before + asked[place]
        return taken


@asynccontextmanager
async def loops(there: Installation, *, bare: bool = True) -> AsyncGenerator[Loops]:
    """Processes as in production around one installation: control, worker, executor; and one who completes tokens."""
    settings = there.settings
    server = {"temporal": settings.temporal_address, "namespace": settings.temporal_namespace, "port": _free_port()}
    door = {"address": settings.address}
    async with AsyncExitStack() as stack:
        stack.enter_context(there.serving(*CONTROL))
        for role, said in (
            ("completer", server),
            ("worker", server | door | {"token": there.tokens["process"]}),
            ("executor", door | {"token": there.tokens["verifier"]}),
        ):
            talker = await stack.enter_async_context(Talker("benchmarks.loop_processes", role))
            await talker.ask(said)
        client = await connect(settings.temporal_address, settings.temporal_namespace)
        delegated = await _started_by_ingress(there, client)
        alone = [await client.start_workflow(BARE, id=key(), task_queue=TASK_QUEUE) for _ in range(RUNS if bare else 0)]
        yield Loops(delegated, alone)


async def _started_by_ingress(there: Installation, client: Client) -> Handles:
    async with domain(there, size=4) as inside:
        await inside.register()
        runs = await inside.runs(RUNS)
    handles = [client.get_workflow_handle(run.process_instance_id) for run in runs]
    for handle in handles:
        await _all_of(handle, 0)
    return handles


async def _all_of(handle: WorkflowHandle[object, object], least: int) -> list[float]:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            taken: list[float] = await handle.query("took")
            if len(taken) >= least:
                return taken
        except RPCError:
            # Ingress has not started it yet.
            if time.monotonic() > deadline:
                raise
        if time.monotonic() > deadline:
            raise TimeoutError(f"a workflow took {least} turns in none of {_PATIENCE:g} s")
        await asyncio.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
