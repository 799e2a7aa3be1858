"""What `GetStatus` says stands still, and that it says nothing of what moves."""

from __future__ import annotations

import asyncio

from protobuf import Oneof

from ameide.contracts import topics
from ameide.events.presence import QueuePresence
from ameide.views.stuck import standing_roles
from ameide_core_proto.process.transformation.v1 import facts_pb as process
from ameide_core_proto.process.transformation.v1.facts_pb import TransformationProcessFact
from ameide_core_proto.transformation.governance.v1 import query_service_pb as q
from ameide_core_proto.transformation.governance.v1.query_service_pb import Stuck, StuckKind
from tests.domain_work.gates import approve
from tests.domain_work.world import caller, key, verify
from tests.views.readers import Readers
from tests.views.story import Story

ROLES = ("relay", "projector", "ingress", "sweeper")


def all_at_work(readers: Readers) -> None:
    """As if each role had taken a turn just now, and the ingress had read everything."""
    for role in ROLES:
        readers.world.sql(
            "INSERT INTO ameide.role_seen VALUES (%s, now()) ON CONFLICT (role) DO UPDATE SET seen_at = now()", role
        )
    readers.world.sql(
        "UPDATE ameide.cursor SET position = (SELECT position FROM ameide.log_head) WHERE name = 'ingress'"
    )


async def stuck(readers: Readers, tenant: str = "default") -> list[Stuck]:
    client = await readers.reader(tenant)
    return (await client.queries.get_status(q.GetStatusRequest())).stuck


async def test_a_role_that_never_ran_or_fell_silent_is_named(story: Story):
    readers = story.readers
    found = await stuck(readers)
    assert [item.subject for item in found] == [*ROLES, story.acceptance.gate_id]
    assert all(item.last_seen is None for item in found[:4])
    all_at_work(readers)
    readers.world.sql("UPDATE ameide.role_seen SET seen_at = now() - interval '40 s' WHERE role = 'relay'")
    relay, gate = await stuck(readers)
    assert (relay.kind, relay.waiting) == (StuckKind.RELAY, 0)
    assert 40 <= relay.age_seconds < 60
    assert relay.last_seen == relay.since is not None
    assert gate.kind == StuckKind.GATE


async def test_an_open_gate_waits_with_everything_to_decide_it(story: Story):
    all_at_work(story.readers)
    [gate] = await stuck(story.readers)
    assert (gate.kind, gate.subject, gate.change_id) == (StuckKind.GATE, story.acceptance.gate_id, story.change_id)
    assert gate.gate is not None
    assert gate.gate.subject_hash == story.acceptance.subject_hash
    assert await stuck(story.readers, "rival") == []


async def test_a_forwarder_is_named_where_one_is_needed_with_what_hinders_it(story: Story):
    readers = story.readers
    all_at_work(readers)
    readers.world.sql("INSERT INTO ameide.role_seen VALUES ('forwarder', now() - interval '1 min')")
    assert [item.kind for item in await stuck(readers)] == [StuckKind.GATE]
    readers.world.sql("SELECT ameide.carry('{transformation.work.domain.facts.v1}')")
    forwarder = (await stuck(readers))[0]
    assert (forwarder.kind, forwarder.subject, forwarder.waiting) == (StuckKind.FORWARDER, "forwarder", 0)
    readers.world.sql("UPDATE ameide.role_seen SET seen_at = now(), trouble = 'no broker' WHERE role = 'forwarder'")
    assert [item.kind for item in await stuck(readers)] == [StuckKind.GATE]
    # The ingress has had all that was given to Kafka.
    readers.world.sql("UPDATE ameide.cursor SET position = position - 3 WHERE name IN ('forwarder', 'ingress')")
    readers.world.sql("UPDATE ameide.log SET occurred_at = now() - interval '40 s'")
    forwarder = (await stuck(readers))[0]
    assert (forwarder.waiting, forwarder.reason) == (3, "no broker")
    assert 40 <= forwarder.age_seconds < 60
    readers.world.sql("UPDATE ameide.cursor SET position = position - 1 WHERE name = 'ingress'")
    assert [item.kind for item in await stuck(readers)][:2] == [StuckKind.FORWARDER, StuckKind.INGRESS]


async def test_a_forwarder_that_runs_where_none_is_needed_is_named_with_what_it_says(story: Story):
    readers = story.readers
    all_at_work(readers)
    readers.world.sql("INSERT INTO ameide.role_seen VALUES ('forwarder', now(), 'its settings differ')")
    forwarder = (await stuck(readers))[0]
    assert (forwarder.kind, forwarder.reason) == (StuckKind.FORWARDER, "its settings differ")


async def test_a_queue_of_kafka_is_unserved_when_nobody_claims_for_a_minute(story: Story):
    readers, world = story.readers, story.readers.world
    for _ in range(2):
        await world.requested(verify(story.run))
    await readers.caught_up()
    world.sql("SELECT ameide.carry(%s)", [topics.QUEUE_VERIFY])
    await world.sweeper.sweep()
    await readers.caught_up()
    all_at_work(readers)
    readers.world.sql("INSERT INTO ameide.role_seen VALUES ('forwarder', now())")
    assert [item.kind for item in await stuck(readers)] == [StuckKind.GATE]
    world.sql("UPDATE ameide.view_fact SET occurred_at = now() - interval '70 s' WHERE work_request_id <> ''")
    queue = (await stuck(readers))[0]
    assert (queue.kind, queue.subject, queue.waiting) == (StuckKind.QUEUE, topics.QUEUE_VERIFY, 2)
    assert 70 <= queue.age_seconds < 90
    client = await readers.reader("default")
    [state] = (await client.queries.get_status(q.GetStatusRequest())).queues
    assert (state.queue, state.ready) == (topics.QUEUE_VERIFY, 2)
    assert 70 <= state.oldest_age_seconds < 90
    # Whoever claims one of them serves the queue, the others wait for it.
    work = world.sql("SELECT work_request_id FROM ameide.work WHERE status = 'requested' LIMIT 1")[0]
    await world.claim(
        str(work["work_request_id"]), caller("verifier", "executor", queues=(topics.QUEUE_VERIFY,)), key()
    )
    world.sql(
        "INSERT INTO ameide.queue_served VALUES ('default', %s, 'verifier', now(), now() - interval '1 h')",
        topics.QUEUE_VERIFY,
    )
    await readers.caught_up()
    all_at_work(readers)
    world.sql("UPDATE ameide.view_fact SET occurred_at = now() - interval '70 s' WHERE work_request_id <> ''")
    assert [item.kind for item in await stuck(readers)] == [StuckKind.GATE]


async def test_what_the_relay_has_not_moved_is_counted(story: Story):
    readers = story.readers
    all_at_work(readers)
    await readers.world.register("second")
    assert [item.kind for item in await stuck(readers)] == [StuckKind.GATE]
    readers.world.sql("UPDATE ameide.outbox SET occurred_at = now() - interval '40 s'")
    relay = (await stuck(readers))[0]
    assert (relay.kind, relay.waiting) == (StuckKind.RELAY, 2)
    assert 40 <= relay.age_seconds < 60


async def test_a_consumer_that_is_behind_is_told_by_its_first_message(story: Story):
    readers = story.readers
    all_at_work(readers)
    head = readers.head()
    readers.world.sql("UPDATE ameide.cursor SET position = position - 3 WHERE name = 'ingress'")
    readers.world.sql("UPDATE ameide.log SET occurred_at = now() - interval '40 s' WHERE position = %s", head - 2)
    ingress = (await stuck(readers))[0]
    assert (ingress.kind, ingress.waiting) == (StuckKind.INGRESS, 3)
    assert 40 <= ingress.age_seconds < 60


async def test_a_queue_is_served_by_who_polls_it_and_by_who_is_busy(story: Story):
    readers, world = story.readers, story.readers.world
    all_at_work(readers)
    for _ in range(2):
        await world.requested(verify(story.run))
    await readers.caught_up()
    all_at_work(readers)
    assert [item.kind for item in await stuck(readers)] == [StuckKind.GATE]
    world.sql("UPDATE ameide.queue_item SET enqueued_at = now() - interval '40 s'")
    queue = (await stuck(readers))[0]
    assert (queue.kind, queue.subject, queue.waiting) == (StuckKind.QUEUE, topics.QUEUE_VERIFY, 2)
    assert 40 <= queue.age_seconds < 60
    assert queue.last_seen is None
    executor = caller("verifier", "executor", queues=(topics.QUEUE_VERIFY,))
    await world.poll(topics.QUEUE_VERIFY, key(), executor)
    await asyncio.gather(*world.gateway._presence._writing)  # pyright: ignore[reportPrivateUsage]
    assert [item.kind for item in await stuck(readers)] == [StuckKind.GATE]
    # It does not poll any more, and runs what it claimed.
    world.sql("UPDATE ameide.queue_served SET served_until = now() - interval '1 h', seen_at = now() - interval '1 h'")
    assert [item.kind for item in await stuck(readers)] == [StuckKind.GATE]
    world.sql("UPDATE ameide.attempt SET ended_at = now()")
    queue = (await stuck(readers))[0]
    assert (queue.kind, queue.waiting) == (StuckKind.QUEUE, 1)
    assert queue.last_seen is not None
    world.sql("DELETE FROM ameide.queue_item")
    queue = (await stuck(readers))[0]
    assert (queue.kind, queue.waiting) == (StuckKind.QUEUE, 0)
    assert queue.age_seconds >= 3600


async def test_nobody_misses_an_executor_that_takes_one_work_and_leaves(story: Story):
    readers, world = story.readers, story.readers.world
    presence = QueuePresence(world.service.database)
    all_at_work(readers)
    for comes_back, found in ((False, [StuckKind.GATE]), (True, [StuckKind.QUEUE, StuckKind.GATE])):
        presence.note("default", "verifier", [topics.QUEUE_VERIFY], 0, comes_back=comes_back)
        await asyncio.gather(*presence._writing)  # pyright: ignore[reportPrivateUsage]
        world.sql("UPDATE ameide.queue_served SET served_until = now() - interval '1 h'")
        assert [item.kind for item in await stuck(readers)] == found


async def test_what_the_sweeper_left_and_who_does_not_answer_a_cancel(story: Story):
    readers, world = story.readers, story.readers.world
    claimed = await world.run(await world.requested(verify(story.run)))
    work = claimed.work.work_request_id
    await world.cancel(work)
    await readers.caught_up()
    all_at_work(readers)
    assert [item.kind for item in await stuck(readers)] == [StuckKind.GATE]
    world.sql(
        "UPDATE ameide.attempt SET last_heartbeat_at = now() - interval '50 s', lease_until = now() - interval '20 s' "
        "WHERE work_request_id = %s",
        work,
    )
    sweeper, cancel, _ = await stuck(readers)
    assert (sweeper.kind, sweeper.waiting) == (StuckKind.SWEEPER, 1)
    assert 20 <= sweeper.age_seconds < 40
    assert (cancel.kind, cancel.subject, cancel.principal_id) == (StuckKind.CANCEL, work, "verifier")
    await world.sweeper.sweep()
    await readers.caught_up()
    all_at_work(readers)
    assert [item.kind for item in await stuck(readers)] == [StuckKind.GATE]


async def test_parked_messages_are_told_by_key_with_their_first_error(story: Story):
    readers = story.readers
    all_at_work(readers)
    readers.world.sql(
        "INSERT INTO ameide.parked SELECT 'ingress', position, tenant_id, 'default:run', 'error ' || position, now(), "
        "false, topic, kind, message_id, name, aggregate_type, aggregate_id, aggregate_version, process_instance_id, "
        "correlation_id, causation_id, work_request_id, occurred_at, payload FROM ameide.log WHERE position IN (2, 3)"
    )
    parked = (await stuck(readers))[0]
    assert (parked.kind, parked.consumer, parked.subject) == (StuckKind.PARKED, "ingress", "default:run")
    assert (parked.waiting, parked.reason) == (2, "error 2")
    # What is tried again by itself needs nobody, until that has not helped.
    readers.world.sql("UPDATE ameide.parked SET retry_at = now() WHERE position = 2")
    assert [item.kind for item in await stuck(readers)] == [StuckKind.GATE]
    readers.world.sql("UPDATE ameide.parked SET parked_at = now() - interval '90 s'")
    assert (await stuck(readers))[0].kind == StuckKind.PARKED


async def test_a_run_that_asked_for_nothing_and_is_quiet_is_named(story: Story):
    readers, world = story.readers, story.readers.world
    await approve(world, story.acceptance)
    await readers.caught_up()
    all_at_work(readers)
    assert await stuck(readers) == []
    world.sql("UPDATE ameide.view_fact SET occurred_at = now() - interval '40 s'")
    [run] = await stuck(readers)
    assert (run.kind, run.subject, run.change_id) == (
        StuckKind.RUN,
        story.run.process_instance_id,
        story.change_id,
    )
    assert 40 <= run.age_seconds < 60
    # While it is told too little, that is why.
    world.sql("UPDATE ameide.role_seen SET seen_at = now() - interval '1 min' WHERE role = 'ingress'")
    assert [item.kind for item in await stuck(readers)] == [StuckKind.INGRESS]
    all_at_work(readers)
    awaiting = process.Awaiting(what="new_version", ref="art-1")
    await readers.say(story.run, TransformationProcessFact(seq=9, fact=Oneof("awaiting", awaiting)))
    await readers.caught_up()
    all_at_work(readers)
    world.sql("UPDATE ameide.view_fact SET occurred_at = now() - interval '40 s'")
    [run] = await stuck(readers)
    assert run.reason == "new_version art-1"


def test_another_tenant_s_backlog_does_not_make_a_role_late():
    seen = {role: {"seen_at": None, "silent": 1.0} for role in ROLES}
    assert list(standing_roles(seen, {"ingress": {"waiting": 3, "since": None, "age": None}})) == []
