"""Gates in these tests: opened by the process, passed by a person."""

from __future__ import annotations

from ameide.contracts.subjects import subject_hash
from ameide.domain.commands import gates
from ameide.rpc.interceptors import Caller
from ameide_core_proto.transformation.governance.v1 import command_service_pb as governance
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Gate,
    GateParameters,
    GateSubject,
    GateVerdict,
    Run,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.work.v1.work_pb import Budget, GatePass
from tests.domain_work.world import PROCESS, World, key

ANNA = Caller("default", "anna", "PERSON", frozenset({"approver", "releaser", "operator"}))
RALF = Caller("default", "ralf", "PERSON", frozenset({"releaser"}))
_RELEASING = (GateKind.READY_TO_RELEASE, GateKind.PROMOTION)


async def open_gate(world: World, run: Run, kind: GateKind, **subject: str | int) -> Gate:
    """An open gate on a subject."""
    bound = GateSubject()
    for name, value in subject.items():
        setattr(bound, name, value)
    response = await world.service.execute(
        PROCESS,
        "OpenGate",
        governance.OpenGateRequest(
            client_request_id=key(),
            process_instance_id=run.process_instance_id,
            kind=kind,
            subject=bound,
            subject_hash=subject_hash(kind, bound),
        ),
        governance.OpenGateResponse,
        gates.open_gate,
    )
    assert response.gate is not None
    return response.gate


async def approve(world: World, gate: Gate, budget: Budget | None = None) -> GatePass:
    """The gate is passed; what a work then carries."""
    await world.service.execute(
        RALF if gate.kind in _RELEASING else ANNA,
        "DecideGate",
        governance.DecideGateRequest(
            client_request_id=key(),
            gate_id=gate.gate_id,
            verdict=GateVerdict.APPROVE,
            subject_hash=gate.subject_hash,
            parameters=GateParameters(budget=budget),
        ),
        governance.DecideGateResponse,
        gates.decide_gate,
    )
    return GatePass(gate_id=gate.gate_id, subject_hash=gate.subject_hash)


async def passed(world: World, run: Run, kind: GateKind, **subject: str) -> GatePass:
    """Open a gate and pass it."""
    return await approve(world, await open_gate(world, run, kind, **subject))


async def void(world: World, gate_id: str) -> None:
    """The process takes a gate back."""
    await world.service.execute(
        PROCESS,
        "VoidGate",
        governance.VoidGateRequest(client_request_id=key(), gate_id=gate_id, reason="another patch"),
        governance.VoidGateResponse,
        gates.void_gate,
    )
