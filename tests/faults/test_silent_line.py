"""A notification line that dies without a word: work is picked up by polling, and the line is taken up again."""

from __future__ import annotations

import asyncio

import pytest

from ameide.events import wakeups as module
from ameide.events.relay import Relay
from ameide.events.wakeups import Wakeups
from ameide.storage import listen
from ameide.storage.db import Database
from tests.conftest import SpineDatabase
from tests.faults.proxy import wire
from tests.faults.scene import Scene
from tests.faults.served import until


async def test_what_nobody_rings_for_is_picked_up_by_the_next_poll(
    scene: Scene, database: SpineDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("PROBE_SECONDS", 1.0), ("RECONNECT_SECONDS", 0.1)):
        monkeypatch.setattr(module, name, seconds)
    monkeypatch.setattr(listen, "ANSWER_SECONDS", 1.0)
    await scene.rest()
    wakeups, pool = Wakeups(), Database(database.dsn("ameide_relay"), max_size=2)
    await pool.open()
    async with wire(database) as line:
        with wakeups.bell("view") as bell:
            connected = asyncio.create_task(wakeups.connect(line.dsn("ameide_app")))
            assert await bell.wait(20)
        relaying = asyncio.create_task(Relay(pool, wakeups).run())
        line.dead = True
        await scene.request()

        async def moved() -> bool:
            return scene.world.sql("SELECT 1 AS n FROM ameide.outbox") == []

        await until(moved, "the relay's poll")

        async def swallowed() -> bool:
            return line.swallowed > 0

        await until(swallowed, "the line to be used")
        with wakeups.bell("view") as bell:
            line.dead = False
            # The dead line was noticed: a new one rings for everything.
            assert await bell.wait(30)
        for task in (relaying, connected):
            task.cancel()
        await asyncio.wait([relaying, connected])
    await pool.close()
