"""Work facts stay small: bodies are kept by the Domain, a fact carries an extract and where the whole lies."""

from copy import deepcopy

from protobuf.wkt import Timestamp

from ameide.contracts.facts import wrap
from ameide.domain.aggregates import ref_of
from ameide.domain.decisions.claim_check import MAX_BYTES, MAX_CHECKS, in_brief
from ameide_core_proto.common.v1.metadata_pb import Actor, MessageMetadata, Scope
from ameide_core_proto.transformation.governance.v1.facts_pb import ChangeOpened
from ameide_core_proto.transformation.governance.v1.governance_pb import Change
from ameide_core_proto.transformation.work.v1.facts_pb import WorkCompleted, WorkFailed, WorkRequested
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    CheckResult,
    CheckStatus,
    EvidenceArtifact,
    EvidenceBundle,
    FailureCode,
    Finding,
    FindingClass,
    Outputs,
    PathRules,
    WorkInputs,
    WorkKind,
    WorkRequest,
    WorkResult,
    WorkStatus,
)

SHA = "a" * 40


def finding(number: int, words: int = 80) -> Finding:
    return Finding(
        class_=FindingClass.TEST_FAILURE,
        id=f"tests/test_orders.py::test_{number}",
        what_failed="x" * words,
        why_it_matters="y" * words,
        fix_steps=["z" * words] * 3,
        location=f"tests/test_orders.py:{number}",
    )


def longest(number: int) -> Finding:
    one = finding(number, 2000)
    one.id = f"{number:03}".ljust(512, "i")
    one.fix_steps = ["z" * 2000] * 10
    one.location = "l" * 512
    return one


def work(findings: list[Finding]) -> WorkRequest:
    return WorkRequest(
        scope=Scope(tenant_id="default", repository_id="orders"),
        work_request_id="wrk-" + "0" * 32,
        client_request_id="r2r/default/chg-1/1/verify/1",
        process_instance_id="r2r/default/chg-1/1",
        work_kind=WorkKind.TOOL_RUN,
        action_kind=ActionKind.VERIFY,
        repo_url="file:///srv/orders",
        base_sha=SHA,
        commit_sha=SHA,
        inputs=WorkInputs(requirement_text="An order can be canceled.", acceptance_criteria=["A", "B"]),
        status=WorkStatus.FAILED,
        path_rules=PathRules(denied=["ameide.yaml", ".github/**"]),
        result=WorkResult(
            summary="red",
            failure_code=FailureCode.VERIFICATION_FAILED,
            outputs=Outputs(commit_sha=SHA),
            findings=findings,
        ),
        version=3,
    )


def bundle(checks: int, failing: int) -> EvidenceBundle:
    folder = f"store:work/default/wrk-{'0' * 32}/1-{'f' * 32}"
    return EvidenceBundle(
        evidence_bundle_id="evd-1",
        work_request_id="wrk-" + "0" * 32,
        attempt=1,
        argv=["python", "-m", "pytest", "-q"],
        summary="3 failed",
        check_results=[
            CheckResult(
                id=f"tests/test_orders.py::test_{number}",
                status=CheckStatus.FAILED if number < failing else CheckStatus.PASSED,
                message="assert 404 == 200",
            )
            for number in range(checks)
        ],
        artifacts=[
            EvidenceArtifact(name=name, uri=f"{folder}/{name}", sha256="0" * 64, bytes=10, media_type="text/plain")
            for name in ("work.log", "junit.xml", "change.patch")
        ],
    )


def payload(fact: WorkFailed | WorkCompleted | WorkRequested) -> bytes:
    metadata = MessageMetadata(
        message_id="0" * 36, tenant_id="default", actor=Actor(principal_id="verifier"), occurred_at=Timestamp()
    )
    assert fact.work is not None
    return wrap(in_brief(fact), metadata, ref_of(fact.work)).to_binary()


def test_a_usual_step_states_its_whole_result_in_a_small_message() -> None:
    fact = WorkFailed(work=work([finding(1), finding(2)]), evidence=bundle(300, 2))
    brief = in_brief(fact)
    assert len(payload(fact)) < 8 * 1024
    assert brief.work == fact.work
    assert brief.evidence is not None
    assert fact.evidence is not None
    assert brief.evidence.artifacts == fact.evidence.artifacts
    assert brief.evidence.argv == fact.evidence.argv
    assert brief.evidence.check_results == fact.evidence.check_results[:2]


def test_the_largest_step_states_a_bounded_message_that_names_every_finding() -> None:
    largest = work([longest(number) for number in range(50)])
    assert largest.result is not None
    assert largest.result.outputs is not None
    assert largest.inputs is not None
    largest.summary = "s" * 4096
    largest.result.summary = "s" * 4096
    largest.result.artifact_refs = ["r" * 100] * 1000
    largest.result.outputs.changed_paths = ["p" * 512] * 500
    largest.inputs.requirement_text = "t" * 4096
    largest.inputs.acceptance_criteria = ["c" * 1000] * 50
    largest.inputs.findings = [longest(number) for number in range(50)]
    largest.path_rules = PathRules(allowed=["a" * 255] * 200, denied=["d" * 255] * 200)
    evidence = bundle(5000, 5000)
    evidence.argv = ["v" * 1000] * 100
    evidence.summary = "s" * 4096
    for check in evidence.check_results:
        check.id, check.message = check.id.ljust(512, "i"), "m" * 2000
    evidence.artifacts = [
        EvidenceArtifact(name="n" * 128, uri="u" * 1024, sha256="0" * 64, media_type="t" * 128) for _ in range(50)
    ]
    whole = deepcopy(largest)
    fact = WorkFailed(work=largest, evidence=evidence)
    assert len(payload(fact)) < MAX_BYTES
    brief = in_brief(fact)
    assert brief.work is not None
    assert brief.work.result is not None
    assert [one.id for one in brief.work.result.findings] == [longest(number).id for number in range(50)]
    assert len(evidence.check_results) == 5000
    assert fact.work == whole


def test_words_of_many_bytes_are_cut_between_letters() -> None:
    findings = [longest(number) for number in range(50)]
    for one in findings:
        one.id, one.what_failed = "ß" * 512, "✗" * 2000
    fact = WorkFailed(work=work(findings), evidence=bundle(10, 1))
    assert len(payload(fact)) < MAX_BYTES


def test_of_the_checks_only_the_first_that_failed_are_told() -> None:
    brief = in_brief(WorkCompleted(work=work([]), evidence=bundle(5000, 40)))
    assert brief.evidence is not None
    assert len(brief.evidence.check_results) == MAX_CHECKS
    assert {check.status for check in brief.evidence.check_results} == {CheckStatus.FAILED}


def test_other_facts_are_stated_as_they_are() -> None:
    opened = ChangeOpened(change=Change(change_id="chg-1"))
    assert in_brief(opened) is opened
    requested = WorkRequested(work=work([]))
    assert in_brief(requested) == requested
