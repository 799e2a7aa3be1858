"""The timeline: the seed's three columns in one order, every row cited."""

import pytest

from ameide.errors import InvalidArgument, NotFound
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.common.v1.reading_pb import CitationKind, Page
from ameide_core_proto.transformation.governance.v1.query_service_pb import (
    GetFactRequest,
    GetStatusRequest,
    GetTimelineRequest,
    TimelineColumn,
    TimelineRow,
)
from ameide_core_proto.transformation.work.v1.query_service_pb import GetWorkRequest
from tests.domain_work.world import HEAD, verify
from tests.views.story import Story


async def _rows(story: Story, run: str = "") -> list[TimelineRow]:
    client = await story.readers.reader()
    answer = await client.queries.get_timeline(
        GetTimelineRequest(change_id=story.change_id, process_instance_id=run, page=Page(size=500))
    )
    assert answer.next_page_token == ""
    return list(answer.rows)


async def test_the_columns_tell_the_work_s_course_in_order(story: Story):
    rows = await _rows(story)
    work = story.verified[0].work_request_id
    course = [(row.column.name, row.name) for row in rows if row.work_request_id == work]
    assert course == [
        ("EVENTS", "WorkRequested"),
        ("EVENTS", "WorkExecutionRequested"),
        ("INFRA", "Claimed"),
        ("EVENTS", "WorkStarted"),
        ("INFRA", "Heartbeat"),
        ("INFRA", "Exited"),
        ("EVENTS", "WorkFailed"),
        ("PROCESS", "ActivityTransitioned"),
    ]
    texts = {row.name: row.text for row in rows if row.work_request_id == work}
    assert texts["WorkFailed"].startswith("VERIFY at bbbbbbbbbbbb failed: VERIFICATION_FAILED, 1 findings")
    assert texts["ActivityTransitioned"] == "step verify failed: VERIFICATION_FAILED"
    assert "attempt 1 ended" in texts["Exited"]


async def test_messages_follow_the_log_and_observations_stand_between_by_time(story: Story):
    rows = await _rows(story)
    positions = [row.log_position for row in rows if row.column != TimelineColumn.INFRA]
    assert positions == sorted(positions)
    assert len(positions) == len(set(positions))
    assert {row.column for row in rows} == {TimelineColumn.PROCESS, TimelineColumn.EVENTS, TimelineColumn.INFRA}
    assert rows[0].name == "ChangeOpened"
    assert all(row.at for row in rows)


async def test_every_citation_resolves(story: Story):
    client = await story.readers.reader()
    for row in await _rows(story):
        assert row.citation is not None
        if row.citation.kind == CitationKind.WORK_REQUEST:
            found = await client.work_queries.get_work(GetWorkRequest(work_request_id=row.citation.ref))
            assert found.work is not None
            continue
        expected = CitationKind.PROCESS_FACT if row.column == TimelineColumn.PROCESS else CitationKind.DOMAIN_FACT
        assert row.citation.kind == expected
        fact = await client.queries.get_fact(GetFactRequest(message_id=row.citation.ref))
        assert fact.entry is not None
        assert fact.entry.log_position == row.log_position
        assert row.citation.ref in fact.body_json


async def test_pages_join_to_the_whole(story: Story):
    client = await story.readers.reader()
    whole = await _rows(story)
    joined: list[TimelineRow] = []
    token = ""
    while True:
        answer = await client.queries.get_timeline(
            GetTimelineRequest(change_id=story.change_id, page=Page(size=4, token=token))
        )
        assert len(answer.citations) <= 4
        joined += answer.rows
        token = answer.next_page_token
        if not token:
            break
    assert joined == whole


async def test_a_run_s_timeline_is_a_part_of_its_change_s(story: Story):
    rows = await _rows(story, story.run.process_instance_id)
    assert {row.process_instance_id for row in rows} == {story.run.process_instance_id}
    assert {"RunRequested", "GateDecided", "Claimed", "Awaiting"} <= {row.name for row in rows}


async def test_another_tenant_s_timeline_answers_like_an_unknown_one(story: Story):
    other = await story.readers.reader("rival")
    with pytest.raises(NotFound) as foreign:
        await other.queries.get_timeline(GetTimelineRequest(change_id=story.change_id))
    unknown = story.change_id.replace("chg-", "chg-0")
    with pytest.raises(NotFound) as missing:
        await other.queries.get_timeline(GetTimelineRequest(change_id=unknown))
    assert str(foreign.value).replace(story.change_id, "X") == str(missing.value).replace(unknown, "X")
    with pytest.raises(NotFound):
        await other.queries.get_timeline(
            GetTimelineRequest(change_id=story.change_id, scope=Scope(tenant_id="default"))
        )


async def test_a_timeline_of_nothing_and_a_foreign_token_are_refused(story: Story):
    client = await story.readers.reader()
    with pytest.raises(InvalidArgument, match="change_id"):
        await client.queries.get_timeline(GetTimelineRequest())
    with pytest.raises(InvalidArgument, match=r"page\.token"):
        await client.queries.get_timeline(GetTimelineRequest(change_id=story.change_id, page=Page(token="zzz")))


async def test_a_work_that_nobody_claimed_yet_is_seen_waiting_in_its_queue(story: Story):
    readers = story.readers
    work = await readers.world.requested(verify(story.run, HEAD))
    await readers.caught_up()
    *_, last = await _rows(story)
    assert (last.column, last.name, last.work_request_id) == (TimelineColumn.INFRA, "Queued", work.work_request_id)
    assert work.queue in last.text
    client = await readers.reader()
    status = await client.queries.get_status(GetStatusRequest())
    assert [(queue.queue, queue.ready) for queue in status.queues] == [(work.queue, 1)]
    claimed = await readers.world.run(work)
    assert [row.name for row in await _rows(story) if row.work_request_id == work.work_request_id] == [
        "WorkRequested",
        "WorkExecutionRequested",
        "Claimed",
    ]
    await readers.world.release(claimed)
    await readers.caught_up()
    rows = [row for row in await _rows(story) if row.work_request_id == work.work_request_id]
    assert [row.name for row in rows if row.column == TimelineColumn.INFRA] == ["Claimed", "Exited", "Queued"]


async def test_a_fact_that_names_no_change_is_found_by_what_caused_it(story: Story):
    rows = await _rows(story)
    opened = next(row for row in rows if row.name == "ChangeOpened")
    assert opened.citation is not None
    story.readers.world.sql(
        "UPDATE ameide.view_fact SET causation_id = %s WHERE name = 'PolicyAdopted'", opened.citation.ref
    )
    adopted = [row for row in await _rows(story) if row.name == "PolicyAdopted"]
    assert [row.causation_id for row in adopted] == [opened.citation.ref]
