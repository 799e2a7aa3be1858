"""Gates: opened on a subject, waited for, passed once. An expired gate counts as rejected, for the reason `expired`."""

from __future__ import annotations

from ameide.contracts.subjects import subject_hash
from ameide.process.steps import OPEN_GATE, VOID_GATE
from ameide.process.workflows.context import GateReturned, Refusal, RunContext
from ameide_core_proto.transformation.governance.v1.command_service_pb import OpenGateRequest, VoidGateRequest
from ameide_core_proto.transformation.governance.v1.governance_pb import Gate, GateStatus, GateSubject
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.work.v1.work_pb import GatePass

PASSED = (GateStatus.APPROVED, GateStatus.OVERRIDDEN)
# An answer to a question is used on the spot; these passes are shown to the Domain later, or may be taken back.
_KEPT = (GateKind.REQUIREMENT_STABILIZED, GateKind.ACCEPTANCE, GateKind.READY_TO_RELEASE, GateKind.PROMOTION)


def required(run: RunContext, kind: GateKind) -> bool:
    """Whether the run's policy asks for this gate. A kind that it does not name is not asked for."""
    return any(rule.kind == kind and rule.required for rule in run.policy.gates)


async def gate(run: RunContext, kind: GateKind, subject: GateSubject) -> Gate:
    """Open a gate and wait until it is decided. Raises GateReturned when it is voided meanwhile."""
    ask = run.ask_for(f"gate_{kind.name.lower()}", is_gate=True)
    if not ask.ref:
        answer = await run.command(
            OPEN_GATE,
            OpenGateRequest(
                scope=run.run.scope,
                client_request_id=run.key(ask.activity, ask.iteration),
                process_instance_id=run.run.process_instance_id,
                kind=kind,
                subject=subject,
                subject_hash=subject_hash(kind, subject),
            ),
        )
        ask.ref = answer.gate.gate_id if answer.gate else ""
    run.note_awaiting("gate", ask.ref)
    gate_id = ask.ref
    await run.until(lambda: _is_settled(run, gate_id))
    known = run.state.inbox.about("gate", gate_id)
    assert known is not None
    assert known.gate is not None
    run.state.ask = None
    run.journal.decided(gate_id, known.fact_id)
    decided = known.gate
    if decided.status in PASSED and kind in _KEPT:
        # Kept open in the inbox: a passed gate can still be voided.
        run.state.passes[kind.name] = GatePass(gate_id=gate_id, subject_hash=decided.subject_hash)
    else:
        run.state.inbox.close("gate", gate_id)
    if decided.status == GateStatus.VOIDED:
        raise GateReturned(kind)
    return decided


def _is_settled(run: RunContext, gate_id: str) -> bool:
    known = run.state.inbox.about("gate", gate_id)
    return (
        known is not None
        and known.gate is not None
        and known.gate.status
        not in (
            GateStatus.OPEN,
            GateStatus.UNSPECIFIED,
        )
    )


def comment_of(decided: Gate) -> str:
    """What the decision says."""
    return decided.comment or ("expired" if decided.status == GateStatus.EXPIRED else "no comment")


def taken(run: RunContext, kind: GateKind) -> GatePass | None:
    """The pass of a gate that this run has passed."""
    return run.state.passes.get(kind.name)


def retire(run: RunContext, *kinds: GateKind) -> None:
    """What these gates allowed is done: they cannot be voided any more."""
    for kind in kinds:
        used = run.state.passes.pop(kind.name, None)
        if used is not None:
            run.state.inbox.close("gate", used.gate_id)


async def void(run: RunContext, kind: GateKind, reason: str) -> None:
    """Take back a gate that was passed: what it bound is not what will be done."""
    used = run.state.passes.get(kind.name)
    retire(run, kind)
    if used is not None:
        await void_gate(run, used.gate_id, reason)


async def void_gate(run: RunContext, gate_id: str, reason: str) -> None:
    """Void one gate. When its pass was used or it is closed already, the refusal says that nothing is left to void."""
    request = VoidGateRequest(
        scope=run.run.scope,
        client_request_id=run.key("void_gate", run.next_iteration("void_gate")),
        gate_id=gate_id,
        reason=reason,
    )
    try:
        await run.command(VOID_GATE, request)
    except Refusal:
        return
