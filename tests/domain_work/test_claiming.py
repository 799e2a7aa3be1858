"""Claim and fence on the real database."""

import asyncio
import time

import psycopg
import pytest

from ameide.errors import Conflict, Fenced, InvalidArgument, NotFound, PermissionDenied, Refused
from ameide_core_proto.transformation.work.v1.command_service_pb import ClaimAnswer, WorkOutcome
from ameide_core_proto.transformation.work.v1.facts_pb import WorkCompleted, WorkFailed
from ameide_core_proto.transformation.work.v1.work_pb import (
    CheckResult,
    CheckStatus,
    EvidenceBundle,
    FailureCode,
    Usage,
    WorkStatus,
)
from tests.domain.meeting import waiting
from tests.domain_work.world import World, caller, code, failure, key, success, verify


async def test_five_claims_at_once_give_one_run_and_one_outcome(world: World) -> None:
    run = await world.open_run()
    work = await world.requested(verify(run))
    executors = [caller(f"executor-{n}", "executor", queues=(work.queue,)) for n in range(5)]
    answers = await asyncio.gather(*(world.claim(work.work_request_id, one, key()) for one in executors))
    assert sorted(answer.answer.name for answer in answers) == ["DECLINED_RUNNING_ELSEWHERE"] * 4 + ["RUN"]
    assert world.stated(work.work_request_id) == ["WorkRequested", "WorkStarted"]
    assert len(world.sql("SELECT 1 FROM ameide.attempt")) == 1


async def test_one_outcome_of_a_claim_counts(world: World) -> None:
    run = await world.open_run()
    claimed = await world.run(await world.requested(verify(run)))
    answers = await asyncio.gather(*(world.succeed(claimed, commit_sha=claimed.work.commit_sha) for _ in range(5)))
    assert sum(not answer.idempotent_replay for answer in answers) == 1
    work_request_id = claimed.work.work_request_id
    assert world.stated(work_request_id) == ["WorkRequested", "WorkStarted", "WorkCompleted"]
    with pytest.raises(Conflict):
        await world.fail(claimed)
    assert world.stated(work_request_id) == ["WorkRequested", "WorkStarted", "WorkCompleted"]
    fact = world.last_fact(work_request_id)
    assert isinstance(fact, WorkCompleted)
    assert fact.work is not None
    assert fact.evidence is not None
    assert (fact.work.version, fact.work.status) == (3, WorkStatus.SUCCEEDED)
    assert (fact.evidence.principal_id, fact.evidence.attempt) == ("verifier", 1)
    late = await world.claim(work_request_id, claimed.executor, key())
    assert late.answer == ClaimAnswer.DECLINED_FINISHED


async def test_the_whole_evidence_is_kept_and_the_fact_tells_what_failed(world: World) -> None:
    run = await world.open_run()
    claimed = await world.run(await world.requested(verify(run)))
    command = failure(claimed, FailureCode.VERIFICATION_FAILED)
    assert command.evidence is not None
    command.evidence.check_results = [
        CheckResult(id=f"test_{n}", status=CheckStatus.PASSED if n else CheckStatus.FAILED) for n in range(5000)
    ]
    for _ in range(2):
        await world.outcome(claimed, command)
    [row] = world.sql("SELECT * FROM ameide.evidence")
    assert (row["work_request_id"], row["change_id"], row["attempt"]) == (
        claimed.work.work_request_id,
        run.change_id,
        1,
    )
    assert isinstance(row["body"], bytes)
    kept = EvidenceBundle.from_binary(row["body"])
    assert (len(kept.check_results), kept.principal_id) == (5000, "verifier")
    fact = world.last_fact(claimed.work.work_request_id)
    assert isinstance(fact, WorkFailed)
    assert fact.evidence is not None
    assert [check.id for check in fact.evidence.check_results] == ["test_0"]
    assert fact.evidence.artifacts == kept.artifacts
    [size] = world.sql("SELECT max(octet_length(payload)) AS bytes FROM ameide.outbox")
    assert isinstance(size["bytes"], int)
    assert size["bytes"] < 8 * 1024


async def test_a_refused_outcome_leaves_no_evidence(world: World) -> None:
    run = await world.open_run()
    claimed = await world.run(await world.requested(verify(run)))
    command = success(claimed, commit_sha="f" * 40)
    with pytest.raises(InvalidArgument):
        await world.outcome(claimed, command)
    assert world.sql("SELECT 1 FROM ameide.evidence") == []


async def test_a_repeated_claim_gets_the_same_run_until_it_has_ended(world: World) -> None:
    run = await world.open_run()
    begun = time.monotonic()
    claimed = await world.run(await world.requested(verify(run)))
    again = await world.claim(claimed.work.work_request_id, claimed.executor, claimed.claim_id)
    assert (again.answer, again.attempt) == (ClaimAnswer.RUN, 1)
    assert 29 - (time.monotonic() - begun) <= again.lease_seconds <= 30
    thief = caller("thief", "executor", queues=(claimed.work.queue,))
    stolen = await world.claim(claimed.work.work_request_id, thief, claimed.claim_id)
    assert stolen.answer == ClaimAnswer.DECLINED_RUNNING_ELSEWHERE
    await world.fail(claimed)
    ended = await world.claim(claimed.work.work_request_id, claimed.executor, claimed.claim_id)
    assert ended.answer == ClaimAnswer.DECLINED_FINISHED
    assert world.stated(claimed.work.work_request_id) == ["WorkRequested", "WorkStarted", "WorkFailed"]


async def test_a_token_claims_from_its_queues_only(world: World) -> None:
    run = await world.open_run()
    work = await world.requested(verify(run))
    with pytest.raises(PermissionDenied) as refused:
        await world.claim(work.work_request_id, caller("author", "executor", queues=("another",)), key())
    assert refused.value.reason == "QUEUE_NOT_SERVED"
    with pytest.raises(PermissionDenied):
        await world.claim(work.work_request_id, caller("root", "admin", queues=(work.queue,)), key())
    assert world.stated(work.work_request_id) == ["WorkRequested"]


async def test_a_late_holder_goes_on_until_the_sweep_and_is_fenced_after_it(world: World) -> None:
    run = await world.open_run()
    claimed = await world.run(await world.requested(verify(run)))
    work_request_id = claimed.work.work_request_id
    world.expire_lease(work_request_id)
    assert (await world.heartbeat(claimed, Usage(input_tokens=7), "still here")).lease_seconds >= 28
    assert await world.sweeper.sweep() == 0
    world.expire_lease(work_request_id)
    assert await world.sweeper.sweep() == 1
    for late in (world.heartbeat(claimed), world.succeed(claimed), world.fail(claimed), world.release(claimed)):
        with pytest.raises(Fenced) as fenced:
            await late
        assert fenced.value.reason == "FENCED"
    again = await world.run(await world.requested(verify(run)))
    second = await world.claim(work_request_id, claimed.executor, claimed.claim_id)
    assert (second.answer, second.attempt) == (ClaimAnswer.RUN, 2)
    with pytest.raises(Fenced):
        await world.succeed(claimed)
    assert again.work.work_request_id != work_request_id
    assert world.stated(work_request_id) == ["WorkRequested", "WorkStarted", "WorkStarted"]
    rows = world.sql("SELECT ended_by, usage, log_tail FROM ameide.attempt WHERE attempt = 1 AND ended_by <> ''")
    assert rows == [{"ended_by": "lease_lost", "usage": Usage(input_tokens=7).to_binary(), "log_tail": "still here"}]


async def test_a_holder_whose_lease_has_passed_may_finish(world: World) -> None:
    run = await world.open_run()
    claimed = await world.run(await world.requested(verify(run)))
    world.expire_lease(claimed.work.work_request_id)
    other = await world.claim(
        claimed.work.work_request_id, caller("other", "executor", queues=(claimed.work.queue,)), key()
    )
    assert other.answer == ClaimAnswer.DECLINED_RUNNING_ELSEWHERE
    await world.succeed(claimed)
    assert await world.sweeper.sweep() == 0


async def test_a_lease_never_passes_the_time_that_a_run_may_take(world: World) -> None:
    run = await world.open_run()
    claimed = await world.run(await world.requested(verify(run)))
    world.sql("UPDATE ameide.attempt SET run_until = clock_timestamp() + interval '5 s'")
    assert (await world.heartbeat(claimed)).lease_seconds <= 5
    world.sql("UPDATE ameide.attempt SET run_until = clock_timestamp() - interval '1 s'")
    assert (await world.heartbeat(claimed)).lease_seconds == 0
    assert await world.sweeper.sweep() == 1


async def test_giving_a_claim_back_spends_none(world: World) -> None:
    run = await world.open_run()
    claimed = await world.run(await world.requested(verify(run)))
    work = await world.release(claimed)
    assert (work.status, work.dispatch, work.lost_claims) == (WorkStatus.REQUESTED, 2, 0)
    assert world.stated(work.work_request_id, "intent") == ["WorkExecutionRequested"] * 2
    assert world.stated(work.work_request_id) == ["WorkRequested", "WorkStarted"]
    assert (await world.run(work)).attempt == 2


async def test_a_success_after_a_cancel_request_wins(world: World) -> None:
    run = await world.open_run()
    claimed = await world.run(await world.requested(verify(run)))
    asked = await world.cancel(claimed.work.work_request_id)
    assert (asked.status, asked.cancel_requested) == (WorkStatus.STARTED, True)
    assert world.stated(asked.work_request_id) == ["WorkRequested", "WorkStarted"]
    assert (await world.heartbeat(claimed)).cancel_requested
    await world.succeed(claimed)
    assert world.stated(asked.work_request_id)[-1] == "WorkCompleted"


async def test_an_executor_says_canceled_only_when_it_was_asked(world: World) -> None:
    run = await world.open_run()
    claimed = await world.run(await world.requested(verify(run)))
    command = failure(claimed, FailureCode.UNSPECIFIED)
    command.outcome = WorkOutcome.CANCELED
    with pytest.raises(InvalidArgument):
        await world.outcome(claimed, command)
    await world.cancel(claimed.work.work_request_id)
    ended = await world.outcome(claimed, command)
    assert ended.work is not None
    assert ended.work.status == WorkStatus.CANCELED
    assert (await world.claim(ended.work.work_request_id, claimed.executor, key())).answer == (
        ClaimAnswer.DECLINED_CANCELED
    )


async def test_evidence_is_this_attempts(world: World) -> None:
    run = await world.open_run()
    claimed = await world.run(await world.requested(verify(run)))
    for field, value in (("work_request_id", "wrk-other"), ("attempt", 2)):
        command = success(claimed)
        assert command.evidence is not None
        setattr(command.evidence, field, value)
        with pytest.raises(InvalidArgument) as refused:
            await world.outcome(claimed, command)
        assert refused.value.field == f"evidence.{field}"
    command = success(claimed)
    assert command.evidence is not None
    command.evidence.artifacts[0].uri = "store:work/default/wrk-other/1-x/log.txt"
    with pytest.raises(InvalidArgument) as refused:
        await world.outcome(claimed, command)
    assert refused.value.field == "evidence.artifacts[0].uri"
    command.evidence = None
    with pytest.raises(InvalidArgument):
        await world.outcome(claimed, command)
    assert world.stated(claimed.work.work_request_id) == ["WorkRequested", "WorkStarted"]


async def test_nobody_verifies_their_own_code(world: World) -> None:
    run = await world.open_run()
    await world.succeed(await world.run(await world.requested(code(run)), "author"), commit_sha="b" * 40)
    claimed = await world.run(await world.requested(verify(run)), "author")
    with pytest.raises(Refused) as refused:
        await world.succeed(claimed)
    assert refused.value.reason == "SELF_GRADING"
    work = await world.release(claimed)
    await world.succeed(await world.run(work, "verifier"))
    assert world.stated(work.work_request_id)[-1] == "WorkCompleted"


async def test_another_tenants_work_and_an_unknown_one_answer_the_same(world: World) -> None:
    run = await world.open_run()
    work = await world.requested(verify(run))
    stranger = caller("verifier", "executor", "operator", tenant="other", queues=(work.queue,))
    for act in (world.claim(work.work_request_id, stranger, key()), world.cancel(work.work_request_id, stranger)):
        with pytest.raises(NotFound) as foreign:
            await act
        assert str(foreign.value).startswith(f"no work {work.work_request_id}. ")
    with pytest.raises(NotFound) as unknown:
        await world.cancel("wrk-0", stranger)
    assert str(unknown.value).replace("wrk-0", work.work_request_id) == str(foreign.value)
    assert world.stated(work.work_request_id) == ["WorkRequested"]


@pytest.mark.parametrize("released", [False, True])
async def test_a_heartbeat_at_the_same_time_is_in_what_is_settled(world: World, released: bool) -> None:
    """It changes the claim's row alone, and commits after the outcome has begun."""
    claimed = await world.run(await world.requested(verify(await world.open_run())))
    with psycopg.connect(world.spine.address.conninfo) as beating:
        beating.execute("UPDATE ameide.attempt SET usage = %s", (Usage(input_tokens=33).to_binary(),))
        said = asyncio.ensure_future(world.release(claimed) if released else world.fail(claimed))
        await waiting(world, 1)
        beating.commit()
    await said
    [row] = world.sql("SELECT usage FROM ameide.attempt")
    assert isinstance(row["usage"], bytes)
    assert Usage.from_binary(row["usage"]).input_tokens == 33
    if not released:
        fact = world.last_fact(claimed.work.work_request_id)
        assert isinstance(fact, WorkFailed)
        assert fact.work is not None
        assert fact.work.result is not None
        assert fact.work.result.usage == Usage(input_tokens=33)
