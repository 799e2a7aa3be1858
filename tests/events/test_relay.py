"""The relay gives everything one place in one order, whoever commits late and whoever is killed."""

import asyncio
from collections import defaultdict

import pytest

from ameide.contracts import topics
from ameide.errors import Unreachable
from ameide.events.outbox import OutboxMessage, append
from ameide.events.relay import Relay
from ameide.events.wakeups import Wakeups
from ameide.storage.db import Database, Row
from tests.events.conftest import Pools
from tests.log.world import TENANT, message

AGGREGATES = 5
COMMITS = 30


async def _append(db: Database, *messages: OutboxMessage) -> None:
    async with db.transaction(TENANT) as tx:
        append(tx, messages)


async def _log(db: Database) -> list[Row]:
    async with db.transaction(None) as tx:
        return await tx.fetch_all("SELECT * FROM ameide.log ORDER BY position")


async def _drain(relay: Relay) -> None:
    while await relay.move():
        pass


async def _write(db: Database, writer: int, versions: dict[str, int]) -> None:
    for turn in range(COMMITS):
        aggregate = f"w{(writer + turn) % AGGREGATES}"
        async with db.transaction(TENANT) as tx:
            # The aggregate's lock, as a command takes it on the aggregate's row.
            await tx.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (aggregate,))
            version = versions[aggregate] + 1
            append(tx, [message(aggregate, version)])
            # The id is taken; the commit comes late, after ids taken later by other aggregates have committed.
            await tx.execute("SELECT pg_sleep(0.004 * random())")
            versions[aggregate] = version


async def test_concurrent_writers_and_two_relays_lose_and_invert_nothing(pools: Pools):
    app, relay_db, admin = await pools.role("ameide_app"), await pools.role("ameide_relay"), await pools.admin()
    versions: dict[str, int] = defaultdict(int)
    relays = [Relay(relay_db, Wakeups(), batch=7) for _ in range(2)]
    writing = asyncio.gather(*(_write(app, writer, versions) for writer in range(8)))
    while not writing.done():
        await asyncio.gather(*(relay.move() for relay in relays))
    await writing
    await _drain(relays[0])
    log = await _log(admin)
    assert [row["position"] for row in log] == list(range(1, 8 * COMMITS + 1))
    assert len({row["message_id"] for row in log}) == 8 * COMMITS
    for aggregate in versions:
        seen = [row["aggregate_version"] for row in log if row["aggregate_id"] == aggregate]
        assert seen == list(range(1, versions[aggregate] + 1)), aggregate


async def test_a_command_s_messages_keep_their_order(pools: Pools):
    app, relay_db, admin = await pools.role("ameide_app"), await pools.role("ameide_relay"), await pools.admin()
    sent = [message(f"w{number}", 1, intent=number % 2 == 1) for number in range(20)]
    await _append(app, *sent)
    assert await Relay(relay_db, Wakeups()).move() == 20
    assert [row["message_id"] for row in await _log(admin)] == [message.message_id for message in sent]


async def _until_blocked(admin: Database) -> int:
    async with asyncio.timeout(20):
        while True:
            async with admin.transaction(None) as tx:
                row = await tx.fetch_one(
                    "SELECT pid FROM pg_stat_activity WHERE usename = 'ameide_relay' AND wait_event_type = 'Lock' "
                    "AND datname = current_database()"
                )
            if row:
                return int(row["pid"])


async def test_a_relay_killed_in_its_transaction_leaves_everything_to_the_next(pools: Pools):
    app, relay_db, admin = await pools.role("ameide_app"), await pools.role("ameide_relay"), await pools.admin()
    await _append(app, message("w1", 1), message("w1", 1, intent=True))
    await _drain(Relay(relay_db, Wakeups()))
    await _append(app, message("w2", 1), message("w1", 2), message("w1", 2, intent=True))
    async with admin.transaction(None) as holding:
        # Locking the invitation stops the relay behind the log and before the head.
        await holding.execute("SELECT FROM ameide.queue_item WHERE work_request_id = 'w1' FOR UPDATE")
        moving = asyncio.create_task(Relay(relay_db, Wakeups()).move())
        pid = await _until_blocked(admin)
        # Meanwhile the head is fenced: nobody else moves.
        assert await Relay(relay_db, Wakeups()).move() == 0
        async with admin.transaction(None) as tx:
            await tx.execute("SELECT pg_terminate_backend(%s)", (pid,))
        with pytest.raises(Unreachable):
            await moving
        assert len(await _log(admin)) == 2
    await _drain(Relay(relay_db, Wakeups()))
    log = await _log(admin)
    assert [row["position"] for row in log] == [1, 2, 3, 4, 5]
    assert [(row["aggregate_id"], row["aggregate_version"]) for row in log[2:]] == [("w2", 1), ("w1", 2), ("w1", 2)]


async def test_intents_become_one_row_per_work_unless_their_queue_is_elsewhere(pools: Pools):
    app, relay_db, admin = await pools.role("ameide_app"), await pools.role("ameide_relay"), await pools.admin()
    relay = Relay(relay_db, Wakeups(), elsewhere=[topics.QUEUE_CODER])
    await _append(app, message("w1", 1, intent=True), message("w1", 2, intent=True))
    await _append(app, message("w2", 1, intent=True, queue=topics.QUEUE_CODER))
    await _drain(relay)
    await _append(app, message("w1", 1, intent=True))
    await _drain(relay)
    async with admin.transaction(None) as tx:
        rows = await tx.fetch_all("SELECT queue, work_request_id, dispatch, position FROM ameide.queue_item")
    assert [dict(row) for row in rows] == [
        {"queue": topics.QUEUE_VERIFY, "work_request_id": "w1", "dispatch": 2, "position": 2}
    ]
    assert len(await _log(admin)) == 4


async def test_what_does_not_commit_is_never_sequenced(pools: Pools):
    app, relay_db, admin = await pools.role("ameide_app"), await pools.role("ameide_relay"), await pools.admin()
    await _append(app, message("w1", 1))
    with pytest.raises(ZeroDivisionError):
        await _append_and_fail(app)
    await _append(app, message("w1", 2))
    await _drain(Relay(relay_db, Wakeups()))
    assert [(row["position"], row["aggregate_version"]) for row in await _log(admin)] == [(1, 1), (2, 2)]


async def _append_and_fail(db: Database) -> None:
    async with db.transaction(TENANT) as tx:
        append(tx, [message("w9", 1)])
        raise ZeroDivisionError


async def test_the_relay_runs_until_told_to_stop(pools: Pools):
    app, relay_db, admin = await pools.role("ameide_app"), await pools.role("ameide_relay"), await pools.admin()
    wakeups = Wakeups()
    running = asyncio.create_task(Relay(relay_db, wakeups).run())
    with wakeups.bell("log") as bell:
        await _append(app, message("w1", 1))
        wakeups.ring("outbox")
        assert await bell.wait(20)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(await _log(admin)) == 1
