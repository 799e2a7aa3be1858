"""Using the pass of a gate: once, by the step and for the bytes that it was given for (contracts 5)."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

from ameide.domain.decisions.gate import PASSED, opened, rule_for
from ameide.domain.decisions.verification import Verified, need_built, need_verified
from ameide.domain.decisions.work import Claim, inputs_of, step_of
from ameide.domain.decisions.work_rules import environment_of, is_final
from ameide.errors import InvalidArgument, Refused
from ameide_core_proto.transformation.governance.v1.facts_pb import GateConsumed
from ameide_core_proto.transformation.governance.v1.governance_pb import Gate, GateStatus, GateSubject, Run
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind, Policy
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    FindingClass,
    WorkRequest,
    WorkResult,
    WorkStatus,
)

_GUARDS = {
    ActionKind.MERGE: GateKind.ACCEPTANCE,
    ActionKind.PUBLISH: GateKind.READY_TO_RELEASE,
    ActionKind.DEPLOY: GateKind.PROMOTION,
}
_ORDER = (GateKind.REQUIREMENT_STABILIZED, GateKind.ACCEPTANCE, GateKind.READY_TO_RELEASE, GateKind.PROMOTION)


def check(
    work: WorkRequest,
    run: Run | None,
    policy: Policy,
    gates: Sequence[Gate],
    works: Sequence[WorkRequest],
    claims: Sequence[Claim],
) -> GateConsumed | None:
    """The consumption of the gate that guards this step, or None when the step needs none.

    `gates` are those of the run, locked; `works` and `claims` those of its change. Raises Refused: GATE_REQUIRED,
    GATE_VOIDED, GATE_NOT_PASSED, GATE_SUPERSEDED, SUBJECT_CHANGED, GATE_MISMATCH, GATE_CONSUMED, NOT_VERIFIED,
    NOT_BUILT.
    """
    if not is_final(work) or run is None:
        if work.gate_pass is not None:
            raise InvalidArgument("this step uses no gate", field="gate_pass", remedy="Leave it out")
        return None
    kind = _GUARDS[work.action_kind]
    _need_none_voided(kind, inputs_of(work).environment, gates)
    verified: Verified | None = None
    if kind == GateKind.ACCEPTANCE:
        verified = need_verified(work, run, policy, works, claims)
    elif kind == GateKind.READY_TO_RELEASE:
        need_built(work, works)
    if work.gate_pass is None:
        if _is_required(work, kind, run, gates, verified):
            raise Refused(
                f"{work.action_kind.name} needs the pass of {kind.name}",
                field="gate_pass",
                remedy="Open the gate, have it decided, and send its gate_id and subject_hash",
                reason="GATE_REQUIRED",
            )
        return None
    gate = _find(work, kind, gates)
    _need_match(work, gate, verified)
    _need_unused(work, gate, works)
    used = deepcopy(gate)
    used.consumed_by = work.work_request_id
    used.version += 1
    return GateConsumed(gate=used)


def _latest(gates: Sequence[Gate], kind: GateKind, environment: str = "") -> Gate | None:
    found = [
        g for g in gates if g.kind == kind and (kind != GateKind.PROMOTION or _subject(g).environment == environment)
    ]
    return max(found, key=opened, default=None)


def _need_none_voided(kind: GateKind, environment: str, gates: Sequence[Gate]) -> None:
    for earlier in _ORDER[: _ORDER.index(kind) + 1]:
        latest = _latest(gates, earlier, environment)
        if latest is not None and latest.status == GateStatus.VOIDED:
            raise Refused(
                f"gate {latest.gate_id} ({earlier.name}) was voided: {latest.void_reason}",
                remedy="Return to that gate and have it decided again",
                reason="GATE_VOIDED",
            )


def _is_required(work: WorkRequest, kind: GateKind, run: Run, gates: Sequence[Gate], verified: Verified | None) -> bool:
    if kind == GateKind.PROMOTION and environment_of(run, inputs_of(work).environment).gate_required:
        return True
    snapshot = run.input.policy if run.input else None
    if kind != GateKind.PROMOTION and (snapshot is None or rule_for(snapshot, kind).required):
        return True
    if verified is not None and _has_violations(verified.work):
        return True
    latest = _latest(gates, kind, inputs_of(work).environment)
    return latest is not None and (verified is None or _accepts(_subject(latest), work, verified))


def _find(work: WorkRequest, kind: GateKind, gates: Sequence[Gate]) -> Gate:
    assert work.gate_pass is not None
    gate = next((g for g in gates if g.gate_id == work.gate_pass.gate_id and g.kind == kind), None)
    if gate is None:
        raise Refused(
            f"the run has no gate {work.gate_pass.gate_id} of kind {kind.name}",
            field="gate_pass.gate_id",
            remedy="`ameide gate list` shows the gates of the run",
            reason="GATE_MISMATCH",
        )
    if gate.status not in PASSED:
        raise Refused(
            f"gate {gate.gate_id} is {gate.status.name.lower()}",
            field="gate_pass.gate_id",
            remedy="Have it approved first",
            reason="GATE_NOT_PASSED",
        )
    if gate.subject_hash != work.gate_pass.subject_hash:
        raise Refused(
            f"gate {gate.gate_id} was passed for another subject",
            field="gate_pass.subject_hash",
            remedy="Send the subject_hash of the gate that was decided",
            reason="SUBJECT_CHANGED",
        )
    latest = _latest(gates, kind, _subject(gate).environment)
    if latest is not None and latest.gate_id != gate.gate_id:
        raise Refused(
            f"gate {latest.gate_id} was opened after {gate.gate_id}",
            field="gate_pass.gate_id",
            remedy="Use the newest gate of its kind",
            reason="GATE_SUPERSEDED",
        )
    return gate


def _need_match(work: WorkRequest, gate: Gate, verified: Verified | None) -> None:
    subject, inputs = _subject(gate), inputs_of(work)
    if verified is not None:
        fits, what = _accepts(subject, work, verified), f"candidate {inputs.candidate_sha}"
    elif gate.kind == GateKind.READY_TO_RELEASE:
        fits, what = subject.commit_sha == work.commit_sha, f"commit {work.commit_sha}"
    else:
        fits = subject.image_ref == inputs.image_ref and subject.environment == inputs.environment
        what = f"{inputs.image_ref} in {inputs.environment}"
    if not fits:
        raise Refused(
            f"gate {gate.gate_id} was not passed for {what}",
            field="gate_pass",
            remedy="Void the gate and open one for these bytes",
            reason="GATE_MISMATCH",
        )


def _accepts(subject: GateSubject, work: WorkRequest, verified: Verified) -> bool:
    """Accepted is the very commit, or the same patch on a newer main."""
    if subject.commit_sha == inputs_of(work).candidate_sha:
        return True
    return subject.diff_hash in verified.diff_hashes


def _need_unused(work: WorkRequest, gate: Gate, works: Sequence[WorkRequest]) -> None:
    if not gate.consumed_by:
        return
    user = next((w for w in works if w.work_request_id == gate.consumed_by), None)
    ended = user is not None and user.status in (WorkStatus.FAILED, WorkStatus.CANCELED)
    if (
        user is None
        or not ended
        or user.process_instance_id != work.process_instance_id
        or step_of(user) != step_of(work)
    ):
        raise Refused(
            f"the pass of gate {gate.gate_id} was used by {gate.consumed_by}",
            field="gate_pass.gate_id",
            remedy="Open a new gate; a pass is used once",
            reason="GATE_CONSUMED",
        )


def _has_violations(verified: WorkRequest) -> bool:
    result = verified.result or WorkResult()
    return any(finding.class_ == FindingClass.POLICY_VIOLATION for finding in result.findings)


def _subject(gate: Gate) -> GateSubject:
    return gate.subject or GateSubject()
