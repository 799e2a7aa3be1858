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
        self.describe()

    def describe(self, temporal_address: str = "", temporal_namespace: str = "") -> None:
        """Say where the oracle finds everything; without Temporal it reads no histories."""
        rig = Rig(self.world.spine.address.conninfo, temporal_address, temporal_namespace)
        (self.folder / "rig.json").write_text(json.dumps(asdict(rig)), encoding="utf-8")

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

    async def sequence(self) -> None:
        """Everything gets its place in the log. Nobody signals here, so ingress is taken to have done so."""
        await self.world.relayed()
        self.world.sql(
            "UPDATE ameide.cursor SET position = (SELECT position FROM ameide.log_head) WHERE name = 'ingress'"
        )

    async def rest(self) -> None:
        """Everything is sequenced and projected."""
        await self.sequence()
        while await self.projector.step():
            pass

    def position(self, consumer: str) -> int:
        """How far a consumer has come."""
        [row] = self.world.sql("SELECT position FROM ameide.cursor WHERE name = %s", consumer)
        return int(str(row["position"]))

    def head(self) -> int:
        """How far the log goes."""
        [row] = self.world.sql("SELECT position FROM ameide.log_head")
        return int(str(row["position"]))

    def _write(self, name: str, text: str) -> None:
        with (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(text)


@asynccontextmanager
async def opened(database: SpineDatabase, folder: Path, domain: str = "") -> AsyncGenerator[Scene]:
    """A scene on which nothing has happened but the registration of a repository.

    `domain` is the connection string of the Domain, when it is not the database's own.
    """
    async with AsyncExitStack() as stack:

        async def role(name: str, dsn: str = "") -> Database:
            pool = Database(dsn or database.dsn(name), max_size=6)
            await pool.open()
            stack.push_async_callback(pool.close)
            return pool

        world = World(
            database, await role("ameide_app", domain), await role("ameide_relay"), await role("ameide_sweeper")
        )
        projector = Projector(await role("ameide_projector"), world.wakeups)
        await world.register()
        yield Scene(world, projector, folder)
