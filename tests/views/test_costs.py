"""What each step of a change took, and what its runs took together."""

from protobuf import Oneof

from ameide_core_proto.process.transformation.v1 import facts_pb as process
from ameide_core_proto.process.transformation.v1.facts_pb import ActivityTransition, TransformationProcessFact
from ameide_core_proto.transformation.governance.v1.query_service_pb import (
    GetChangeRequest,
    GetChangeResponse,
    GetTimelineRequest,
)
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, Usage, WorkResult, WorkStatus
from tests.domain_work.test_reuse import again, green, offered
from tests.domain_work.world import World, code, failure, verify
from tests.views.readers import Readers


async def _shown(readers: Readers, change_id: str) -> GetChangeResponse:
    await readers.caught_up()
    client = await readers.reader()
    return await client.queries.get_change(GetChangeRequest(change_id=change_id))


def _waited(world: World, work_request_id: str, attempt: int, queued_ms: int, held_s: int) -> None:
    """As if an attempt had waited and run that long."""
    world.sql(
        "UPDATE ameide.attempt SET queue_wait_ms = %s, claimed_at = ended_at - make_interval(secs => %s) "
        "WHERE work_request_id = %s AND attempt = %s",
        queued_ms,
        held_s,
        work_request_id,
        attempt,
    )


async def test_a_step_is_the_sum_of_its_attempts(readers: Readers):
    world = readers.world
    run = await world.open_run()
    command = code(run)
    command.client_request_id = f"{run.process_instance_id}/coder/1"
    work = await world.requested(command)
    lost = await world.run(work, "author")
    await world.heartbeat(lost, Usage(input_tokens=100, output_tokens=10, cost_micros=5, model="m"))
    world.expire_lease(work.work_request_id)
    assert await world.sweeper.sweep() == 1
    again = await world.run(work, "author")
    told = failure(again, FailureCode.BUDGET_EXHAUSTED)
    assert told.result is not None
    told.result.usage = Usage(input_tokens=50, output_tokens=5, cost_micros=2, model="m")
    await world.outcome(again, told)
    for attempt, queued, held in ((1, 20, 3), (2, 30, 4)):
        _waited(world, work.work_request_id, attempt, queued, held)

    shown = await _shown(readers, run.change_id)
    [step] = shown.steps
    assert (step.step, step.iteration, step.run_number) == ("coder", 1, 1)
    assert (step.status, step.failure_code) == (WorkStatus.FAILED, FailureCode.BUDGET_EXHAUSTED)
    assert step.work_request_id == work.work_request_id
    assert step.attempts == 2
    assert step.usage == Usage(input_tokens=150, output_tokens=15, cost_micros=7, model="m")
    assert (step.queue_wait_ms, step.wall_time_ms) == (50, 7000)


async def test_runs_and_the_change_are_the_sums_of_their_steps(readers: Readers):
    world = readers.world
    run = await world.open_run()
    for number, tokens in ((1, 40), (2, 2)):
        command = code(run)
        command.client_request_id = f"{run.process_instance_id}/coder/{number}"
        claimed = await world.run(await world.requested(command), "author")
        told = failure(claimed)
        told.result = WorkResult(
            summary="red", failure_code=FailureCode.TOOL_FAILED, usage=Usage(input_tokens=tokens, cost_micros=1)
        )
        await world.outcome(claimed, told)
    open_work = await world.requested(verify(run))
    await world.run(open_work, "verifier")

    shown = await _shown(readers, run.change_id)
    assert [(step.step, step.iteration) for step in shown.steps] == [("coder", 1), ("coder", 2), ("verify", 0)]
    [of_run] = shown.costs
    assert (of_run.process_instance_id, of_run.run_number, of_run.works) == (run.process_instance_id, 1, 3)
    assert of_run.usage == Usage(input_tokens=42, cost_micros=2)
    assert shown.total is not None
    assert shown.total.usage == of_run.usage
    assert shown.total.wall_time_ms == sum(step.wall_time_ms for step in shown.steps)
    running = shown.steps[-1]
    assert (running.status, running.attempts) == (WorkStatus.STARTED, 1)


async def test_a_work_that_nobody_claimed_took_nothing(readers: Readers):
    run = await readers.world.open_run()
    await readers.world.requested(verify(run))
    shown = await _shown(readers, run.change_id)
    [step] = shown.steps
    assert (step.attempts, step.queue_wait_ms, step.wall_time_ms, step.usage) == (0, 0, 0, Usage())


async def test_a_step_that_was_taken_cost_its_run_nothing(readers: Readers):
    world = readers.world
    first = await green(world)
    second = await again(world, first, "verify")
    coded = offered(second)[1]
    said = process.ActivityTransitioned(
        activity="coder",
        iteration=1,
        transition=ActivityTransition.SKIPPED,
        work_request_id=coded.work_request_id,
        reason=f"reused from {first.process_instance_id}, same inputs {coded.input_digest[:12]}",
    )
    await readers.say(second, TransformationProcessFact(seq=1, fact=Oneof("activity_transitioned", said)))
    await world.requested(verify(second))

    shown = await _shown(readers, first.change_id)
    assert [(step.run_number, step.reused_from) for step in shown.steps] == [
        (1, ""),
        (1, ""),
        (1, ""),
        (2, first.process_instance_id),
        (2, ""),
    ]
    taken = shown.steps[3]
    assert (taken.work_request_id, taken.process_instance_id) == (coded.work_request_id, second.process_instance_id)
    assert (taken.attempts, taken.usage, taken.wall_time_ms) == (0, Usage(), 0)
    assert [cost.works for cost in shown.costs] == [3, 1]
    timeline = await (await readers.reader()).queries.get_timeline(
        GetTimelineRequest(change_id=first.change_id, process_instance_id=second.process_instance_id)
    )
    [row] = [row for row in timeline.rows if row.name == "ActivityTransitioned"]
    assert row.text.startswith(f"step coder skipped: reused from {first.process_instance_id}, same inputs ")
    assert row.work_request_id == coded.work_request_id
    assert row.citation is not None
    assert row.citation in shown.citations
