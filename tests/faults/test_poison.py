"""A fact that no workflow can take, unreadable or too large: its run waits aside in order, the others go on."""

from __future__ import annotations

import pytest

from ameide.engine.engine import Running
from ameide.events.parking import redrive
from ameide.process.temporal import connect
from ameide.storage.db import Database
from ameide_core_proto.transformation.governance.v1.governance_pb import Run
from tests.conftest import SpineDatabase
from tests.faults.oracle.histories import heard
from tests.faults.scene import Scene
from tests.faults.served import serving, until
from tests.faults.whole import cancel, everything

# A field that nobody knows (1999, with this length): more than Temporal's server accepts as one call.
TOO_LARGE = 5 * 1024 * 1024
FIELD = bytes([0xFA, 0x7C]) + bytes([0x80, 0x80, 0xC0, 0x02]) + bytes(TOO_LARGE)


@pytest.mark.parametrize("poison", [b"\xff\xff\xff", FIELD], ids=["unreadable", "too large"])
async def test_its_run_is_parked_and_can_be_redriven(scene: Scene, engine: Running, poison: bytes) -> None:
    world = scene.world
    roles = ("domain", "relay", "ingress", "projector")
    poisoned = await world.start_run(await world.open_change())
    sound = await world.start_run(await world.open_change())
    [row] = world.sql(
        "SELECT id, payload FROM ameide.outbox WHERE process_instance_id = %s AND kind = 'fact' ORDER BY id LIMIT 1",
        poisoned.process_instance_id,
    )
    message, original = row["id"], row["payload"]
    world.sql("UPDATE ameide.outbox SET payload = payload || %s WHERE id = %s", poison, message)
    await cancel(world, poisoned)
    async with serving(scene.folder, world.spine, *roles, **await everything(world, engine)):

        async def read() -> bool:
            return scene.position("ingress") == scene.head() > 0 and world.sql("SELECT 1 AS n FROM ameide.outbox") == []

        await until(read, "ingress to read all of the log")
        parked = world.sql(
            "SELECT position, key, error FROM ameide.parked WHERE consumer = 'ingress' ORDER BY position"
        )
        assert {row["key"] for row in parked} == {f"default:{poisoned.process_instance_id}"}
        assert len(parked) > 1
        assert all("waits behind" in str(row["error"]) for row in parked[1:])
        assert len(await _heard(engine, sound)) > 0

        # Somebody corrects what made it.
        world.sql("UPDATE ameide.parked SET payload = %s WHERE position = %s", original, parked[0]["position"])
        for row in world.sql("SELECT DISTINCT consumer, key FROM ameide.parked"):
            await _redrive(world.spine, str(row["consumer"]), str(row["key"]))

        async def served() -> bool:
            return world.sql("SELECT 1 AS n FROM ameide.parked") == []

        await until(served, "what was parked to be delivered")
        stated = world.sql(
            "SELECT message_id FROM ameide.log WHERE kind = 'fact' AND process_instance_id = %s ORDER BY position",
            poisoned.process_instance_id,
        )
        assert await _heard(engine, poisoned) == [str(row["message_id"]) for row in stated]


async def _heard(engine: Running, run: Run) -> list[str]:
    client = await connect(engine.temporal_address, engine.namespace)
    found = await heard(client, run.process_instance_id)
    return found.message_ids if found else []


async def _redrive(database: SpineDatabase, consumer: str, key: str) -> None:
    ingress = Database(database.dsn("ameide_ingress"), max_size=1)
    await ingress.open()
    await redrive(ingress, consumer, key)
    await ingress.close()
