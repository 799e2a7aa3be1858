"""Which verification belongs to which iteration."""

from ameide.views.iterations import iterations
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    CheckResult,
    CheckStatus,
    EvidenceBundle,
    Finding,
    FindingClass,
    Outputs,
    WorkInputs,
    WorkKind,
    WorkRequest,
    WorkResult,
    WorkStatus,
)

RUN, RETRIED = "r2r/default/chg-1/1", "r2r/default/chg-1/2"


def _coded(id: str, iteration: int, commit: str, run: str = RUN, findings: list[Finding] | None = None) -> WorkRequest:
    return WorkRequest(
        work_request_id=id,
        process_instance_id=run,
        work_kind=WorkKind.AGENT_WORK,
        action_kind=ActionKind.PUBLISH,
        inputs=WorkInputs(iteration=iteration),
        result=WorkResult(outputs=Outputs(commit_sha=commit), findings=findings or []),
    )


def _verified(id: str, commit: str, status: WorkStatus, run: str = RUN) -> WorkRequest:
    return WorkRequest(
        work_request_id=id,
        process_instance_id=run,
        work_kind=WorkKind.TOOL_RUN,
        action_kind=ActionKind.VERIFY,
        commit_sha=commit,
        status=status,
        result=WorkResult(findings=[Finding(class_=FindingClass.TEST_FAILURE, id="t1")])
        if status == WorkStatus.FAILED
        else None,
    )


def test_the_verification_is_the_one_of_the_commit_that_was_published():
    works = [
        _coded("a1", 1, "one"),
        _verified("v1", "one", WorkStatus.FAILED),
        _coded("a2", 2, "two"),
        _verified("v2", "two", WorkStatus.SUCCEEDED),
        _verified("candidate", "three", WorkStatus.SUCCEEDED),
    ]
    evidence = {"v2": EvidenceBundle(check_results=[CheckResult(id="t1", status=CheckStatus.PASSED)])}
    first, second = iterations(works, evidence)
    assert (first.verify_work_request_id, first.green, first.failing, first.passing) == ("v1", False, ["t1"], [])
    assert (second.verify_work_request_id, second.green, second.failing, second.passing) == ("v2", True, [], ["t1"])


def test_a_step_repeated_after_a_fault_is_one_iteration_and_its_last_work_counts():
    works = [
        _coded("lost", 1, ""),
        _coded("a1", 1, "one"),
        _verified("lost-verify", "one", WorkStatus.FAILED),
        _verified("v1", "one", WorkStatus.SUCCEEDED),
    ]
    [only] = iterations(works, {})
    assert (only.agent_work_request_id, only.verify_work_request_id, only.green) == ("a1", "v1", True)


def test_an_iteration_without_a_commit_tells_the_coder_s_own_findings():
    denied = Finding(class_=FindingClass.POLICY_VIOLATION, id="path:ameide.yaml")
    [only] = iterations([_coded("a1", 1, "", findings=[denied])], {})
    assert (only.verify_work_request_id, only.green, list(only.findings)) == ("", False, [denied])
    assert only.failing == []


def test_runs_count_for_themselves():
    works = [
        _coded("a1", 1, "one"),
        _coded("b1", 1, "one", RETRIED),
        _verified("v1", "one", WorkStatus.SUCCEEDED, RETRIED),
    ]
    first, second = iterations(works, {})
    assert (first.process_instance_id, first.green) == (RUN, False)
    assert (second.process_instance_id, second.green) == (RETRIED, True)
