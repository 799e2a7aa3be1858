"""A Domain, a relay and a projector on a database of their own, and the folder in which the oracle looks for them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from ameide.storage.db import Database
from ameide.views.projector import Projector
from ameide_core_proto.transformation.work.v1 import command_service_pb as pb
from ameide_core_proto.transformation.work.v1.work_pb import WorkRequest
from tests.conftest import SpineDatabase
from tests.domain_work.world import Claimed, World, verify
from tests.faults.oracle.folder import Acknowledged, Effect, Rig


class Scene:
    """Plays client and executor, and journals what they must: `folder` is a run's folder."""

    def __init__(self, world: World, projector: Projector, folder: Path) -> None:
        self.world = world
        self.projector = projector
        self.folder = folder
        self._write("rig.json", json.dumps(asdict(Rig(world.spine.address.conninfo))))

    async def request(self, command: pb.RequestWorkRequest | None = None) -> WorkRequest:
        """Request a work, with a new key unless the command is given, and journal the answer."""
        command = command or verify()
        work = await self.world.requested(command)
        self.acknowledge("work", work.work_request_id, command.client_request_id)
        return work

    def acknowledge(self, kind: str, id: str, client_request_id: str) -> None:
        """Journal an answer."""
        said = Acknowledged(kind, id, client_request_id, "default")
        self._write("acknowledged.jsonl", json.dumps(asdict(said)) + "\n")

    def act(self, claimed: Claimed) -> None:
        """Journal a side effect, and have none."""
        effect = Effect(claimed.work.work_request_id, claimed.attempt)
        self._write("effects.jsonl", json.dumps({**asdict(effect), "pid": 1}) + "\n")

    async def work(self, command: pb.RequestWorkRequest | None = None) -> WorkRequest:
        """Request a work and execute it."""
        claimed = await self.world.run(await self.request(command))
        self.act(claimed)
        await self.world.succeed(claimed)
        return claimed.work

    async def rest(self) -> None:
        """Everything is sequenced and projected. Nobody signals here, so ingress is taken to have done so."""
        await self.world.relayed()
        while await self.projector.step():
            pass
        self.world.sql("UPDATE ameide.cursor SET position = (SELECT position FROM ameide.log_head)")

    def _write(self, name: str, text: str) -> None:
        with (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(text)


@asynccontextmanager
async def opened(database: SpineDatabase, folder: Path) -> AsyncGenerator[Scene]:
    """A scene on which nothing has happened but the registration of a repository."""
    async with AsyncExitStack() as stack:

        async def role(name: str) -> Database:
            pool = Database(database.dsn(name), max_size=6)
            await pool.open()
            stack.push_async_callback(pool.close)
            return pool

        world = World(database, await role("ameide_app"), await role("ameide_relay"), await role("ameide_sweeper"))
        projector = Projector(await role("ameide_projector"), world.wakeups)
        await world.register()
        yield Scene(world, projector, folder)
