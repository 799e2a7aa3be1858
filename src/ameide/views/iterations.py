"""What each coder iteration came to: the work that published a commit, and the verification of that very commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ameide_core_proto.transformation.governance.v1.query_service_pb import Iteration
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    CheckStatus,
    EvidenceBundle,
    FindingClass,
    WorkKind,
    WorkRequest,
    WorkStatus,
)


def iterations(works: Sequence[WorkRequest], evidence: Mapping[str, EvidenceBundle]) -> list[Iteration]:
    """The iterations of a change, in the order of their works; `evidence` by work_request_id.

    A step repeated after a fault of infrastructure is the same iteration: its last work counts.
    """
    coded: dict[tuple[str, int], WorkRequest] = {}
    for work in works:
        if work.work_kind == WorkKind.AGENT_WORK and work.action_kind == ActionKind.PUBLISH:
            number = work.inputs.iteration if work.inputs and work.inputs.iteration else len(coded) + 1
            coded[work.process_instance_id, number] = work
    return [_iteration(number, work, _verification(work, works), evidence) for (_, number), work in coded.items()]


def commit_of(work: WorkRequest) -> str:
    """The commit that a work left, or an empty string."""
    return work.result.outputs.commit_sha if work.result and work.result.outputs else ""


def _verification(work: WorkRequest, works: Sequence[WorkRequest]) -> WorkRequest | None:
    commit = commit_of(work)
    found = [
        other
        for other in works
        if commit
        and other.action_kind == ActionKind.VERIFY
        and other.commit_sha == commit
        and other.process_instance_id == work.process_instance_id
    ]
    return found[-1] if found else None


def _iteration(
    number: int, work: WorkRequest, verify: WorkRequest | None, evidence: Mapping[str, EvidenceBundle]
) -> Iteration:
    findings = [*(work.result.findings if work.result else [])]
    if verify is not None and verify.result:
        findings += verify.result.findings
    bundle = evidence.get(verify.work_request_id) if verify else None
    checks = bundle.check_results if bundle else []
    failing = [check.id for check in checks if check.status == CheckStatus.FAILED]
    if not checks:
        failing = [finding.id for finding in findings if finding.class_ == FindingClass.TEST_FAILURE]
    return Iteration(
        number=number,
        process_instance_id=work.process_instance_id,
        agent_work_request_id=work.work_request_id,
        verify_work_request_id=verify.work_request_id if verify else "",
        commit_sha=commit_of(work),
        green=verify is not None and verify.status == WorkStatus.SUCCEEDED,
        failing=failing,
        passing=[check.id for check in checks if check.status == CheckStatus.PASSED],
        findings=findings,
    )
