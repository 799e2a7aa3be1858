"""The process worker: workflows, and activities with the Domain's clients."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from datetime import timedelta
from importlib import resources

from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkflowRunner

from ameide.process.activities import DomainCommands
from ameide.process.propagation import TracePropagation
from ameide.process.steps import TASK_QUEUE
from ameide.process.temporal import connect_patiently, need_answer
from ameide.process.workflows import GovernanceRun, TriageRun
from ameide.rpc.clients import Clients
from ameide.stopping import unless

log = logging.getLogger(__name__)


def governance_worker(
    client: Client,
    commands: DomainCommands,
    *,
    task_queue: str = TASK_QUEUE,
    grace: float = 10.0,
    runner: WorkflowRunner | None = None,
) -> Worker:
    """A worker of both workflows. Leaving it lets activities that run end first, for `grace` seconds.

    Without a `runner` workflows run without Temporal's sandbox, in which the tests run and replay them.
    """
    return Worker(
        client,
        task_queue=task_queue,
        workflows=[GovernanceRun, TriageRun],
        activities=commands.all(),
        workflow_runner=runner or UnsandboxedWorkflowRunner(),
        interceptors=[TracePropagation()],
        graceful_shutdown_timeout=timedelta(seconds=grace),
        build_id=workflow_code(),
    )


def workflow_code() -> str:
    """A digest of the workflows' code, by which histories name who ran them.

    The SDK's own reads every module that is loaded, which takes longer than all else of a worker's start.
    """
    digest = hashlib.sha256()
    package = resources.files("ameide.process.workflows")
    for file in sorted((file for file in package.iterdir() if file.name.endswith(".py")), key=lambda file: file.name):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


class ProcessWorker:
    """The worker as a role of a process: `run` until `stop`; activities that run then have `grace` seconds."""

    def __init__(self, domain: Clients, address: str, namespace: str, *, grace: float) -> None:
        self._domain, self._address, self._namespace, self._grace = domain, address, namespace, grace
        self._stop = asyncio.Event()
        self._temporal: Client | None = None
        self.ready = asyncio.Event()

    def stop(self) -> None:
        """Poll no more; what runs may end."""
        self._stop.set()

    async def run(self) -> None:
        """Work until stopped. Sets `ready` when it polls. Raises Refused when the server is not prepared for us."""
        client = await unless(self._stop, connect_patiently(self._address, self._namespace))
        if client is None:
            return
        self._temporal = client
        async with governance_worker(client, DomainCommands(self._domain), grace=self._grace):
            log.info("process worker polls", extra={"task_queue": TASK_QUEUE, "namespace": self._namespace})
            self.ready.set()
            await self._stop.wait()

    async def check(self) -> None:
        """Raises Unreachable while Temporal does not answer."""
        await need_answer(self._temporal)
