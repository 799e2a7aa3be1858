"""What a run hears while it continues as new again and again: all of it, each message once."""

from collections import Counter

import pytest
from temporalio.client import Client, WorkflowHistory

from ameide.process.converter import DATA_CONVERTER
from ameide.process.workflows.inbox import DomainFact
from ameide.process.workflows.state import RunState
from ameide_core_proto.common.v1.metadata_pb import MessageMetadata
from tests.process.playing import MANY_HISTORIES, Played, histories, play_all, took_its_course
from tests.process.races import STRANGERS, VERSIONS, WAVE

CONVERTER = DATA_CONVERTER.payload_converter


@pytest.fixture(scope="module")
async def played(temporal: Client) -> dict[str, Played | BaseException]:
    """What came of these scenarios."""
    return await play_all(temporal, MANY_HISTORIES)


def heard(history: WorkflowHistory) -> list[DomainFact]:
    """The facts in the order of a history."""
    return [
        CONVERTER.from_payloads(event.workflow_execution_signaled_event_attributes.input.payloads)[0]
        for event in history.events
        if event.HasField("workflow_execution_signaled_event_attributes")
    ]


def carried(history: WorkflowHistory) -> RunState:
    """The state that a history began with."""
    given = history.events[0].workflow_execution_started_event_attributes.input.payloads[1]
    return CONVERTER.from_payloads([given], [RunState])[0]


async def test_a_thousand_signals_arrive_once_each(played: dict[str, Played | BaseException]) -> None:
    run = took_its_course("thousand_signals", played["thousand_signals"])
    links = [link async for link in histories(run)]
    assert len(links) > STRANGERS * VERSIONS // WAVE
    seen = Counter((fact.metadata or MessageMetadata()).message_id for link in links for fact in heard(link))
    assert seen == run.script.sent
    assert len(seen) > STRANGERS * VERSIONS
    # What the last history was given, and what it heard itself, is what the run knew at its end.
    inbox = carried(links[-1]).inbox
    for fact in heard(links[-1]):
        inbox.take(fact)
    strangers = [known for key, known in inbox.known.items() if key.startswith("gate:stranger-")]
    assert len(strangers) == STRANGERS
    assert {(known.version, len(known.message_ids)) for known in strangers} == {(VERSIONS, 1)}


async def test_the_watchdog_commands_and_never_polls(played: dict[str, Played | BaseException]) -> None:
    run = took_its_course("stuck_work_late", played["stuck_work_late"])
    scheduled: Counter[str] = Counter()
    async for link in histories(run):
        scheduled.update(
            event.activity_task_scheduled_event_attributes.activity_type.name
            for event in link.events
            if event.HasField("activity_task_scheduled_event_attributes")
        )
    facts = scheduled.pop("record_process_facts")
    assert scheduled == Counter(name for name, _ in run.script.commands)
    # Never more often than the course had something new to say.
    assert facts <= len(run.script.process_facts)
