"""The process worker: workflows in the sandbox, activities with the Domain's clients."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import Worker

from ameide.process.activities import DomainCommands
from ameide.process.converter import sandbox
from ameide.process.steps import TASK_QUEUE
from ameide.process.temporal import connect_patiently
from ameide.process.workflows import GovernanceRun
from ameide.rpc.clients import Clients

log = logging.getLogger(__name__)
_GRACE = timedelta(seconds=10)


def governance_worker(client: Client, commands: DomainCommands, *, task_queue: str = TASK_QUEUE) -> Worker:
    """A worker of `r2r.governance.v1`. Leaving it lets activities that run end first, for ten seconds."""
    return Worker(
        client,
        task_queue=task_queue,
        workflows=[GovernanceRun],
        activities=commands.all(),
        workflow_runner=sandbox(),
        graceful_shutdown_timeout=_GRACE,
    )


async def run_worker(domain: Clients, address: str, namespace: str, ready: asyncio.Event) -> None:
    """Work until cancelled. Sets `ready` when it polls. Raises Refused when the server lacks our search attributes."""
    client = await connect_patiently(address, namespace)
    async with governance_worker(client, DomainCommands(domain)):
        log.info("process worker polls", extra={"task_queue": TASK_QUEUE, "namespace": namespace})
        ready.set()
        await asyncio.Event().wait()
