"""The one order of the log: with a commit that comes late, and with a relay that stops in the middle of its work."""

from __future__ import annotations

import asyncio
import signal

import psutil
import psycopg

from ameide.domain.commands import changes
from ameide.domain.service import Service
from ameide_core_proto.transformation.governance.v1 import command_service_pb as governance
from tests.domain_work.world import OPERATOR, key
from tests.faults.held import Held
from tests.faults.judging import consult
from tests.faults.scene import Scene
from tests.faults.served import serving, until

RELAY = "SELECT pid FROM pg_stat_activity WHERE usename = 'ameide_relay' AND datname = current_database()"


async def test_what_commits_late_is_sequenced_late_and_holds_nothing_up(scene: Scene) -> None:
    held = Held(scene.world.spine.dsn("ameide_app"))
    await held.open()
    command = governance.OpenChangeRequest(client_request_id=key(), repository_id="orders", title="late")
    opening = asyncio.create_task(
        Service(held, lambda: None).execute(
            OPERATOR, "OpenChange", command, governance.OpenChangeResponse, changes.open_change
        )
    )
    await held.reached.wait()
    await scene.work()
    await scene.rest()
    passed = scene.head()
    held.let_go.set()
    change = (await opening).change
    await held.close()
    assert change is not None
    await scene.rest()
    [row] = scene.world.sql("SELECT position FROM ameide.log WHERE aggregate_id = %s", change.change_id)
    assert row["position"] == passed + 1
    scene.acknowledge("change", change.change_id, command.client_request_id)
    assert consult(scene.folder) == (0, "lost 0, doubled 0, unquiet 0\n")


async def test_a_relay_that_stops_in_its_transaction_loses_the_head(scene: Scene) -> None:
    world, database = scene.world, scene.world.spine
    work = await scene.request()
    with psycopg.connect(database.address.conninfo) as holder:
        # The relay waits for this row, with messages moved and the head locked.
        holder.execute(
            "INSERT INTO ameide.queue_item (queue, tenant_id, work_request_id, dispatch, position)"
            " VALUES ('held', 'default', %s, 1, 0)",
            [work.work_request_id],
        )
        async with serving(scene.folder, database, "relay") as served:

            async def blocked() -> bool:
                return bool(world.sql(f"{RELAY} AND wait_event_type = 'Lock'"))

            await until(blocked, "the relay to be in the middle")
            served.process.send_signal(signal.SIGSTOP)
            holder.rollback()

            async def moved() -> bool:
                return await world.relay.move() > 0

            await until(moved, "another relay to get the head")
            assert psutil.Process(served.process.pid).status() == psutil.STATUS_STOPPED
            served.process.send_signal(signal.SIGCONT)
            claimed = await world.run(work)
            scene.act(claimed)
            await world.succeed(claimed)

            async def sequenced() -> bool:
                return world.sql("SELECT 1 AS n FROM ameide.outbox") == []

            await until(sequenced, "the woken relay to work on")
    await scene.rest()
    assert consult(scene.folder) == (0, "lost 0, doubled 0, unquiet 0\n")
