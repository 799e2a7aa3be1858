"""The way to the Temporal server, and what it must know before anything of ours runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from temporalio.api.enums.v1 import IndexedValueType, TaskQueueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from ameide.errors import AmeideError, Refused, Unreachable
from ameide.process.converter import DATA_CONVERTER
from ameide.process.steps import TASK_QUEUE

SEARCH_ATTRIBUTES: Sequence[str] = ("AmeideTenant", "AmeideChange", "AmeidePhase", "AmeideRepository")
"""Keyword attributes that every run sets."""

log = logging.getLogger(__name__)
_LOOK_SECONDS = 5.0
_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


async def connect(address: str, namespace: str) -> Client:
    """A client that speaks our messages. Raises Unreachable."""
    try:
        return await Client.connect(address, namespace=namespace, data_converter=DATA_CONVERTER)
    except (RuntimeError, RPCError) as error:
        raise Unreachable(
            f"Temporal at {address} does not answer", remedy="Start it with `ameide up`, or set TEMPORAL_ADDRESS"
        ) from error


async def last_poll(address: str, namespace: str, task_queue: str = TASK_QUEUE) -> datetime | None:
    """When a worker last began to wait for workflow tasks; None when the server remembers none. Raises Unreachable."""
    request = DescribeTaskQueueRequest(
        namespace=namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            answer = await (await connect(address, namespace)).workflow_service.describe_task_queue(request)
    except (RPCError, TimeoutError) as error:
        raise Unreachable(f"Temporal at {address} does not answer", remedy="Is it healthy?") from error
    return max((poller.last_access_time.ToDatetime(UTC) for poller in answer.pollers), default=None)


async def connect_patiently(address: str, namespace: str) -> Client:
    """A client, however long the server takes, once the namespace and the search attributes are there.

    Raises Refused when the server answers and lacks them: nothing here registers them.
    """
    attempt = 0
    while True:
        try:
            client = await connect(address, namespace)
            await need_search_attributes(client)
            return client
        except Refused:
            raise
        except AmeideError as error:
            log.warning("waiting for Temporal: %s", error)
        await backoff(attempt)
        attempt += 1


async def need_search_attributes(client: Client) -> None:
    """Raises Refused, naming what to register, when the namespace or a search attribute is missing."""
    remedy = "Register it with `ameide up`, or with `temporal operator search-attribute create --type Keyword`"
    try:
        known = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            raise Refused(f"Temporal has no namespace {client.namespace}", remedy=remedy) from error
        raise Unreachable(f"Temporal did not list its search attributes: {error}", remedy="Is it healthy?") from error
    keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    missing = [name for name in SEARCH_ATTRIBUTES if known.custom_attributes.get(name) != keyword]
    if missing:
        raise Refused(
            f"namespace {client.namespace} lacks the Keyword search attributes {', '.join(missing)}", remedy=remedy
        )


async def need_answer(client: Client | None) -> None:
    """Raises Unreachable when Temporal does not answer, or did not yet."""
    try:
        if client is None or not await client.service_client.check_health():
            raise Unreachable("no connection yet", remedy="Is it healthy?")
    except RPCError as error:
        raise Unreachable(f"does not answer ({error.status.name})", remedy="Is it healthy?") from error


async def backoff(attempt: int) -> None:
    """Pause before the attempt after this one (from 0): 0.2 seconds growing to 10."""
    await asyncio.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
