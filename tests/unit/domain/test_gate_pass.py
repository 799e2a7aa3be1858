"""Using a gate's pass: which step may, for which bytes, and how often."""

from copy import deepcopy

import pytest
from protobuf.wkt import Timestamp

from ameide.contracts.subjects import subject_hash
from ameide.domain.decisions.default_policy import default_policy
from ameide.domain.decisions.work import Claim
from ameide.domain.decisions.work_request import Grounds, request
from ameide.errors import AmeideError, InvalidArgument, Refused
from ameide_core_proto.common.v1.metadata_pb import Actor, Scope
from ameide_core_proto.transformation.governance.v1.facts_pb import GateConsumed
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Change,
    ChangeStatus,
    Gate,
    GateStatus,
    GateSubject,
    GitopsTarget,
    Repository,
    Run,
    RunInput,
    RunStatus,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind, Policy
from ameide_core_proto.transformation.work.v1.command_service_pb import RequestWorkRequest
from ameide_core_proto.transformation.work.v1.facts_pb import WorkRequested
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    FailureCode,
    Finding,
    FindingClass,
    GatePass,
    Outputs,
    Usage,
    WorkInputs,
    WorkKind,
    WorkRequest,
    WorkResult,
    WorkStatus,
)

NOW = Timestamp(seconds=1_700_000_000)
PID = "r2r/default/chg-1/1"
HEAD, CANDIDATE, MAIN, OTHER = "a" * 40, "b" * 40, "c" * 40, "d" * 40
PATCH, OTHER_PATCH = "1" * 64, "2" * 64
DIGEST = "sha256:" + "3" * 64
IMAGE, OTHER_IMAGE = f"orders@{DIGEST}", "orders@sha256:" + "4" * 64


def gate(kind: GateKind, status: GateStatus = GateStatus.APPROVED, number: int = 1, **subject: str) -> Gate:
    bound = GateSubject()
    for name, value in subject.items():
        setattr(bound, name, value)
    return Gate(
        gate_id=f"gat-{number}",
        change_id="chg-1",
        process_instance_id=PID,
        kind=kind,
        status=status,
        subject=bound,
        subject_hash=subject_hash(kind, bound),
        version=3,
    )


def acceptance(status: GateStatus = GateStatus.APPROVED, number: int = 1, **subject: str) -> Gate:
    return gate(GateKind.ACCEPTANCE, status, number, **({"commit_sha": HEAD, "diff_hash": PATCH} | subject))


def done(id: str, action: ActionKind, commit: str, by: str = "verifier", **outputs: str) -> WorkRequest:
    left = Outputs()
    for name, value in outputs.items():
        setattr(left, name, value)
    return WorkRequest(
        work_request_id=id,
        process_instance_id=PID,
        change_id="chg-1",
        work_kind=WorkKind.TOOL_RUN,
        action_kind=action,
        commit_sha=commit,
        status=WorkStatus.SUCCEEDED,
        executor_principal_id=by,
        inputs=WorkInputs(),
        result=WorkResult(outputs=left),
    )


def coded(by: str = "author") -> WorkRequest:
    work = done("wrk-0", ActionKind.PUBLISH, MAIN, by)
    work.work_kind = WorkKind.AGENT_WORK
    return work


def claimed(work: WorkRequest, by: str) -> Claim:
    now = NOW.to_datetime()
    return Claim(work.work_request_id, 1, "claim", by, now, Usage(), now, "succeeded")


def grounds(gates: list[Gate], works: list[WorkRequest], snapshot: Policy | None = None) -> Grounds:
    policy = default_policy("orders", gitops=True)
    repository = Repository(
        scope=Scope(tenant_id="default"),
        repository_id="orders",
        url="file:///srv/orders",
        default_branch="main",
        gitops=GitopsTarget(url="file:///srv/gitops", branch="main"),
    )
    return Grounds(
        repository=repository,
        policy=policy,
        change=Change(change_id="chg-1", repository_id="orders", status=ChangeStatus.OPEN),
        run=Run(
            process_instance_id=PID,
            change_id="chg-1",
            status=RunStatus.OPEN,
            input=RunInput(repository=repository, policy=snapshot or policy),
        ),
        gates=gates,
        works=works,
        claims=[claimed(work, work.executor_principal_id) for work in works],
    )


def step(action: ActionKind, passed: Gate | None, commit: str = "", **inputs: str | bool) -> RequestWorkRequest:
    given = WorkInputs()
    for name, value in inputs.items():
        setattr(given, name, value)
    return RequestWorkRequest(
        client_request_id="r",
        process_instance_id=PID,
        repository_id="orders",
        work_kind=WorkKind.TOOL_RUN,
        action_kind=action,
        commit_sha=commit,
        inputs=given,
        gate_pass=GatePass(gate_id=passed.gate_id, subject_hash=passed.subject_hash) if passed else None,
    )


def push(passed: Gate | None, candidate: str = CANDIDATE) -> RequestWorkRequest:
    return step(ActionKind.MERGE, passed, push=True, candidate_sha=candidate, expected_main_sha=MAIN)


def verified(candidate: str = CANDIDATE, by: str = "verifier", patch: str = PATCH) -> list[WorkRequest]:
    return [coded(), done("wrk-1", ActionKind.VERIFY, candidate, by, diff_hash=patch)]


def decided(command: RequestWorkRequest, on: Grounds) -> tuple[Gate | None, WorkRequest]:
    facts = request(command, "wrk-9", on, Actor(principal_id="process"), NOW)
    used = next((fact.gate for fact in facts if isinstance(fact, GateConsumed)), None)
    work = next(fact.work for fact in facts if isinstance(fact, WorkRequested))
    assert work is not None
    return used, work


def reason(command: RequestWorkRequest, on: Grounds) -> str:
    with pytest.raises(AmeideError) as refused:
        request(command, "wrk-9", on, Actor(principal_id="process"), NOW)
    assert refused.value.remedy
    assert isinstance(refused.value, (Refused, InvalidArgument))
    return refused.value.reason or refused.value.field


def test_a_verified_candidate_with_the_accepted_patch_uses_the_pass() -> None:
    passed = acceptance()
    used, work = decided(push(passed), grounds([passed], verified()))
    assert used is not None
    assert (used.consumed_by, used.version, passed.consumed_by) == ("wrk-9", 4, "")
    assert work.inputs is not None
    assert work.inputs.target_branch == "main"


def test_the_accepted_commit_itself_needs_no_diff_hash() -> None:
    passed = acceptance()
    used, _ = decided(push(passed, HEAD), grounds([passed], verified(HEAD, patch="")))
    assert used is not None


def test_the_patch_of_what_people_merged_already_is_known_from_its_preparation() -> None:
    passed = acceptance()
    prepared = done("wrk-2", ActionKind.MERGE, HEAD, diff_hash=PATCH, commit_sha=CANDIDATE)
    used, _ = decided(push(passed), grounds([passed], [*verified(patch=""), prepared]))
    assert used is not None


def test_the_patch_as_it_was_verified_counts_before_what_its_preparation_named() -> None:
    passed = acceptance()
    prepared = done("wrk-2", ActionKind.MERGE, HEAD, diff_hash=PATCH, commit_sha=CANDIDATE)
    with pytest.raises(Refused) as refused:
        decided(push(passed), grounds([passed], [*verified(patch=OTHER_PATCH), prepared]))
    assert refused.value.reason == "GATE_MISMATCH"


@pytest.mark.parametrize(
    ("works", "expected"),
    [
        ([coded()], "NOT_VERIFIED"),
        (verified(OTHER), "NOT_VERIFIED"),
        (verified(by="author"), "NOT_VERIFIED"),
        (verified(patch=OTHER_PATCH), "GATE_MISMATCH"),
        (verified(patch=""), "GATE_MISMATCH"),
    ],
)
def test_only_the_verified_and_accepted_patch_is_pushed(works: list[WorkRequest], expected: str) -> None:
    passed = acceptance()
    assert reason(push(passed), grounds([passed], works)) == expected


def test_a_candidate_that_was_red_when_it_was_last_verified_is_not_pushed() -> None:
    passed = acceptance()
    red = done("wrk-9", ActionKind.VERIFY, CANDIDATE)
    red.status = WorkStatus.FAILED
    red.result = WorkResult(failure_code=FailureCode.VERIFICATION_FAILED)
    red.ended_at = NOW
    assert reason(push(passed), grounds([passed], [*verified(), red])) == "NOT_VERIFIED"


@pytest.mark.parametrize("status", [GateStatus.OPEN, GateStatus.REJECTED, GateStatus.EXPIRED])
def test_a_gate_that_was_not_passed_lets_nothing_through(status: GateStatus) -> None:
    undecided = acceptance(status)
    assert reason(push(undecided), grounds([undecided], verified())) == "GATE_NOT_PASSED"


def test_an_override_is_a_pass() -> None:
    passed = acceptance(GateStatus.OVERRIDDEN)
    used, _ = decided(push(passed), grounds([passed], verified()))
    assert used is not None


def test_a_pass_is_required_bound_to_its_hash_and_to_its_run() -> None:
    passed = acceptance()
    on = grounds([passed], verified())
    assert reason(push(None), on) == "GATE_REQUIRED"
    other = acceptance(diff_hash=OTHER_PATCH)
    assert reason(push(other), on) == "SUBJECT_CHANGED"
    assert reason(push(acceptance(number=7)), on) == "GATE_MISMATCH"


def test_a_voided_gate_blocks_every_later_step() -> None:
    requirement = gate(GateKind.REQUIREMENT_STABILIZED, GateStatus.VOIDED, 1)
    passed = acceptance(number=2)
    assert reason(push(passed), grounds([requirement, passed], verified())) == "GATE_VOIDED"
    again = gate(GateKind.REQUIREMENT_STABILIZED, GateStatus.APPROVED, 3)
    used, _ = decided(push(passed), grounds([requirement, passed, again], verified()))
    assert used is not None


def test_an_older_pass_gives_way_to_a_newer_gate() -> None:
    older, newer = acceptance(), acceptance(GateStatus.REJECTED, 2, diff_hash=OTHER_PATCH)
    assert reason(push(older), grounds([older, newer], verified())) == "GATE_SUPERSEDED"


@pytest.mark.parametrize(
    ("status", "action", "allowed"),
    [
        (WorkStatus.FAILED, ActionKind.MERGE, True),
        (WorkStatus.CANCELED, ActionKind.MERGE, True),
        (WorkStatus.SUCCEEDED, ActionKind.MERGE, False),
        (WorkStatus.STARTED, ActionKind.MERGE, False),
        (WorkStatus.FAILED, ActionKind.PUBLISH, False),
    ],
)
def test_a_pass_is_used_again_only_by_the_same_step_after_a_failure(
    status: WorkStatus, action: ActionKind, allowed: bool
) -> None:
    passed = acceptance()
    passed.consumed_by = "wrk-5"
    before = done("wrk-5", action, "")
    before.status = status
    assert before.inputs is not None
    before.inputs.push = action == ActionKind.MERGE
    on = grounds([passed], [*verified(), before])
    if allowed:
        used, _ = decided(push(passed), on)
        assert used is not None
        assert used.consumed_by == "wrk-9"
    else:
        assert reason(push(passed), on) == "GATE_CONSUMED"


def test_without_a_rule_violations_make_the_gate_needed() -> None:
    lax = default_policy("orders", gitops=True)
    for rule in lax.gates:
        rule.required = False
    clean = verified()
    assert decided(push(None), grounds([], clean, lax))[0] is None
    touched = deepcopy(clean)
    assert touched[1].result is not None
    touched[1].result.findings.append(Finding(class_=FindingClass.POLICY_VIOLATION, id="tests/test_a.py"))
    assert reason(push(None), grounds([], touched, lax)) == "GATE_REQUIRED"
    opened = acceptance(GateStatus.OPEN)
    assert reason(push(None), grounds([opened], clean, lax)) == "GATE_REQUIRED"
    passed = acceptance()
    assert decided(push(passed), grounds([passed], touched, lax))[0] is not None


def test_only_what_was_built_from_the_released_commit_is_published() -> None:
    ready = gate(GateKind.READY_TO_RELEASE, commit_sha=MAIN)
    built = [done("wrk-1", ActionKind.BUILD, MAIN, build_digest=DIGEST)]
    publish = step(ActionKind.PUBLISH, ready, MAIN, build_digest=DIGEST, component="orders")
    assert decided(publish, grounds([ready], built))[0] is not None
    assert reason(step(ActionKind.PUBLISH, None, MAIN, build_digest=DIGEST), grounds([ready], built)) == "GATE_REQUIRED"
    assert reason(publish, grounds([ready], [])) == "NOT_BUILT"
    elsewhere = [done("wrk-1", ActionKind.BUILD, OTHER, build_digest=DIGEST)]
    other = step(ActionKind.PUBLISH, ready, OTHER, build_digest=DIGEST)
    assert reason(other, grounds([ready], elsewhere)) == "GATE_MISMATCH"
    assert reason(step(ActionKind.PUBLISH, ready, MAIN), grounds([ready], built)) == "inputs.build_digest"


def test_a_promotion_is_for_one_digest_in_one_environment() -> None:
    to_staging = gate(GateKind.PROMOTION, image_ref=IMAGE, environment="staging")
    deploy = step(ActionKind.DEPLOY, to_staging, image_ref=IMAGE, environment="staging")
    used, work = decided(deploy, grounds([to_staging], []))
    assert used is not None
    assert work.inputs is not None
    assert work.inputs.image_ref_path == "environments/staging/values.yaml"
    assert work.inputs.gitops_url == "file:///srv/gitops"
    on = grounds([to_staging], [])
    for image, environment in ((OTHER_IMAGE, "staging"), (IMAGE, "production")):
        wrong = step(ActionKind.DEPLOY, to_staging, image_ref=image, environment=environment)
        assert reason(wrong, on) == "GATE_MISMATCH"
    assert decided(step(ActionKind.DEPLOY, None, image_ref=IMAGE, environment="dev"), on)[0] is None
    production = step(ActionKind.DEPLOY, None, image_ref=IMAGE, environment="production")
    assert reason(production, on) == "GATE_REQUIRED"
    assert reason(step(ActionKind.DEPLOY, None, image_ref=IMAGE, environment="moon"), on) == "inputs.environment"
    assert reason(step(ActionKind.DEPLOY, None, image_ref="orders:latest", environment="dev"), on) == "image_ref"
    assert reason(step(ActionKind.DEPLOY, None, environment="dev"), on) == "inputs.image_ref"


def test_a_step_without_a_gate_takes_none() -> None:
    passed = acceptance()
    assert reason(step(ActionKind.VERIFY, passed, HEAD), grounds([passed], [])) == "gate_pass"


def test_nothing_reaches_main_a_registry_or_an_environment_outside_of_a_run() -> None:
    on = Grounds(repository=grounds([], []).repository, policy=default_policy("orders", gitops=True))
    for command in (
        push(None),
        step(ActionKind.PUBLISH, None, MAIN, build_digest=DIGEST),
        step(ActionKind.DEPLOY, None, image_ref=IMAGE, environment="dev"),
    ):
        assert reason(command, on) == "RUN_REQUIRED"
