"""What each run has heard and where it stands, read from the Temporal server alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from ameide_core_proto.transformation.governance.v1.facts_pb import TransformationGovernanceDomainFact
from ameide_core_proto.transformation.knowledge.v1.facts_pb import TransformationKnowledgeDomainFact
from ameide_core_proto.transformation.work.v1.facts_pb import TransformationWorkDomainFact

_FACTS = {
    fact.desc().type_name: fact
    for fact in (TransformationWorkDomainFact, TransformationKnowledgeDomainFact, TransformationGovernanceDomainFact)
}


@dataclass
class Heard:
    """The signals of a run over all of its Continue-As-New, in order, repetitions included."""

    message_ids: list[str] = field(default_factory=list[str])


async def heard(client: Client, process_instance_id: str) -> Heard | None:
    """What a run has heard; None when the server knows no such workflow."""
    try:
        newest = await client.get_workflow_handle(process_instance_id).describe()
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return None
        raise
    parts: list[list[str]] = []
    run_id = newest.run_id
    while run_id:
        before, part = await _history(client, process_instance_id, run_id)
        parts.insert(0, part)
        run_id = before
    return Heard([message for part in parts for message in part])


async def _history(client: Client, workflow_id: str, run_id: str) -> tuple[str, list[str]]:
    """The run that this one continues, and the messages of its signals."""
    continued, messages = "", list[str]()
    async for event in client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history_events():
        if event.HasField("workflow_execution_started_event_attributes"):
            continued = event.workflow_execution_started_event_attributes.continued_execution_run_id
        elif event.HasField("workflow_execution_signaled_event_attributes"):
            messages += map(_message_id, event.workflow_execution_signaled_event_attributes.input.payloads)
    return continued, messages


def _message_id(payload: Payload) -> str:
    fact = _FACTS[payload.metadata["messageType"].decode()].from_binary(payload.data)
    return fact.metadata.message_id if fact.metadata else ""


async def at_rest(client: Client, process_instance_id: str, *, is_open: bool) -> bool:
    """Whether a run does nothing: its workflow waits for facts while the run is open, and is over once it is closed."""
    try:
        seen = await client.get_workflow_handle(process_instance_id).describe()
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            # That it is not there is a finding, not a matter of time.
            return True
        raise
    if not is_open:
        return seen.status != WorkflowExecutionStatus.RUNNING
    return not seen.raw_description.pending_activities and not seen.raw_description.HasField("pending_workflow_task")
