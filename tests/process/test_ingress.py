"""Ingress on a real Temporal server: facts of a log become signals, workflows start once, nothing is lost or stuck."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client
from temporalio.service import RPCError

from ameide.contracts import topics
from ameide.events.messages import LoggedMessage
from ameide.process.signals import NotNow, Refusing, Signals
from ameide.process.workflows.inbox import DomainFact
from ameide_core_proto.common.v1.metadata_pb import MessageMetadata
from ameide_core_proto.transformation.governance.v1.facts_pb import (
    RunClosed,
    TransformationGovernanceDomainFact,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import RunStatus
from ameide_core_proto.transformation.work.v1.facts_pb import WorkCompleted, WorkRequested, WorkStarted
from tests.process.playing import stage
from tests.process.town import Town


async def test_a_run_is_started_with_its_stored_input_and_hears_its_facts_in_order(town: Town) -> None:
    first, second = town.run(), town.run()
    heard = {run.process_instance_id: [run.change_id] for run in (first, second)}
    for run in (first, second):
        heard[run.process_instance_id].append(town.requested(run))
    for run in (second, first, first, second):
        heard[run.process_instance_id].append(town.other(run))
    await town.step()
    assert await town.result(first) == heard[first.process_instance_id]
    assert await town.result(second) == heard[second.process_instance_id]
    assert town.ingress.counts == {"started": 2, "signalled": 4}
    assert town.directory.asked == 0


async def test_a_work_that_ends_at_once_wakes_its_run_once(town: Town) -> None:
    run = town.run()
    heard = [run.change_id, town.requested(run)]
    town.work(run, 1, WorkRequested())
    town.work(run, 2, WorkStarted())
    heard += [town.work(run, 3, WorkCompleted()), town.other(run)]
    await town.step()
    assert await town.result(run) == heard
    assert town.ingress.counts == {"started": 1, "signalled": 2, "included": 2}


async def test_a_work_that_lasts_tells_its_run_that_it_has_begun(town: Town) -> None:
    run = town.run()
    heard = [run.change_id, town.requested(run)]
    await town.step()
    town.work(run, 1, WorkRequested())
    heard.append(town.work(run, 2, WorkStarted()))
    running = asyncio.create_task(town.ingress.run())
    async with asyncio.timeout(30):
        await town.log.passed()
        assert town.ingress.counts == {"started": 1, "signalled": 1, "included": 1}
        heard.append(town.work(run, 3, WorkCompleted()))
        assert await town.result(run) == heard
    town.ingress.stop()
    town.log.more.set()
    await running


async def test_what_a_later_fact_would_include_is_parked_with_it_when_that_cannot_be_read(town: Town) -> None:
    run = town.run()
    begun = town.work(run, 2, WorkStarted())
    ended = town.work(run, 3, WorkCompleted())
    town.log.messages[-1] = replace(town.log.messages[-1], payload=b"\xff\xff")
    await town.step()
    assert [message_id for _, message_id, _ in town.log.parked] == [begun, ended]


async def test_a_repeated_start_signals_the_workflow_that_runs(town: Town) -> None:
    run = town.run()
    ids = [town.requested(run) for _ in range(3)]
    await town.step()
    assert await town.result(run) == [run.change_id, *ids]


async def test_a_fact_of_a_closed_run_is_late(town: Town) -> None:
    run = town.run(RunStatus.COMPLETED)
    town.other(run)
    town.state(run, RunClosed(run=run), "run_closed")
    await town.step()
    assert town.ingress.counts == {"late": 2}


async def test_nothing_restarts_a_closed_run_that_temporal_has_forgotten(town: Town) -> None:
    """As after the namespace's retention: neither a late fact, nor its own request, which lay about or was parked."""
    run = town.run(RunStatus.COMPLETED)
    town.other(run)
    town.requested(run)
    town.log.messages[-1] = replace(town.log.messages[-1], occurred_at=datetime.now(UTC) - timedelta(days=40))
    town.requested(run)
    town.log.messages[-1] = replace(town.log.messages[-1], redriven=True)
    await town.step()
    assert town.ingress.counts == {"late": 3}
    with pytest.raises(RPCError, match="not found"):
        await town.temporal.get_workflow_handle(run.process_instance_id).describe()


async def test_an_open_run_without_a_workflow_gets_one(town: Town) -> None:
    run = town.run()
    ids = [town.other(run) for _ in range(3)]
    await town.step()
    assert await town.result(run) == [run.change_id, *ids]
    assert town.ingress.counts == {"started": 1, "signalled": 2}


async def test_an_open_run_whose_workflow_is_over_is_closed(town: Town) -> None:
    run = town.run()
    for _ in range(3):
        town.other(run)
    await town.step()
    await town.result(run)
    town.other(run)
    await town.step()
    (closed,) = town.directory.closed
    assert (closed.process_instance_id, closed.status) == (run.process_instance_id, RunStatus.FAILED)
    assert town.ingress.counts["closed"] == 1


async def test_what_concerns_no_run_or_is_of_an_unknown_kind_is_skipped(town: Town) -> None:
    run = town.run()
    town.log.append(None, pid="")
    town.log.append(None, pid=run.process_instance_id, kind="process_fact", topic=topics.PROCESS_FACTS)
    unknown = TransformationGovernanceDomainFact(metadata=MessageMetadata(message_id="m"))
    town.log.append(unknown, pid=run.process_instance_id)
    await town.step()
    assert town.ingress.counts == {"skipped": 3}


async def test_a_fact_that_cannot_be_read_parks_its_run_and_no_other(town: Town) -> None:
    run, other = town.run(), town.run()
    broken = town.log.append(None, pid=run.process_instance_id, payload=b"\xff\xff")
    behind = town.other(run)
    for _ in range(3):
        town.other(other)
    await town.step()
    await town.result(other)
    key = f"default:{run.process_instance_id}"
    assert [(parked, message_id) for parked, message_id, _ in town.log.parked] == [(key, broken), (key, behind)]
    assert broken in town.log.parked[0][2]


async def test_a_parked_fact_that_is_released_at_once_has_its_effect(town: Town) -> None:
    run = town.run()
    town.requested(run)
    whole = town.log.messages[-1]
    town.log.messages[-1] = replace(whole, payload=b"\xff\xff")
    await town.ingress.step(town.temporal)
    assert len(town.log.parked) == 1
    # Mended and released before the next batch, which it is the first of.
    town.log.parked.clear()
    town.log.position -= 1
    town.log.messages[-1] = replace(whole, redriven=True)
    await town.step()
    assert town.ingress.counts == {"parked": 1, "started": 1}


async def test_a_released_request_waits_until_the_views_show_its_run(town: Town) -> None:
    run = town.run()
    town.requested(run)
    town.log.messages[0] = replace(town.log.messages[0], redriven=True)
    del town.directory.runs[run.process_instance_id]
    await town.ingress.step(town.temporal)
    assert [message_id for _, message_id in town.log.waiting] == [town.log.messages[0].message_id]
    assert town.ingress.counts == {"waiting": 1}


async def test_a_fact_waits_until_the_views_show_its_run(town: Town) -> None:
    run = town.run()
    heard = [run.change_id, town.other(run), town.other(run), town.other(run)]
    del town.directory.runs[run.process_instance_id]
    assert not await town.ingress.step(town.temporal)
    assert town.log.position == 0
    town.directory.runs[run.process_instance_id] = run
    await town.step()
    assert await town.result(run) == heard


async def test_a_fact_parked_behind_a_held_one_has_its_effect_when_it_is_released(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, refusing = town.run(), town.run()
    town.requested(held)
    town.requested(refusing)
    delivered: list[str] = []

    async def deliver(_self: Signals, _temporal: Client, message: LoggedMessage) -> str:
        if message.process_instance_id == held.process_instance_id:
            raise NotNow("busy")
        if not message.redriven:
            raise Refusing("not this one")
        delivered.append(message.message_id)
        return "signalled"

    monkeypatch.setattr(Signals, "deliver", deliver)
    assert not await town.ingress.step(town.temporal)
    assert len(town.log.parked) == 1
    # Released, it comes by itself, before the log goes on.
    town.log.parked.clear()
    town.log.messages = [replace(town.log.messages[1], redriven=True)]
    assert await town.ingress.step(town.temporal)
    assert delivered == [town.log.messages[0].message_id]


async def test_a_database_that_fails_while_parking_is_tried_again(town: Town) -> None:
    run = town.run()
    town.log.append(None, pid=run.process_instance_id, payload=b"\xff\xff")
    town.log.failing_times = 1
    working = asyncio.create_task(town.ingress.run())
    try:
        async with asyncio.timeout(20):
            await town.log.caught_up.wait()
    finally:
        working.cancel()
    assert len(town.log.parked) == 1
    assert not town.log.failing_times


async def test_a_domain_that_does_not_answer_is_asked_again(town: Town) -> None:
    run = town.run()
    town.directory.silent_times = 2
    for _ in range(3):
        town.other(run)
    await town.step()
    await town.result(run)
    assert town.directory.asked == 3
    assert not town.log.parked


async def test_a_view_that_is_behind_hides_no_run(town: Town) -> None:
    run = town.run()
    town.directory.behind_times = 2
    for _ in range(3):
        town.other(run)
    await town.step()
    await town.result(run)
    assert town.ingress.counts == {"started": 1, "signalled": 2}


async def test_a_whole_run_by_way_of_the_log(temporal: Client) -> None:
    async with stage(temporal) as here:
        script = here.script("by-log", gitops=False)
        town = Town(temporal, here.task_queue)

        async def log(fact: DomainFact) -> None:
            topic = next(
                topic
                for topic in topics.FACT_TOPICS
                if type(fact).__name__ == f"Transformation{topic.split('.')[1].title()}DomainFact"
            )
            town.log.append(fact, pid=script.pid, topic=topic)

        script.deliver = log
        run = script.run
        run.workflow_type, run.task_queue, run.input = "r2r.governance.v1", here.task_queue, script.input
        town.directory.runs[script.pid] = run
        town.requested(run)

        async def forever() -> None:
            while True:
                await town.ingress.step(temporal)
                await town.log.wait(1)

        ingress = asyncio.create_task(forever())
        await script.reached(lambda: script.run.status != RunStatus.OPEN)
        handle = temporal.get_workflow_handle(script.pid, result_type=str)
        assert await handle.result() == "merged"
        ingress.cancel()
    assert script.steps == ["preflight", "scaffold", "generate", "coder", "verify", "merge_prepare", "merge_push"]
