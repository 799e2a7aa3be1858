"""A Domain, its projector and its query services behind the real door, for one test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn

from ameide.domain.commands import process_facts
from ameide.domain.server import Server
from ameide.domain.unit import Unit
from ameide.errors import Unauthenticated
from ameide.events.archived import ArchivedLog
from ameide.infra.object_store import ObjectStore
from ameide.rpc.clients import Clients
from ameide.rpc.interceptors import Caller, Door
from ameide.rpc.probes import Probes
from ameide.storage.db import Database
from ameide.views.projector import Projector
from ameide.views.server import GovernanceQueries, WorkQueries
from ameide_core_proto.process.transformation.v1 import process_fact_service_pb as process_pb
from ameide_core_proto.process.transformation.v1.facts_pb import TransformationProcessFact
from ameide_core_proto.transformation.governance.v1.governance_pb import Run
from ameide_core_proto.transformation.governance.v1.query_service_connect import GovernanceQueryServiceASGIApplication
from ameide_core_proto.transformation.work.v1.query_service_connect import WorkQueryServiceASGIApplication
from tests.conftest import SpineDatabase
from tests.domain_work.world import PROCESS, World


class Readers:
    """`world` writes, `projector` projects, `reader` reads over the wire; `objects` holds what was archived."""

    def __init__(
        self, spine: SpineDatabase, world: World, projector: Projector, objects: ObjectStore, address: str
    ) -> None:
        self.spine = spine
        self.world = world
        self.projector = projector
        self.objects = objects
        self._address = address
        self._stack = AsyncExitStack()

    async def reader(self, tenant: str = "default", role: str = "viewer") -> Clients:
        """A client of the query services, as a principal with one role."""
        return await self._stack.enter_async_context(Clients(self._address, f"{tenant}:reader:{role}"))

    async def caught_up(self) -> int:
        """Everything committed is in the log and in the views; returns the log's position."""
        await self.world.relayed()
        while await self.projector.step():
            pass
        return self.head()

    def head(self) -> int:
        """The position of the log."""
        position = self.world.sql("SELECT position FROM ameide.log_head")[0]["position"]
        assert isinstance(position, int)
        return position

    async def say(self, run: Run, *facts: TransformationProcessFact) -> None:
        """The process records facts of its course."""

        async def handler(unit: Unit) -> process_pb.RecordProcessFactsResponse:
            command = process_pb.RecordProcessFactsRequest(
                process_instance_id=run.process_instance_id, facts=list(facts)
            )
            return await process_facts.record(unit, command)

        await self.world.service.perform(PROCESS, "RecordProcessFacts", None, handler)

    async def close(self) -> None:
        """Close the clients."""
        await self._stack.aclose()


async def authenticate(token: str) -> Caller:
    """A token of these tests says who it is: tenant:principal:role."""
    parts = token.split(":")
    if len(parts) != 3:
        raise Unauthenticated("the token is not valid", remedy="Write tenant:principal:role")
    return Caller(parts[0], parts[1], "PERSON", frozenset({parts[2]}))


@asynccontextmanager
async def opened(spine: SpineDatabase) -> AsyncGenerator[Readers]:
    """All of it on a database of its own, the query services listening on a free port."""
    async with AsyncExitStack() as stack:

        async def role(name: str) -> Database:
            pool = Database(spine.dsn(name), max_size=6)
            await pool.open()
            stack.push_async_callback(pool.close)
            return pool

        app = await role("ameide_app")
        world = World(spine, app, await role("ameide_relay"), await role("ameide_sweeper"))
        projector = Projector(await role("ameide_projector"), world.wakeups)
        objects = ObjectStore(Path(stack.enter_context(TemporaryDirectory())).as_uri())
        address = await stack.enter_async_context(_served(app, world, objects))
        readers = Readers(spine, world, projector, objects, address)
        stack.push_async_callback(readers.close)
        yield readers


@asynccontextmanager
async def _served(app: Database, world: World, objects: ObjectStore) -> AsyncGenerator[str]:
    door = (Door(authenticate),)
    services = [
        GovernanceQueryServiceASGIApplication(
            GovernanceQueries(app, world.wakeups, ArchivedLog(app, objects)), interceptors=door
        ),
        WorkQueryServiceASGIApplication(WorkQueries(app, world.wakeups), interceptors=door),
    ]
    server = uvicorn.Server(
        uvicorn.Config(Server(services, Probes()), port=0, log_config=None, timeout_graceful_shutdown=1)
    )
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.wait([serving], timeout=0.01)
    port: int = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await serving
