"""Process facts: recorded as the process says them, known (run_epoch, seq) pairs ignored."""

from __future__ import annotations

from copy import deepcopy

from connectrpc.request import RequestContext

from ameide.contracts.ids import parse_process_instance_id, process_message_id
from ameide.domain.service import Service
from ameide.domain.statement import state_process_facts
from ameide.domain.unit import Unit
from ameide.errors import InvalidArgument, NotFound
from ameide.rpc.interceptors import current_caller
from ameide.storage import sql
from ameide_core_proto.common.v1.metadata_pb import MessageMetadata
from ameide_core_proto.process.transformation.v1.facts_pb import TransformationProcessFact
from ameide_core_proto.process.transformation.v1.process_fact_service_connect import ProcessFactService
from ameide_core_proto.process.transformation.v1.process_fact_service_pb import (
    RecordProcessFactsRequest,
    RecordProcessFactsResponse,
)

_SQL = sql.load("domain")
PRODUCER = "transformation.process"


class ProcessFacts(ProcessFactService):
    """The process's own record."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def record_process_facts(
        self,
        request: RecordProcessFactsRequest,
        _ctx: RequestContext[RecordProcessFactsRequest, RecordProcessFactsResponse],
    ) -> RecordProcessFactsResponse:
        caller = current_caller()
        caller.need("process")

        async def handler(unit: Unit) -> RecordProcessFactsResponse:
            return await record(unit, request)

        return await self._service.perform(caller, "RecordProcessFacts", request.scope, handler)


async def record(unit: Unit, command: RecordProcessFactsRequest) -> RecordProcessFactsResponse:
    """Append the facts that are new, in the order of (run_epoch, seq)."""
    instance = command.process_instance_id
    parsed = parse_process_instance_id(instance)
    if parsed is None:
        raise InvalidArgument("is no run", field="process_instance_id", remedy="It reads r2r/<tenant>/<change>/<n>")
    tenant, change_id, _ = parsed
    if tenant != unit.tenant_id:
        raise NotFound(f"no run {instance}", remedy="Use a token of its tenant")
    said = sorted(command.facts, key=lambda item: (item.run_epoch, item.seq))
    epochs, places = [fact.run_epoch for fact in said], [fact.seq for fact in said]
    rows = await unit.tx.fetch_all(_SQL["see_process_fact"], (unit.tenant_id, instance, epochs, places))
    unseen = {(row["run_epoch"], row["seq"]) for row in rows}
    new: list[TransformationProcessFact] = []
    for fact in said:
        if (fact.run_epoch, fact.seq) in unseen:
            # A batch may name a place twice; the first one has it.
            unseen.remove((fact.run_epoch, fact.seq))
            new.append(_enveloped(unit, fact, instance, change_id))
    if new:
        state_process_facts(unit, instance, new)
    return RecordProcessFactsResponse(recorded=len(new), known=len(command.facts) - len(new))


def _enveloped(unit: Unit, fact: TransformationProcessFact, instance: str, change_id: str) -> TransformationProcessFact:
    given = fact.metadata or MessageMetadata()
    said = deepcopy(fact)
    said.metadata = MessageMetadata(
        message_id=process_message_id(instance, fact.run_epoch, fact.seq),
        schema_version=1,
        tenant_id=unit.tenant_id,
        correlation_id=change_id,
        causation_id=given.causation_id,
        traceparent=given.traceparent,
        occurred_at=given.occurred_at or unit.timestamp,
        producer=PRODUCER,
        actor=unit.actor,
        process_instance_id=instance,
    )
    return said
