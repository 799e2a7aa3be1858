"""What a worker says when the server is not prepared, and what the server tells of workers."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

from ameide.engine.engine import Running
from ameide.errors import Conflict, Internal, PermissionDenied, Refused, Unreachable
from ameide.process.failing import as_failure
from ameide.process.temporal import connect, last_poll, need_search_attributes
from ameide.process.workflows import GovernanceRun
from tests.process.sandbox import sandbox


async def test_missing_search_attributes_are_named(engine: Running) -> None:
    client = await connect(engine.temporal_address, "bare")
    try:
        await client.workflow_service.register_namespace(
            RegisterNamespaceRequest(namespace="bare", workflow_execution_retention_period={"seconds": 86400})  # pyright: ignore[reportArgumentType]
        )
    except RPCError as error:
        raise AssertionError from error
    refused: Refused | None = None
    async with asyncio.timeout(30):
        while refused is None or "namespace bare lacks" not in str(refused):
            try:
                await need_search_attributes(client)
            except Refused as error:
                refused = error
    assert "AmeideTenant, AmeideChange, AmeidePhase, AmeideRepository" in str(refused)
    assert "ameide up" in refused.remedy


async def test_a_missing_namespace_is_named(engine: Running) -> None:
    client = await connect(engine.temporal_address, "nowhere")
    with pytest.raises(Refused, match="nowhere"):
        await need_search_attributes(client)


async def test_the_server_tells_whether_a_worker_polls(engine: Running, temporal: Client) -> None:
    address, queue = engine.temporal_address, "polled-by-a-test"
    assert await last_poll(address, temporal.namespace, queue) is None
    begun = datetime.now(UTC)
    async with Worker(temporal, task_queue=queue, workflows=[GovernanceRun], workflow_runner=sandbox()):
        async with asyncio.timeout(30):
            while (polled := await last_poll(address, temporal.namespace, queue)) is None:
                pass
    assert begun - timedelta(seconds=5) < polled < datetime.now(UTC) + timedelta(seconds=5)
    with pytest.raises(Unreachable, match="does not answer"):
        await last_poll("127.0.0.1:1", temporal.namespace)


async def test_nobody_there() -> None:
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
        await connect("127.0.0.1:1", "ameide")


@pytest.mark.parametrize(
    ("error", "kind", "final"),
    [
        (Refused("no", reason="BUDGET_EXHAUSTED"), "BUDGET_EXHAUSTED", True),
        (Conflict("taken"), "Conflict", True),
        (Unreachable("silence"), "Unreachable", False),
        (Internal("fault"), "Internal", False),
        (PermissionDenied("not this token"), "PermissionDenied", False),
    ],
)
def test_an_error_reaches_the_workflow_by_its_type(error: Refused, kind: str, final: bool) -> None:
    failure = as_failure(error)
    assert (failure.type, failure.non_retryable) == (kind, final)
