"""The projector: restartable anywhere, one at a time, and not stopped by one bad message."""

from datetime import UTC, datetime

import pytest

from ameide.contracts import topics
from ameide.contracts.ids import new_message_id
from ameide.errors import Unreachable
from ameide.events.messages import OutboxMessage
from ameide.events.outbox import append
from ameide.events.parking import list_parked, redrive
from ameide.events.wakeups import Wakeups
from ameide.storage.db import Database
from ameide.views.projector import Projector
from tests.views.readers import Readers
from tests.views.story import Story

UNKNOWN_CASE = b"\xfa\x7d\x00"  # a field that no version of the schema has had
NOT_A_MESSAGE = b"\xff\xff"


def _fact(aggregate: str, version: int, payload: bytes) -> OutboxMessage:
    return OutboxMessage(
        tenant_id="default",
        topic=topics.GOVERNANCE_FACTS,
        kind="fact",
        key=f"default:{aggregate}",
        message_id=new_message_id(),
        name="GateOpened",
        aggregate_type="gate",
        aggregate_id=aggregate,
        aggregate_version=version,
        process_instance_id="",
        correlation_id="",
        causation_id="",
        work_request_id="",
        occurred_at=datetime.now(UTC),
        payload=payload,
    )


async def _say(readers: Readers, *messages: OutboxMessage) -> None:
    async with readers.world.app.transaction("default") as tx:
        append(tx, messages)


def _views(readers: Readers) -> dict[str, list[dict[str, object]]]:
    return {
        view: readers.world.sql(f"SELECT * FROM ameide.{view} ORDER BY 1, 2, 3")
        for view in ("view_fact", "view_state", "view_process")
    }


def _empty_the_views(readers: Readers) -> None:
    for view in ("view_fact", "view_state", "view_process"):
        readers.world.sql(f"DELETE FROM ameide.{view}")
    readers.world.sql("UPDATE ameide.cursor SET position = 0 WHERE name = 'projector'")


async def test_projecting_the_log_again_in_other_batches_gives_the_same_views(
    story: Story, projector_database: Database
):
    before = _views(story.readers)
    assert all(before.values())
    _empty_the_views(story.readers)
    while await Projector(projector_database, Wakeups(), batch=1).step():
        pass
    assert _views(story.readers) == before


async def test_projecting_twice_changes_nothing(story: Story, projector_database: Database):
    before = _views(story.readers)
    story.readers.world.sql("UPDATE ameide.cursor SET position = 0 WHERE name = 'projector'")
    while await Projector(projector_database, Wakeups(), batch=7).step():
        pass
    assert _views(story.readers) == before


async def test_a_batch_that_ends_suddenly_left_nothing_behind(story: Story, projector_database: Database):
    readers = story.readers
    before = _views(readers)
    _empty_the_views(readers)
    # The watermark cannot be written, so neither is the effect: they commit together.
    readers.world.sql("ALTER TABLE ameide.cursor ADD CONSTRAINT held CHECK (name <> 'projector' OR position = 0)")
    with pytest.raises(Exception, match="held"):
        await Projector(projector_database, Wakeups()).step()
    assert not any(_views(readers).values())
    readers.world.sql("ALTER TABLE ameide.cursor DROP CONSTRAINT held")
    while await Projector(projector_database, Wakeups()).step():
        pass
    assert _views(readers) == before


async def test_only_one_projector_works_at_a_time(readers: Readers, projector_database: Database):
    await readers.world.register()
    await readers.world.relayed()
    async with projector_database.transaction(None) as tx:
        await tx.execute("SELECT FROM ameide.cursor WHERE name = 'projector' FOR UPDATE")
        assert await readers.projector.step() == 0
    assert await readers.projector.step() > 0


async def test_a_fact_of_an_unknown_kind_is_skipped_and_counted(readers: Readers):
    await _say(readers, _fact("g1", 1, UNKNOWN_CASE))
    await readers.world.register()
    await readers.caught_up()
    assert readers.projector.skipped == 1
    assert readers.projector.parked == 0
    assert [row["kind"] for row in readers.world.sql("SELECT kind FROM ameide.view_state ORDER BY kind")] == [
        "policy",
        "repository",
    ]


async def test_a_message_that_cannot_be_projected_parks_its_key_until_redriven(
    readers: Readers, projector_database: Database
):
    await _say(readers, _fact("g1", 1, NOT_A_MESSAGE), _fact("g1", 2, UNKNOWN_CASE))
    await readers.world.register()
    head = await readers.caught_up()
    parked = await list_parked(projector_database)
    assert [(one.key, one.position) for one in parked] == [("default:g1", 1), ("default:g1", 2)]
    assert "ValueError" in parked[0].error
    assert readers.world.sql("SELECT position FROM ameide.cursor WHERE name = 'projector'") == [{"position": head}]
    assert len(_views(readers)["view_state"]) == 2
    # The cause is removed (here: the bytes, there: a newer program) and the key released.
    readers.world.sql("UPDATE ameide.parked SET payload = %s WHERE position = 1", UNKNOWN_CASE)
    assert await redrive(projector_database, "projector", "default:g1") == 2
    await readers.caught_up()
    assert await list_parked(projector_database) == []
    assert readers.projector.skipped == 2


async def test_a_row_that_the_database_refuses_parks_only_its_own_key(readers: Readers, projector_database: Database):
    readers.world.sql("ALTER TABLE ameide.view_state ADD CONSTRAINT no_policy CHECK (kind <> 'policy' OR id <> 'bad')")
    await readers.world.register("good")
    await readers.world.register("bad")
    await readers.caught_up()
    states = readers.world.sql("SELECT kind, id FROM ameide.view_state ORDER BY id, kind")
    assert [(row["kind"], row["id"]) for row in states] == [
        ("repository", "bad"),
        ("policy", "good"),
        ("repository", "good"),
    ]
    assert {one.key for one in await list_parked(projector_database)} == {"default:bad"}


async def test_an_unreachable_database_is_told_as_such(readers: Readers):
    projector = Projector(Database("host=127.0.0.1 port=1 dbname=none", timeout=0.1), Wakeups())
    with pytest.raises(Unreachable):
        await projector.step()
