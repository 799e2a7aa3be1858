"""The processes of the loops: a worker of both workflows, an executor that does nothing, one who completes by token."""

from __future__ import annotations

import asyncio
import struct
import sys
from typing import Any

from temporalio import activity
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from ameide.process.activities import DomainCommands
from ameide.process.steps import TASK_QUEUE
from ameide.process.temporal import connect
from ameide.rpc.clients import Clients
from ameide_core_proto.transformation.work.v1.command_service_pb import ClaimAnswer, PollWorkRequest
from benchmarks.domain import QUEUE, key, outcome
from benchmarks.looping import OUTSIDE, Bare, Delegating, task_token
from benchmarks.talking import answering

_EXECUTORS = 4
_LENGTH = struct.Struct("!I")


async def worker(said: dict[str, Any]) -> None:
    """Polls for both workflows and their activities; hands tokens of the bare one to `completer`."""
    client = await connect(said["temporal"], said["namespace"])
    _, writer = await asyncio.open_connection("127.0.0.1", said["port"])

    @activity.defn(name=OUTSIDE)
    async def outside() -> None:
        token = task_token()
        writer.write(_LENGTH.pack(len(token)) + token)
        activity.raise_complete_async()

    domain = Clients(said["address"], said["token"])
    async with Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[Delegating, Bare],
        activities=[*DomainCommands(domain).all(), outside],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        await asyncio.Event().wait()


async def completer(said: dict[str, Any]) -> None:
    """Completes what it is handed."""
    client = await connect(said["temporal"], said["namespace"])

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        while head := await reader.read(_LENGTH.size):
            (length,) = _LENGTH.unpack(head)
            token = await reader.readexactly(length)
            tasks.add(asyncio.create_task(client.get_async_activity_handle(task_token=token).complete()))

    tasks: set[asyncio.Task[None]] = set()
    server = await asyncio.start_server(serve, "127.0.0.1", said["port"])
    await server.serve_forever()


async def executor(said: dict[str, Any]) -> None:
    """Claims through the gateway, does nothing, says so."""
    domain = Clients(said["address"], said["token"])

    async def slot() -> None:
        while True:
            claim_id = key()
            answer = await domain.work.poll_work(
                PollWorkRequest(queues=[QUEUE], claim_id=claim_id, wait_seconds=20), timeout_ms=30_000
            )
            if answer.answer is ClaimAnswer.RUN and answer.work is not None:
                await domain.work.record_work_outcome(outcome(answer.work, answer.attempt, claim_id))

    await asyncio.gather(*(slot() for _ in range(_EXECUTORS)))


async def _main(role: str) -> None:
    roles = {"worker": worker, "completer": completer, "executor": executor}
    tasks: list[asyncio.Task[None]] = []

    async def answer(question: dict[str, Any]) -> bool:
        tasks.append(asyncio.create_task(roles[role](question)))
        done, _ = await asyncio.wait(tasks, timeout=1.0)
        for task in done:
            task.result()
        return True

    await answering(answer)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
