"""The program that registers our namespace and our search attributes at a Temporal server.

It runs in a process of its own: the SDK's threads may still let go of Python objects when the interpreter shuts down,
which then aborts (seen in one of ten exits). This process ends without such a shutdown.
"""

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import CountWorkflowExecutionsRequest, RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from ameide.engine.errors import StartError
from ameide.engine.namespace import NAMESPACE, SEARCH_ATTRIBUTES

RETENTION = timedelta(days=30)
"""How long Temporal keeps the history of a closed run. The record of what happened is the log, not this."""

_PAUSE = 0.1
_REFUSALS = (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED)


async def register(
    address: str, namespace: str = NAMESPACE, search_attributes: Sequence[str] = SEARCH_ATTRIBUTES, patience: float = 60
) -> None:
    """Register the namespace and the Keyword attributes that are missing; returns when a query may use them.

    Safe to repeat. Raises ``StartError`` if the server refuses (the text says what to register by hand) or if the
    attributes are not searchable after ``patience`` seconds.
    """
    client = await Client.connect(address, namespace=namespace, lazy=True)
    deadline = time.monotonic() + patience
    while True:
        try:
            await _register_once(client, namespace, search_attributes)
            return
        except (RPCError, RuntimeError) as error:
            # The SDK says RuntimeError when it cannot connect. All services of the server know a namespace only after
            # their next refresh.
            refused = isinstance(error, RPCError) and error.status in _REFUSALS
            if refused or time.monotonic() > deadline:
                raise StartError(
                    f"Temporal at {address} did not register namespace {namespace} and its Keyword search attributes"
                    f" {', '.join(search_attributes)}: {error}. Let an operator register them (temporal"
                    " operator namespace create, temporal operator search-attribute create)."
                ) from error
        await asyncio.sleep(_PAUSE)


async def _register_once(client: Client, namespace: str, search_attributes: Sequence[str]) -> None:
    retention = Duration()
    retention.FromTimedelta(RETENTION)
    try:
        await client.workflow_service.register_namespace(
            RegisterNamespaceRequest(namespace=namespace, workflow_execution_retention_period=retention)
        )
    except RPCError as error:
        if error.status != RPCStatusCode.ALREADY_EXISTS:
            raise
    listed = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace=namespace))
    missing = [name for name in search_attributes if name not in listed.custom_attributes]
    if missing:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=namespace,
                search_attributes=dict.fromkeys(missing, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD),
            )
        )
    query = " AND ".join(f"{name} = 'none'" for name in search_attributes)
    await client.workflow_service.count_workflow_executions(
        CountWorkflowExecutionsRequest(namespace=namespace, query=query)
    )


def _main(address: str, namespace: str, *search_attributes: str) -> int:
    try:
        asyncio.run(register(address, namespace, search_attributes))
    except StartError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    code = _main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)
