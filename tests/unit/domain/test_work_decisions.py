"""Delegated work, purely: rules of a step, budgets, claims, outcomes, and what time decides."""

from copy import deepcopy
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protobuf.wkt import Timestamp

from ameide.domain.decisions import work_claim, work_lapse, work_outcome
from ameide.domain.decisions.default_policy import default_policy
from ameide.domain.decisions.work import Claim, waiting_from, waiting_longer
from ameide.domain.decisions.work_request import Grounds, request
from ameide.errors import Conflict, Fenced, InvalidArgument, Refused
from ameide_core_proto.common.v1.metadata_pb import Actor, Scope
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Change,
    ChangeStatus,
    Repository,
    Run,
    RunStatus,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.work.v1.command_service_pb import (
    ClaimAnswer,
    RecordWorkOutcomeRequest,
    RequestWorkRequest,
    WorkOutcome,
)
from ameide_core_proto.transformation.work.v1.facts_pb import WorkCanceled, WorkFailed
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    EvidenceBundle,
    FailureCode,
    Outputs,
    TimeoutPolicy,
    Usage,
    WorkInputs,
    WorkKind,
    WorkRequest,
    WorkResult,
    WorkStatus,
)

T0 = datetime(2026, 1, 1, tzinfo=UTC)
NOW = Timestamp.from_datetime(T0)
REPOSITORY = Repository(
    scope=Scope(tenant_id="default"), repository_id="orders", url="file:///srv/orders", default_branch="main"
)


def asked(
    action: ActionKind = ActionKind.VERIFY, kind: WorkKind = WorkKind.TOOL_RUN, **inputs: str
) -> RequestWorkRequest:
    given_inputs = WorkInputs()
    for name, value in inputs.items():
        setattr(given_inputs, name, value)
    return RequestWorkRequest(
        client_request_id="r",
        repository_id="orders",
        work_kind=kind,
        action_kind=action,
        commit_sha="a" * 40,
        inputs=given_inputs,
    )


def on(change: Change | None = None, run: Run | None = None, policy: Policy | None = None) -> Grounds:
    return Grounds(REPOSITORY, policy or default_policy("orders", gitops=False), change, run)


def work(status: WorkStatus = WorkStatus.REQUESTED, **fields: int) -> WorkRequest:
    made = WorkRequest(
        scope=Scope(tenant_id="default"),
        work_request_id="wrk-1",
        work_kind=WorkKind.TOOL_RUN,
        action_kind=ActionKind.VERIFY,
        commit_sha="a" * 40,
        status=status,
        dispatch=1,
        version=1,
        timeout_policy=TimeoutPolicy(claim_by_seconds=3600, run_for_seconds=600),
    )
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def held(attempt: int = 1, id: str = "wrk-1", usage: Usage | None = None, ended_by: str = "") -> Claim:
    return Claim(id, attempt, "claim-1", "verifier", T0, usage or Usage(), T0 if ended_by else None, ended_by)


# Requests


def test_work_of_a_closed_run_or_change_is_refused() -> None:
    open_change = Change(change_id="chg-1", repository_id="orders", status=ChangeStatus.OPEN)
    run = Run(process_instance_id="r2r/default/chg-1/1", change_id="chg-1", status=RunStatus.OPEN)
    canceling, closed = deepcopy(run), deepcopy(run)
    canceling.cancel_requested = True
    closed.status = RunStatus.FAILED
    for ended in (canceling, closed):
        with pytest.raises(Refused) as refused:
            request(asked(), "wrk-1", on(open_change, ended), Actor(principal_id="process"), NOW)
        assert refused.value.reason == "RUN_CLOSED"
    canceled = deepcopy(open_change)
    canceled.status = ChangeStatus.CANCELED
    with pytest.raises(Refused) as refused:
        request(asked(), "wrk-1", on(canceled, run), Actor(principal_id="process"), NOW)
    assert refused.value.reason == "CHANGE_CANCELED"


def test_a_request_may_tighten_the_policy_and_never_widen_it() -> None:
    command = asked()
    command.timeout_policy = TimeoutPolicy(claim_by_seconds=10, run_for_seconds=80000)
    facts = request(command, "wrk-1", on(), Actor(principal_id="process"), NOW)
    made = getattr(facts[-1], "work", None)
    assert isinstance(made, WorkRequest)
    assert made.timeout_policy == TimeoutPolicy(claim_by_seconds=10, run_for_seconds=1800, silent_for_seconds=900)


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (asked(ActionKind.PUBLISH, WorkKind.AGENT_WORK, branch="main"), "inputs.branch"),
        (asked(ActionKind.PUBLISH, WorkKind.AGENT_WORK, branch="agent/coder/chg-1/1"), "inputs.branch"),
        (asked(ActionKind.GENERATE, branch="release"), "inputs.branch"),
        (asked(ActionKind.MERGE, branch="agent/coder/chg-1/1"), "inputs.branch"),
        (asked(ActionKind.MERGE, target_branch="production"), "inputs.target_branch"),
        (asked(ActionKind.SMOKE, image_ref="orders:latest@sha256:" + "0" * 64), "image_ref"),
        (asked(ActionKind.MERGE, WorkKind.AGENT_WORK), "action_kind"),
    ],
)
def test_a_step_keeps_to_its_own_branches_and_targets(command: RequestWorkRequest, field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        request(command, "wrk-1", on(), Actor(principal_id="process"), NOW)
    assert refused.value.field == field
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("command", "fits"),
    [
        (asked(ActionKind.PUBLISH, WorkKind.AGENT_WORK, branch="agent/coder/chg-1/2"), True),
        (asked(ActionKind.PUBLISH, WorkKind.AGENT_WORK, branch="agent/coder/chg-1/1"), False),
        (asked(ActionKind.GENERATE, branch="agent/coder/chg-2/2"), False),
        (asked(ActionKind.MERGE, branch="agent/candidate/chg-1/2/1"), True),
        (asked(ActionKind.MERGE, branch="agent/candidate/chg-1/21/1"), False),
    ],
)
def test_a_run_writes_to_its_own_branches_only(command: RequestWorkRequest, fits: bool) -> None:
    change = Change(change_id="chg-1", repository_id="orders", status=ChangeStatus.OPEN)
    run = Run(process_instance_id="r2r/default/chg-1/2", change_id="chg-1", number=2, status=RunStatus.OPEN)
    if fits:
        assert request(command, "wrk-1", on(change, run), Actor(principal_id="process"), NOW)
        return
    with pytest.raises(InvalidArgument) as refused:
        request(command, "wrk-1", on(change, run), Actor(principal_id="process"), NOW)
    assert refused.value.field == "inputs.branch"


def test_a_step_that_runs_at_a_commit_names_it() -> None:
    command = asked()
    command.commit_sha = ""
    with pytest.raises(InvalidArgument) as refused:
        request(command, "wrk-1", on(), Actor(principal_id="process"), NOW)
    assert refused.value.field == "commit_sha"


# Budgets


@pytest.mark.parametrize(
    ("status", "claim_id", "principal", "expected"),
    [
        (WorkStatus.REQUESTED, "claim-2", "verifier", ClaimAnswer.RUN),
        (WorkStatus.STARTED, "claim-1", "verifier", ClaimAnswer.RUN),
        (WorkStatus.STARTED, "claim-2", "verifier", ClaimAnswer.DECLINED_RUNNING_ELSEWHERE),
        (WorkStatus.STARTED, "claim-1", "thief", ClaimAnswer.DECLINED_RUNNING_ELSEWHERE),
        (WorkStatus.SUCCEEDED, "claim-1", "verifier", ClaimAnswer.DECLINED_FINISHED),
        (WorkStatus.FAILED, "claim-1", "verifier", ClaimAnswer.DECLINED_FINISHED),
        (WorkStatus.CANCELED, "claim-1", "verifier", ClaimAnswer.DECLINED_CANCELED),
    ],
)
def test_a_claim_is_answered_by_the_works_state(
    status: WorkStatus, claim_id: str, principal: str, expected: ClaimAnswer
) -> None:
    assert work_claim.answer(work(status, attempt=1), held(), claim_id, principal) == expected


def test_a_lease_ends_with_the_run() -> None:
    short = work()
    short.timeout_policy = TimeoutPolicy(run_for_seconds=20)
    lease = work_claim.lease_for(short, T0, 30.0)
    assert lease.until == lease.run_until == T0 + timedelta(seconds=20)
    assert lease.seconds(T0 + timedelta(seconds=5)) == 15
    assert lease.seconds(T0 + timedelta(seconds=25)) == 0


@pytest.mark.parametrize(
    ("current", "claim", "attempt", "claim_id", "principal"),
    [
        (work(WorkStatus.STARTED, attempt=2), held(1), 1, "claim-1", "verifier"),
        (work(WorkStatus.STARTED, attempt=1), held(1), 1, "claim-2", "verifier"),
        (work(WorkStatus.STARTED, attempt=1), held(1), 1, "claim-1", "thief"),
        (work(WorkStatus.STARTED, attempt=1), None, 1, "claim-1", "verifier"),
        (work(WorkStatus.REQUESTED, attempt=1), held(1, ended_by="lease_lost"), 1, "claim-1", "verifier"),
        (work(WorkStatus.SUCCEEDED, attempt=1), held(1, ended_by="succeeded"), 1, "claim-1", "verifier"),
    ],
)
def test_any_other_pair_is_fenced(
    current: WorkRequest, claim: Claim | None, attempt: int, claim_id: str, principal: str
) -> None:
    with pytest.raises(Fenced) as fenced:
        work_claim.need_current(current, claim, attempt, claim_id, principal)
    assert fenced.value.reason == "FENCED"


# Outcomes


def said(outcome: WorkOutcome, code: FailureCode = FailureCode.UNSPECIFIED, **outputs: str) -> RecordWorkOutcomeRequest:
    left = Outputs()
    for name, value in outputs.items():
        setattr(left, name, value)
    return RecordWorkOutcomeRequest(
        work_request_id="wrk-1",
        attempt=1,
        claim_id="claim-1",
        outcome=outcome,
        result=WorkResult(failure_code=code, outputs=left),
        evidence=EvidenceBundle(evidence_bundle_id="evd-1", work_request_id="wrk-1", attempt=1),
    )


def test_the_last_heartbeat_settles_what_an_outcome_leaves_out() -> None:
    claim = held(usage=Usage(input_tokens=9))
    ended = work_outcome.end(
        work(WorkStatus.STARTED, attempt=1), claim, said(WorkOutcome.SUCCESS), "verifier", NOW
    ).work
    assert ended is not None
    assert ended.result is not None
    assert ended.result.usage == Usage(input_tokens=9)
    assert ended.result.evidence_bundle_id == "evd-1"


def test_the_same_outcome_is_a_replay_and_another_a_conflict() -> None:
    command = said(WorkOutcome.SUCCESS)
    ended = work_outcome.end(work(WorkStatus.STARTED, attempt=1), held(), command, "verifier", NOW).work
    assert ended is not None
    claim = held(ended_by="succeeded")
    assert work_outcome.is_replay(ended, claim, command, "verifier")
    for other in (said(WorkOutcome.FAILURE, FailureCode.TOOL_FAILED), said(WorkOutcome.SUCCESS, branch="x")):
        with pytest.raises(Conflict):
            work_outcome.is_replay(ended, claim, other, "verifier")
    assert not work_outcome.is_replay(ended, claim, command, "thief")
    assert not work_outcome.is_replay(ended, held(ended_by="lease_lost"), command, "verifier")


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (said(WorkOutcome.FAILURE), "result.failure_code"),
        (said(WorkOutcome.SUCCESS, FailureCode.TOOL_FAILED), "result.failure_code"),
        (said(WorkOutcome.SUCCESS, commit_sha="f" * 40), "result.outputs.commit_sha"),
        (said(WorkOutcome.SUCCESS, image_ref="orders:latest"), "image_ref"),
        (said(WorkOutcome.CANCELED), "outcome"),
    ],
)
def test_an_outcome_agrees_with_itself_and_its_work(command: RecordWorkOutcomeRequest, field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        work_outcome.end(work(WorkStatus.STARTED, attempt=1), held(), command, "verifier", NOW)
    assert refused.value.field == field


@pytest.mark.parametrize("image_ref", ["", f"orders@sha256:{'8' * 64}"])
def test_what_is_published_is_named_and_is_what_was_built(image_ref: str) -> None:
    publish = work(WorkStatus.STARTED, attempt=1)
    publish.action_kind = ActionKind.PUBLISH
    publish.inputs = WorkInputs(build_digest=f"sha256:{'9' * 64}")
    with pytest.raises(InvalidArgument) as refused:
        work_outcome.end(publish, held(), said(WorkOutcome.SUCCESS, image_ref=image_ref), "verifier", NOW)
    assert refused.value.field == "result.outputs.image_ref"
    work_outcome.end(publish, held(), said(WorkOutcome.SUCCESS, image_ref=f"orders@sha256:{'9' * 64}"), "verifier", NOW)


# Time


@given(st.integers(0, 5), st.integers(0, 5), st.booleans())
def test_a_lost_claim_leads_to_exactly_one_of_three(lost: int, retries: int, cancel: bool) -> None:
    running = work(WorkStatus.STARTED, attempt=1, lost_claims=lost, lost_claim_retries=retries)
    running.cancel_requested = cancel
    decided = work_lapse.lose_claim(running, Usage(input_tokens=1), T0)
    if cancel:
        assert isinstance(decided, WorkCanceled)
    elif lost < retries:
        assert isinstance(decided, WorkRequest)
        assert (decided.status, decided.dispatch, decided.lost_claims) == (WorkStatus.REQUESTED, 2, lost + 1)
        assert decided.version == running.version
    else:
        assert isinstance(decided, WorkFailed)
        assert decided.work is not None
        assert decided.work.version == running.version + 1
    assert running.status == WorkStatus.STARTED


def test_announcements_come_further_and_further_apart_until_the_deadline() -> None:
    waiting = waiting_from(work(), T0)
    assert waiting.claim_deadline == T0 + timedelta(seconds=3600)
    pauses: list[float] = []
    now = T0
    while waiting.announce_at < waiting.claim_deadline:
        pauses.append((waiting.announce_at - now).total_seconds())
        now = waiting.announce_at
        assert isinstance(work_lapse.wait_on(work(), waiting.claim_deadline, now), WorkRequest)
        waiting = waiting_longer(work(), waiting.claim_deadline, now)
    assert pauses == [60, 60, 120, 240, 480, 900, 900]
    assert isinstance(work_lapse.wait_on(work(), waiting.claim_deadline, waiting.announce_at), WorkFailed)
