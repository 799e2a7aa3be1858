"""Handlers of gates."""

from __future__ import annotations

from ameide.contracts.ids import new_id
from ameide.contracts.topics import QUEUE_CODER
from ameide.domain.commands import budgets, work_rows
from ameide.domain.decisions import artifact as artifacts
from ameide.domain.decisions import change as changes
from ameide.domain.decisions import gate as decisions
from ameide.domain.decisions.budget_grant import need_grant
from ameide.domain.decisions.duties import Hands, hands
from ameide.domain.decisions.run import need_open_run
from ameide.domain.decisions.work_budget import account_of
from ameide.domain.unit import Unit
from ameide.errors import Refused
from ameide_core_proto.transformation.governance.v1.command_service_pb import (
    DecideGateRequest,
    DecideGateResponse,
    OpenGateRequest,
    OpenGateResponse,
    VoidGateRequest,
    VoidGateResponse,
)
from ameide_core_proto.transformation.governance.v1.facts_pb import GateDecided
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Change,
    Gate,
    GateParameters,
    GateStatus,
    GateSubject,
    GateVerdict,
    Run,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind, Policy
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact
from ameide_core_proto.transformation.work.v1.work_pb import WorkStatus


async def open_gate(unit: Unit, command: OpenGateRequest) -> OpenGateResponse:
    """A gate of an open run, on what its subject says now."""
    known = await unit.read("run", command.process_instance_id, Run)
    change = await unit.lock("change", known.change_id, Change)
    run = await unit.lock("run", command.process_instance_id, Run)
    need_open_run(run)
    if run.cancel_requested:
        raise Refused("the run is being canceled", remedy="Start run n + 1", reason="RUN_CANCELED")
    subject = command.subject or GateSubject()
    if command.kind == GateKind.REQUIREMENT_STABILIZED:
        _same_version(await unit.lock("artifact", subject.artifact_id, Artifact), subject)
    policy = await unit.read("policy", change.repository_id, Policy)
    fact = decisions.open_gate(command, new_id("gat"), run, policy, unit.timestamp)
    unit.record(fact)
    return OpenGateResponse(gate=fact.gate)


async def decide_gate(unit: Unit, command: DecideGateRequest) -> DecideGateResponse:
    """One voice. Locks change, artifact, gate; a requirement's approval and a budget come with the decision."""
    known = await unit.read("gate", command.gate_id, Gate)
    change = await unit.lock("change", known.change_id, Change)
    changes.need_open(change)
    artifact = None
    if known.kind == GateKind.REQUIREMENT_STABILIZED and known.subject:
        artifact = await unit.lock("artifact", known.subject.artifact_id, Artifact)
    gate = await unit.lock("gate", command.gate_id, Gate)
    policy = await unit.read("policy", change.repository_id, Policy)
    voice = decisions.Voice(unit.actor, unit.caller.kind, unit.caller.roles)
    done = await _hands(unit, change, gate, artifact)
    facts = decisions.decide(gate, change, policy, command, voice, unit.timestamp, done)
    if gate.kind == GateKind.BUDGET and command.verdict != GateVerdict.REJECT:
        await _need_grant(unit, decisions.parameters_of(gate, command), change, policy, voice)
    unit.record(*facts)
    last = facts[-1]
    if isinstance(last, GateDecided) and last.gate is not None:
        decided = last.gate
        passed = decided.status in decisions.PASSED
        if artifact is not None:
            _same_version(artifact, decided.subject or GateSubject())
            settle = artifacts.approve if passed else artifacts.reject
            unit.record(settle(artifact, decided.gate_id))
        budget = decided.parameters.budget if decided.parameters else None
        if decided.kind == GateKind.BUDGET and passed and budget is not None:
            unit.record(changes.grant(change, budget))
        return DecideGateResponse(gate=decided)
    return DecideGateResponse(gate=_gate_of(last))


async def void_gate(unit: Unit, command: VoidGateRequest) -> VoidGateResponse:
    """By the process, when the subject changed. A gate that is voided already stays so."""
    known = await unit.read("gate", command.gate_id, Gate)
    await unit.lock("change", known.change_id, Change)
    gate = await unit.lock("gate", command.gate_id, Gate)
    if gate.status in (GateStatus.VOIDED, GateStatus.EXPIRED, GateStatus.REJECTED):
        return VoidGateResponse(gate=gate)
    user = await work_rows.find(unit, gate.consumed_by) if gate.consumed_by else None
    in_vain = user is not None and user.status in (WorkStatus.FAILED, WorkStatus.CANCELED)
    fact = decisions.void(gate, command.reason, used_in_vain=in_vain)
    unit.record(fact)
    return VoidGateResponse(gate=fact.gate)


async def _hands(unit: Unit, change: Change, gate: Gate, artifact: Artifact | None) -> Hands:
    run = await unit.read("run", gate.process_instance_id, Run)
    wanted = run.input.requirement if run.input else None
    if artifact is None and wanted is not None:
        # Who wrote the newest version, which may be another than the one that the run began with.
        artifact = await unit.find("artifact", wanted.artifact_id, Artifact)
    others = await unit.children("gate", gate.process_instance_id, Gate)
    # Only its queue has works in which an agent writes code.
    written, claims = await work_rows.of_queue(unit, change.change_id, QUEUE_CODER)
    return hands(change, run, artifact, others, written, claims)


async def _need_grant(
    unit: Unit, parameters: GateParameters | None, change: Change, policy: Policy, voice: decisions.Voice
) -> None:
    works, claims = await work_rows.of_change(unit, change.change_id)
    spent = account_of(policy, change, works, claims, await budgets.talked(unit, change.change_id))
    tenant = await budgets.lock_account(unit)
    need_grant(parameters.budget if parameters else None, spent, tenant, policy, voice)


def _same_version(artifact: Artifact, subject: GateSubject) -> None:
    current = artifact.current
    if current is None or (current.number, current.content_hash) != (subject.artifact_number, subject.content_hash):
        raise Refused(
            f"{artifact.artifact_id} has another version by now",
            field="subject",
            remedy="Look at the newest version",
            reason="SUBJECT_CHANGED",
        )


def _gate_of(fact: object) -> Gate | None:
    return getattr(fact, "gate", None)
