"""How a trace goes through a workflow without the workflow knowing of it.

A signal brings it in its fact's envelope; this interceptor keeps the newest and puts it into the headers of the
activities that are scheduled afterwards, and into those of the next run of a Continue-As-New. Headers are no part of
what a replay compares, and nothing here is recorded as a span, so a history replays with and without them.
Temporal's own OpenTelemetry interceptor would hang every activity below the span that started the workflow instead of
below what caused it, and would need its SDK in the workflow's modules.
"""

from __future__ import annotations

from typing import Any

from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.worker import (
    ActivityInboundInterceptor,
    ContinueAsNewInput,
    ExecuteActivityInput,
    ExecuteWorkflowInput,
    HandleSignalInput,
    Interceptor,
    StartActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)
from temporalio.workflow import ActivityHandle

from ameide.telemetry import tracing
from ameide.telemetry.context import TraceContext
from ameide_core_proto.common.v1.metadata_pb import MessageMetadata

_NAMES = ("traceparent", "tracestate")


class TracePropagation(Interceptor):
    """For the worker: carries traces through its workflows and makes a span of each of its activities."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """See the base class."""
        return _Activity(next)

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        """See the base class."""
        del input
        return _Inbound


class _Carried:
    """The headers of what the workflow does next."""

    headers: dict[str, Payload]

    def __init__(self) -> None:
        self.headers = {}


class _Inbound(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        self._carried = _Carried()
        super().init(_Outbound(outbound, self._carried))

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        # A signal that came with the start is newer than what the start carries.
        self._carried.headers = self._carried.headers or {k: v for k, v in input.headers.items() if k in _NAMES}
        return await super().execute_workflow(input)

    async def handle_signal(self, input: HandleSignalInput) -> None:
        metadata = getattr(input.args[0], "metadata", None) if input.args else None
        if isinstance(metadata, MessageMetadata) and metadata.traceparent:
            self._carried.headers = _payloads(TraceContext.parse(metadata.traceparent, metadata.tracestate))
        await super().handle_signal(input)


class _Outbound(WorkflowOutboundInterceptor):
    def __init__(self, next: WorkflowOutboundInterceptor, carried: _Carried) -> None:
        super().__init__(next)
        self._carried = carried

    def start_activity(self, input: StartActivityInput) -> ActivityHandle[Any]:
        input.headers = {**input.headers, **self._carried.headers}
        return super().start_activity(input)

    def continue_as_new(self, input: ContinueAsNewInput) -> Any:
        input.headers = {**input.headers, **self._carried.headers}
        return super().continue_as_new(input)


class _Activity(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        parent = TraceContext.read(lambda name: _text(input.headers.get(name)))
        about = {
            "temporalWorkflowID": info.workflow_id or "",
            "temporalRunID": info.workflow_run_id or "",
            "temporalActivityID": info.activity_id,
            "ameide.activity.attempt": info.attempt,
        }
        with tracing.span(f"RunActivity:{info.activity_type}", parent=parent, attributes=about):
            return await super().execute_activity(input)


def _payloads(trace: TraceContext) -> dict[str, Payload]:
    metadata = {"encoding": b"binary/plain"}
    return {name: Payload(metadata=metadata, data=value.encode()) for name, value in trace.headers.items()}


def _text(payload: Payload | None) -> str | None:
    return payload.data.decode("ascii", "replace") if payload is not None else None
