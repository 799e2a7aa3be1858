"""Run n + 1 from a step of run n: what the Domain lets it take, and what it takes from nobody."""

import pytest

from ameide.contracts.input_digest import digest_of, digest_of_order
from ameide.domain.commands import changes
from ameide.domain.decisions.default_policy import default_policy
from ameide.errors import InvalidArgument, Refused
from ameide_core_proto.transformation.governance.v1 import command_service_pb as governance
from ameide_core_proto.transformation.governance.v1.governance_pb import ReusableWork, Run, RunStatus
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.work.v1.command_service_pb import RequestWorkRequest
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    FailureCode,
    Finding,
    FindingClass,
    WorkInputs,
    WorkKind,
    WorkStatus,
)
from tests.domain.saying import close_run
from tests.domain_work.gates import passed
from tests.domain_work.steps import done, push, step
from tests.domain_work.world import (
    BASE,
    CANDIDATE,
    DIFF,
    HEAD,
    OPERATOR,
    World,
    code,
    failure,
    key,
    verify,
)


def preflight(run: Run) -> RequestWorkRequest:
    return step(run, ActionKind.PREFLIGHT, None, "", WorkInputs(component="orders"))


async def again(world: World, run: Run, from_step: str = "") -> Run:
    """The next run of the change; the one before has failed."""
    if world.sql("SELECT 1 FROM ameide.aggregate WHERE kind = 'run' AND status = 'OPEN'"):
        await close_run(world, run, RunStatus.FAILED, "needs_human_rejected")
    command = governance.StartRunRequest(client_request_id=key(), change_id=run.change_id, from_step=from_step)
    answer = await world.service.execute(OPERATOR, "StartRun", command, governance.StartRunResponse, changes.start_run)
    assert answer.run is not None
    return answer.run


def offered(run: Run) -> list[ReusableWork]:
    assert run.input is not None
    return list(run.input.reusable)


async def red(world: World, run: Run, commit: str, by: str = "verifier") -> None:
    claimed = await world.run(await world.requested(verify(run, commit)), by)
    command = failure(claimed, FailureCode.VERIFICATION_FAILED)
    assert command.result is not None
    command.result.findings = [Finding(class_=FindingClass.TEST_FAILURE, id="t::a", what_failed="assert")]
    await world.outcome(claimed, command)


async def green(world: World) -> Run:
    """A run that came as far as its acceptance."""
    run = await world.open_run()
    await done(world, preflight(run), commit_sha=BASE)
    await done(world, code(run), "author", commit_sha=HEAD)
    await done(world, verify(run, HEAD), diff_hash=DIFF)
    return run


# What is offered


async def test_a_run_is_offered_what_came_before_the_step(world: World) -> None:
    run = await green(world)
    second = await again(world, run, "verify")
    assert second.input is not None
    assert (second.number, second.input.from_step) == (2, "verify")
    before, coded = offered(second)
    assert (before.activity, coded.activity) == ("preflight", "coder")
    assert coded.process_instance_id == run.process_instance_id
    assert (coded.status, coded.executor_principal_id) == (WorkStatus.SUCCEEDED, "author")
    assert coded.result is not None
    assert coded.result.outputs is not None
    assert (coded.result.outputs.commit_sha, coded.result.evidence_bundle_id) == (HEAD, "evd-1")


async def test_from_acceptance_the_verification_is_offered_too(world: World) -> None:
    run = await green(world)
    assert [one.activity for one in offered(await again(world, run, "acceptance"))] == ["preflight", "coder", "verify"]


async def test_without_a_step_nothing_is_offered(world: World) -> None:
    run = await green(world)
    assert offered(await again(world, run)) == []


async def test_the_digest_is_that_of_what_the_next_run_would_ask_for(world: World) -> None:
    run = await green(world)
    second = await again(world, run, "acceptance")
    assert second.input is not None
    repository, policy = second.input.repository, second.input.policy
    assert repository is not None
    assert policy is not None
    orders = [preflight(second), code(second), verify(second, HEAD)]
    orders[1].coder = "patches"
    orders[1].inputs = WorkInputs(branch=f"agent/coder/{run.change_id}/2", run_number=2)
    assert [one.input_digest for one in offered(second)] == [digest_of_order(o, repository, policy) for o in orders]
    for changed in (verify(second, CANDIDATE), verify(second, HEAD), verify(second, HEAD)):
        if changed.commit_sha == HEAD:
            changed.base_sha = CANDIDATE
        assert digest_of_order(changed, repository, policy) not in {one.input_digest for one in offered(second)}
    policy.paths = None
    assert digest_of_order(verify(second, HEAD), repository, policy) != offered(second)[2].input_digest


async def test_each_work_of_a_run_records_what_it_was_asked_for(world: World) -> None:
    run = await world.open_run()
    work = await world.requested(code(run))
    assert work.input_digest == digest_of(work)
    merge = await world.requested(step(run, ActionKind.MERGE, None, HEAD, WorkInputs()))
    alone = await world.requested(
        RequestWorkRequest(
            client_request_id=key(),
            work_kind=WorkKind.TOOL_RUN,
            action_kind=ActionKind.VERIFY,
            repository_id="orders",
            commit_sha=HEAD,
        )
    )
    assert (merge.input_digest, alone.input_digest) == ("", "")


async def test_a_red_iteration_is_offered_as_what_it_was_and_other_failures_are_not(world: World) -> None:
    run = await world.open_run()
    await done(world, code(run), "author", commit_sha=HEAD)
    await red(world, run, HEAD)
    await world.fail(await world.run(await world.requested(verify(run, HEAD))), FailureCode.INTERNAL)
    await world.fail(await world.run(await world.requested(code(run)), "author"), FailureCode.TOOL_FAILED)
    await done(world, code(run), "author", commit_sha=CANDIDATE)
    await world.requested(verify(run, CANDIDATE))
    offer = offered(await again(world, run, "verify"))
    assert [(one.activity, one.status.name) for one in offer] == [("verify", "FAILED"), ("coder", "SUCCEEDED")]
    assert offer[0].result is not None
    assert [finding.id for finding in offer[0].result.findings] == ["t::a"]


async def test_what_was_taken_once_can_be_taken_on(world: World) -> None:
    first = await green(world)
    second = await again(world, first, "verify")
    await red(world, second, HEAD)
    third = await again(world, second, "verify")
    assert [(one.activity, one.process_instance_id) for one in offered(third)] == [
        ("preflight", first.process_instance_id),
        ("coder", first.process_instance_id),
    ]


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("nonsense", "preflight, scaffold, generate, coder, verify, acceptance"),
        ("merge_push", "what follows acceptance is always done anew"),
    ],
)
async def test_an_unknown_step_is_told_which_there_are(world: World, step: str, told: str) -> None:
    run = await green(world)
    with pytest.raises(InvalidArgument) as refused:
        await again(world, run, step)
    assert refused.value.field == "from_step"
    assert told in refused.value.remedy


async def test_a_step_that_the_run_never_came_to_is_refused(world: World) -> None:
    run = await world.open_run()
    await done(world, preflight(run), commit_sha=BASE)
    with pytest.raises(Refused) as refused:
        await again(world, run, "coder")
    assert refused.value.reason == "STEP_NOT_REACHED"
    assert "run 1 never came to coder; it did preflight" in str(refused.value)
    with pytest.raises(Refused) as refused:
        await again(world, run, "acceptance")
    assert refused.value.reason == "STEP_NOT_REACHED"


async def test_the_first_run_has_nothing_to_take(world: World) -> None:
    await world.register()
    change = await world.open_change()
    run = Run(change_id=change.change_id)
    with pytest.raises(Refused) as refused:
        await again(world, run, "coder")
    assert refused.value.reason in ("NOTHING_TO_REUSE", "NO_REQUIREMENT")


async def test_as_much_is_offered_as_a_fact_carries_from_the_first_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await green(world)
    monkeypatch.setattr("ameide.domain.decisions.reuse._MOST", 600)
    assert [one.activity for one in offered(await again(world, run, "acceptance"))] == ["preflight", "coder"]


# What counts as verified


async def retried(world: World, run: Run) -> tuple[Run, RequestWorkRequest]:
    """The next run from its acceptance, accepted, and its push of the very commit that the run before verified."""
    second = await again(world, run, "acceptance")
    gate = await passed(world, second, GateKind.ACCEPTANCE, commit_sha=HEAD, diff_hash=DIFF)
    return second, push(second, gate, HEAD)


async def test_a_taken_verification_lets_the_accepted_commit_be_merged(world: World) -> None:
    _, merge = await retried(world, await green(world))
    await done(world, merge, commit_sha=HEAD)


async def test_the_acceptance_of_the_run_before_does_not(world: World) -> None:
    run = await green(world)
    before = await passed(world, run, GateKind.ACCEPTANCE, commit_sha=HEAD, diff_hash=DIFF)
    second = await again(world, run, "acceptance")
    for gate, reason in ((before, "GATE_MISMATCH"), (None, "GATE_REQUIRED")):
        with pytest.raises(Refused) as refused:
            await world.request(push(second, gate, HEAD))
        assert refused.value.reason == reason


async def test_a_run_that_takes_nothing_must_verify(world: World) -> None:
    second = await again(world, await green(world))
    gate = await passed(world, second, GateKind.ACCEPTANCE, commit_sha=HEAD, diff_hash=DIFF)
    with pytest.raises(Refused) as refused:
        await world.request(push(second, gate, HEAD))
    assert refused.value.reason == "NOT_VERIFIED"


async def test_another_commit_is_not_verified_by_it(world: World) -> None:
    second = await again(world, await green(world), "acceptance")
    gate = await passed(world, second, GateKind.ACCEPTANCE, commit_sha=CANDIDATE, diff_hash=DIFF)
    with pytest.raises(Refused) as refused:
        await world.request(push(second, gate, CANDIDATE))
    assert refused.value.reason == "NOT_VERIFIED"


async def test_a_later_red_takes_the_green_back(world: World) -> None:
    second, merge = await retried(world, await green(world))
    await red(world, second, HEAD)
    with pytest.raises(Refused) as refused:
        await world.request(merge)
    assert "was red when it was last verified" in str(refused.value)


async def test_green_by_who_writes_code_in_a_later_run_does_not_count(world: World) -> None:
    run = await green(world)
    second, merge = await retried(world, run)
    other = code(second)
    assert other.inputs is not None
    other.inputs.branch = f"agent/coder/{second.change_id}/2"
    await world.run(await world.requested(other), "verifier")
    with pytest.raises(Refused) as refused:
        await world.request(merge)
    assert refused.value.reason == "NOT_VERIFIED"
    third = await again(world, second, "acceptance")
    assert "verify" not in [one.activity for one in offered(third) if one.executor_principal_id == "verifier"]


async def test_who_wrote_code_in_the_run_before_cannot_verify_in_the_next(world: World) -> None:
    second = await again(world, await green(world), "verify")
    claimed = await world.run(await world.requested(verify(second, HEAD)), "author")
    with pytest.raises(Refused) as refused:
        await world.succeed(claimed)
    assert refused.value.reason == "SELF_GRADING"
    assert "wrote code in this change" in str(refused.value)


def test_the_default_policy_asks_for_an_independent_verifier() -> None:
    assert default_policy("orders", gitops=True).independent_verification
