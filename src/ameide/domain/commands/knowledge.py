"""Artifacts: proposed, revised, submitted."""

from __future__ import annotations

from connectrpc.request import RequestContext

from ameide.contracts.ids import new_id
from ameide.domain.commands import attaching, work_rows
from ameide.domain.decisions import artifact as decisions
from ameide.domain.decisions import change as change_decisions
from ameide.domain.decisions.gate import void, voidable
from ameide.domain.decisions.verification import need_not_merged
from ameide.domain.service import Service
from ameide.domain.unit import Unit
from ameide.errors import PermissionDenied
from ameide.rpc.interceptors import Caller, current_caller
from ameide_core_proto.common.v1.metadata_pb import Actor
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, Gate, Run, RunKind
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import (
    Artifact,
    ArtifactContent,
    ArtifactKind,
)
from ameide_core_proto.transformation.knowledge.v1.command_service_connect import KnowledgeCommandService
from ameide_core_proto.transformation.knowledge.v1.command_service_pb import (
    ProposeArtifactRequest,
    ProposeArtifactResponse,
    ReviseArtifactRequest,
    ReviseArtifactResponse,
    SubmitArtifactRequest,
    SubmitArtifactResponse,
)

AUTHORS = ("requester", "operator")


class KnowledgeCommands(KnowledgeCommandService):
    """The door for artifacts. Approval comes with the gate, never from here."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def propose_artifact(
        self, request: ProposeArtifactRequest, _ctx: RequestContext[ProposeArtifactRequest, ProposeArtifactResponse]
    ) -> ProposeArtifactResponse:
        return await self._service.execute(
            _author("process"), "ProposeArtifact", request, ProposeArtifactResponse, propose_artifact
        )

    async def revise_artifact(
        self, request: ReviseArtifactRequest, _ctx: RequestContext[ReviseArtifactRequest, ReviseArtifactResponse]
    ) -> ReviseArtifactResponse:
        return await self._service.execute(
            _author(), "ReviseArtifact", request, ReviseArtifactResponse, revise_artifact
        )

    async def submit_artifact(
        self, request: SubmitArtifactRequest, _ctx: RequestContext[SubmitArtifactRequest, SubmitArtifactResponse]
    ) -> SubmitArtifactResponse:
        return await self._service.execute(
            _author(), "SubmitArtifact", request, SubmitArtifactResponse, submit_artifact
        )


def _author(*besides: str) -> Caller:
    caller = current_caller()
    caller.need(*AUTHORS, *besides)
    return caller


async def propose_artifact(unit: Unit, command: ProposeArtifactRequest) -> ProposeArtifactResponse:
    """A first version on an open change. The Process proposes a triage, in a run that looked at one, for who began it.

    Raises PermissionDenied when it would propose anything else.
    """
    change = await _lock_open_change(unit, command.change_id)
    author = unit.actor
    if "process" in unit.caller.roles and not unit.caller.roles & {*AUTHORS, "admin"}:
        author = await _for_who_began(unit, change, command.kind)
    await attaching.attach_by_words(unit, change, command.provenance)
    fact = decisions.propose(
        new_id("art"),
        change.change_id,
        command.kind,
        command.content or ArtifactContent(),
        unit.scope(change.repository_id),
        author,
        unit.timestamp,
        command.provenance,
    )
    unit.record(fact)
    return ProposeArtifactResponse(artifact=fact.artifact)


async def revise_artifact(unit: Unit, command: ReviseArtifactRequest) -> ReviseArtifactResponse:
    """A further version; the former is kept aside, and gates bound to it are voided in the same transaction.

    Raises Refused(REQUIREMENT_MERGED) once the open run has merged a requirement: there is no way back to its gate.
    """
    known = await unit.read("artifact", command.artifact_id, Artifact)
    change = await _lock_open_change(unit, known.change_id)
    await attaching.attach_by_words(unit, change, command.provenance)
    artifact = await unit.lock("artifact", command.artifact_id, Artifact)
    if artifact.kind == ArtifactKind.REQUIREMENT and change.open_run_id:
        works, _ = await work_rows.of_change(unit, change.change_id)
        need_not_merged(change.open_run_id, works)
    fact = decisions.revise(
        artifact,
        command.expected_number,
        command.content or ArtifactContent(),
        unit.actor,
        unit.timestamp,
        command.provenance,
    )
    unit.keep(
        decisions.superseded(artifact), kind="artifact_version", id=f"{artifact.artifact_id}@{command.expected_number}"
    )
    unit.record(fact)
    if change.open_run_id:
        gates = await unit.lock_children("gate", change.open_run_id, Gate)
        for gate in voidable(gates):
            bound = gate.subject.artifact_id if gate.subject else ""
            if gate.kind == GateKind.REQUIREMENT_STABILIZED and bound == artifact.artifact_id:
                unit.record(void(gate, f"{artifact.artifact_id} was revised"))
    return ReviseArtifactResponse(artifact=fact.artifact)


async def submit_artifact(unit: Unit, command: SubmitArtifactRequest) -> SubmitArtifactResponse:
    """Draft to proposed: from here a gate may approve it."""
    known = await unit.read("artifact", command.artifact_id, Artifact)
    await attaching.attach(unit, await _lock_open_change(unit, known.change_id))
    artifact = await unit.lock("artifact", command.artifact_id, Artifact)
    fact = decisions.submit(artifact, command.expected_number)
    unit.record(fact)
    return SubmitArtifactResponse(artifact=fact.artifact)


async def _for_who_began(unit: Unit, change: Change, kind: ArtifactKind) -> Actor:
    run = await unit.read("run", change.open_run_id, Run) if change.open_run_id else Run()
    if run.kind != RunKind.TRIAGE or kind != ArtifactKind.TRIAGE:
        raise PermissionDenied(
            f"needs one of the roles {', '.join(AUTHORS)}", remedy="Propose it under the token of a requester"
        )
    began = run.requested_by or Actor()
    return Actor(principal_id=unit.caller.principal_id, on_behalf_of=began.on_behalf_of or began.principal_id)


async def _lock_open_change(unit: Unit, change_id: str) -> Change:
    change = await unit.lock("change", change_id, Change)
    change_decisions.need_open(change)
    unit.process_instance_id = change.open_run_id
    return change
