"""What an earlier version left behind goes on under this one: nothing is lost, and nobody notices."""

from functools import partial

import pytest

from ameide.config import DATABASE_ROLES
from ameide.contracts import topics
from ameide.domain.access import authenticate
from ameide.errors import Fenced, Refused
from ameide.events.parking import list_parked, redrive
from ameide.storage import migrate as migrations
from ameide.storage.db import Database
from ameide_core_proto.transformation.governance.v1.governance_pb import Gate, GateStatus
from ameide_core_proto.transformation.work.v1.command_service_pb import ClaimAnswer
from ameide_core_proto.transformation.work.v1.work_pb import GatePass, Usage, WorkRequest, WorkStatus
from tests.conftest import Databases
from tests.domain.saying import decide
from tests.domain_work.gates import ANNA
from tests.domain_work.world import Claimed, World, caller, key
from tests.upgrades import past as before
from tests.upgrades.record import RECORDED
from tests.upgrades.restore import Past, restored
from tests.views.readers import Readers

VERIFIER = caller("verifier", "executor", queues=(topics.QUEUE_VERIFY,))
VIEWS = ("view_fact", "view_state", "view_process")


def test_every_recording_can_be_restored(databases: Databases) -> None:
    for path in RECORDED:
        past = restored(databases, path)
        empty = {table for table, rows in past.rows.items() if not rows}
        # What is archived lies in an object store, which is no part of a recording.
        assert empty <= {"log_archive"}, "the recording has rows in every table"
        databases.drop(past.spine.address)


async def test_every_row_is_there_afterwards(past: Past) -> None:
    applied = await past.upgrade()
    assert len(applied) == sum(number > past.schema for number, _, _ in migrations.migrations())
    assert past.rows_now() == past.rows
    await migrations.check_guard(past.spine.dsn("ameide_app"))
    assert await past.upgrade() == []


async def test_a_migration_that_fails_leaves_the_database_as_it_was(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = migrations.migrations()
    broken = (known[-1][0] + 1, "broken", "DELETE FROM ameide.work; SELECT 1 / 0")
    with monkeypatch.context() as tomorrow:
        tomorrow.setattr(migrations, "migrations", lambda: [*known, broken])
        with pytest.raises(Exception, match="division by zero"):
            await past.upgrade()
    assert past.rows_now() == past.rows
    assert await past.upgrade() == []


async def test_a_program_works_on_its_own_schema_only(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every role looks before it works, and the program from before no longer migrates."""
    roles = [past.spine.dsn(role) for role in DATABASE_ROLES]
    for dsn in roles:
        with pytest.raises(Refused) as refused:
            await migrations.check_schema(dsn)
        assert refused.value.reason == "OLDER_DATABASE"
    await past.upgrade()
    for dsn in roles:
        await migrations.check_schema(dsn)
    before = migrations.migrations()[:-1]
    with monkeypatch.context() as earlier:
        earlier.setattr(migrations, "migrations", lambda: before)
        for refusing in (past.upgrade, *(partial(migrations.check_schema, dsn) for dsn in roles)):
            with pytest.raises(Refused) as refused:
                await refusing()
            assert refused.value.reason == "NEWER_DATABASE"


async def test_a_migration_that_was_left_out_is_made_up_for(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    known = migrations.migrations()
    late, newest = known[-1], (known[-1][0] + 1, "newest", "SELECT 1")
    monkeypatch.setattr(migrations, "migrations", lambda: [*known[:-1], newest])
    await past.upgrade()
    monkeypatch.setattr(migrations, "migrations", lambda: [*known, newest])
    with pytest.raises(Refused, match=late[1]):
        await migrations.check_schema(past.spine.dsn("ameide_app"))
    assert await past.upgrade() == [f"{late[0]:04d}_{late[1]}"]
    assert past.rows_now() == past.rows


async def test_the_views_go_on_where_they_stood_and_a_rebuild_equals_them(upgraded: Readers) -> None:
    world = upgraded.world
    stood = world.sql("SELECT position FROM ameide.cursor WHERE name = 'projector'")[0]["position"]
    last = upgraded.head()
    assert isinstance(stood, int)
    assert stood < last
    assert await upgraded.caught_up() > last
    positions = [row["position"] for row in world.sql("SELECT position FROM ameide.log ORDER BY position")]
    assert positions == list(range(1, len(positions) + 1))
    assert world.sql("SELECT 1 FROM ameide.outbox") == []
    live = {view: world.sql(f"SELECT * FROM ameide.{view} ORDER BY 1, 2, 3") for view in VIEWS}
    for view in VIEWS:
        world.sql(f"DELETE FROM ameide.{view}")
    world.sql("UPDATE ameide.cursor SET position = 0 WHERE name = 'projector'")
    world.sql("DELETE FROM ameide.parked")
    await upgraded.caught_up()
    assert {view: world.sql(f"SELECT * FROM ameide.{view} ORDER BY 1, 2, 3") for view in VIEWS} == live


async def test_a_parked_key_is_released_by_this_version(upgraded: Readers, past: Past) -> None:
    database = Database(past.spine.dsn("ameide_projector"), max_size=1)
    await database.open()
    upgraded.world.sql("UPDATE ameide.parked SET payload = '\\xfa7d00'")
    assert await redrive(database, "projector", before.PARKED_KEY) == 2
    await upgraded.caught_up()
    assert await list_parked(database) == []
    await database.close()


async def test_a_token_from_before_is_known(past: Past) -> None:
    await past.upgrade()
    database = Database(past.spine.dsn("ameide_app"), max_size=1)
    await database.open()
    known, _ = await authenticate(database, f"ameide_default_{before.OLD_TOKEN}_{before.OLD_SECRET}")
    assert (known.principal_id, known.queues) == ("verifier", VERIFIER.queues)
    await database.close()


async def test_a_request_that_is_sent_again_has_its_first_answer(upgraded: Readers) -> None:
    world = upgraded.world
    old = work_named(world, before.RUNNING)
    again = await world.request(before.asked(before.RUNNING, old.process_instance_id))
    assert again.idempotent_replay
    assert again.work is not None
    assert again.work.work_request_id == old.work_request_id


async def test_who_ran_a_work_before_goes_on_with_it(upgraded: Readers) -> None:
    world = upgraded.world
    running = claimed(work_named(world, before.RUNNING), before.RUNNING)
    same = await world.claim(running.work.work_request_id, VERIFIER, running.claim_id)
    assert (same.answer, same.attempt) == (ClaimAnswer.RUN, 1)
    assert not (await world.heartbeat(running)).cancel_requested
    canceling = claimed(work_named(world, before.CANCELING), before.CANCELING)
    assert (await world.heartbeat(canceling)).cancel_requested
    ended = (await world.succeed(running)).work
    assert ended is not None
    assert ended.result is not None
    assert (ended.status, ended.version) == (WorkStatus.SUCCEEDED, 3)
    assert ended.result.usage == Usage(input_tokens=7, output_tokens=5)
    lost = claimed(work_named(world, before.LOST), before.LOST)
    with pytest.raises(Fenced):
        await world.succeed(lost)


async def test_the_sweeper_ends_what_nobody_runs_any_more(upgraded: Readers) -> None:
    world = upgraded.world
    for name in (before.RUNNING, before.CANCELING):
        world.expire_lease(work_named(world, name).work_request_id)
    while await world.sweeper.sweep():
        pass
    again, canceled = (work_named(world, name) for name in (before.RUNNING, before.CANCELING))
    assert (again.status, again.lost_claims, again.dispatch) == (WorkStatus.REQUESTED, 1, 2)
    assert (canceled.status, canceled.version) == (WorkStatus.CANCELED, 3)


async def test_every_invitation_finds_its_work(upgraded: Readers) -> None:
    """Those in the queue, and the one that was still in the outbox."""
    world = upgraded.world
    await world.relayed()
    waiting = {work_named(world, name).work_request_id for name in (before.WAITING, before.RELEASED, before.LOST)}
    waiting.add(work_named(world, before.PENDING).work_request_id)
    found = set[str]()
    while (answer := await world.poll(topics.QUEUE_VERIFY, key(), VERIFIER)).answer == ClaimAnswer.RUN:
        assert answer.work is not None
        found.add(answer.work.work_request_id)
    assert found == waiting


async def test_a_gate_from_before_is_decided_and_its_pass_used_once(upgraded: Readers) -> None:
    world = upgraded.world
    gates = [gate for gate in map(Gate.from_binary, states(world, "gate")) if gate.status == GateStatus.OPEN]
    run = gates[0].process_instance_id
    for gate in gates:
        decided = await decide(world, gate, ANNA)
        assert (decided.status, decided.version) == (GateStatus.APPROVED, gate.version + 2)
    [used] = [gate for gate in map(Gate.from_binary, states(world, "gate")) if gate.consumed_by]
    command = before.pushing(run, GatePass(gate_id=used.gate_id, subject_hash=used.subject_hash))
    assert (await world.request(command)).idempotent_replay
    command.client_request_id = key()
    with pytest.raises(Refused) as refused:
        await world.request(command)
    assert refused.value.reason in ("GATE_CONSUMED", "GATE_SUPERSEDED")


def states(world: World, kind: str) -> list[bytes]:
    """The states of all aggregates of a kind."""
    rows = world.sql("SELECT state FROM ameide.aggregate WHERE kind = %s ORDER BY id", kind)
    return [row["state"] for row in rows if isinstance(row["state"], bytes)]


def work_named(world: World, name: str) -> WorkRequest:
    """The work that was requested under this name."""
    rows = world.sql("SELECT state FROM ameide.work")
    works = [WorkRequest.from_binary(row["state"]) for row in rows if isinstance(row["state"], bytes)]
    [found] = [work for work in works if work.client_request_id == f"before the upgrade: {name}"]
    return found


def claimed(work: WorkRequest, name: str) -> Claimed:
    """The claim of its first attempt."""
    return Claimed(work, 1, before.old_claim(name), VERIFIER)
