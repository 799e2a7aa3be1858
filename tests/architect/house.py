"""A Domain that is served, people with tokens, and the Architect agent: in this process or in one of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from protobuf import Oneof
from psycopg.rows import dict_row

from ameide import config
from ameide.app import upkeep
from ameide.architect import speech
from ameide.architect.agent import Agent
from ameide.architect.door import Doorkeeper
from ameide.architect.server import Server
from ameide.architect.service import Architect
from ameide.architect.threads import Threads
from ameide.cli.principals import admissions
from ameide.contracts.subjects import command_hash
from ameide.errors import NotFound
from ameide.rpc.clients import Clients
from ameide.rpc.delegating import represented
from ameide.rpc.interceptors import Caller, Door
from ameide.rpc.listener import Listener
from ameide.rpc.probes import Probes
from ameide.storage.threads import Threads as Store
from ameide_core_proto.agent.transformation.v1.architect_service_connect import ArchitectServiceASGIApplication
from ameide_core_proto.agent.transformation.v1.architect_service_pb import (
    ConsentDecided,
    ConsentWanted,
    ConverseRequest,
    ConverseResponse,
    TurnEnded,
)
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.transformation.governance.v1.command_service_pb import (
    OpenChangeRequest,
    RegisterRepositoryRequest,
)
from ameide_core_proto.transformation.governance.v1.conversation_service_pb import DecideConsentRequest
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetArtifactRequest
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactStatus
from tests.architect.reading import NoEvidence, NoRepositories
from tests.conftest import SpineDatabase
from tests.faults.rig.processes import Child, Nursery, nursery
from tests.faults.served import PATIENCE_SECONDS, serving, until

NAMES = ("owner", "requester", "approver", "architect")
SCOPE = Scope(tenant_id="default")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def key() -> str:
    """A key of its own."""
    return uuid.uuid4().hex


@dataclass
class House:
    """The Domain at `address`, and who may speak to it."""

    database: SpineDatabase
    folder: Path
    address: str
    tokens: dict[str, str]
    nursery: Nursery
    clients: dict[str, Clients] = field(default_factory=dict[str, Clients])

    def sql(self, statement: str, *values: object) -> list[dict[str, Any]]:
        """Rows, as the superuser."""
        with psycopg.connect(self.database.address.conninfo, autocommit=True) as connection:
            cursor = connection.cursor(row_factory=dict_row)
            cursor.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def agent(self, **parts: Any) -> Agent:
        """The agent without a model, repositories or evidence, but for the `parts` given."""
        given: dict[str, Any] = {
            "repositories": NoRepositories(),
            "evidence": NoEvidence(),
            "speaking": speech.begin,
        }
        return Agent(**{**given, **parts})

    @asynccontextmanager
    async def architect(self, agent: Agent | None = None, shown: list[str] | None = None) -> AsyncGenerator[Talker]:
        """The agent served in this process; who talks is the requester. `shown` gets each token that it is shown."""
        async with AsyncExitStack() as stack:
            doorkeeper = Doorkeeper(self.address, [self.tokens["architect"]])
            threads: dict[str, Threads] = {}
            for tenant in await doorkeeper.tenants():
                store = Store(self.database.dsn("ameide_architect"), tenant)
                await store.open()
                stack.push_async_callback(store.close)
                threads[tenant] = Threads(store)
            probes = Probes()
            server = Server(probes)
            service = Architect(agent or self.agent(), doorkeeper, threads)

            async def authenticate(token: str) -> Caller:
                if shown is not None:
                    shown.append(token)
                return await doorkeeper.authenticate(token)

            server.open(ArchitectServiceASGIApplication(service, interceptors=(Door(authenticate),)))
            port = free_port()
            listener = Listener(server, "127.0.0.1", port, setting="")
            listener.bind()
            listening = asyncio.create_task(listener.run_until_closed())
            await listener.listening()
            probes.closed = ""
            talker = Talker(self, f"http://127.0.0.1:{port}")
            talker.threads = threads["default"]
            yield talker
            listener.close()
            await listening

    @asynccontextmanager
    async def architect_process(self, *, crash_at: str = "", **settings: str) -> AsyncGenerator[Process]:
        """`ameide serve architect`, ready; killed at a point, if one is named."""
        port = free_port()
        environment = {
            "PATH": os.environ["PATH"],
            "AMEIDE_STATE_DIR": str(self.folder / "state"),
            "AMEIDE_ADDRESS": self.address,
            "AMEIDE_ARCHITECT_TOKEN": self.tokens["architect"],
            "AMEIDE_ARCHITECT_LISTEN_PORT": str(port),
            "AMEIDE_DATABASE_URL_ARCHITECT": self.database.dsn("ameide_architect"),
            "AMEIDE_OBJECT_STORE": (self.folder / "objects").as_uri(),
            "AMEIDE_CRASH_AT": crash_at,
            **settings,
        }
        child = await self.nursery.start(f"architect-{key()[:8]}", ["serve", "architect"], environment)
        await child.until_ready(PATIENCE_SECONDS)
        assert child.alive, child.tail()
        yield Process(child, Talker(self, f"http://127.0.0.1:{port}"))
        child.send(signal.SIGTERM)
        await child.ended.wait()

    async def change(self, title: str = "Cancel an order") -> str:
        """A change of the requester."""
        answer = await self.clients["requester"].governance.open_change(
            OpenChangeRequest(scope=SCOPE, client_request_id=key(), repository_id="orders", title=title)
        )
        assert answer.change is not None
        return answer.change.change_id

    async def shows(self, artifact_id: str, number: int) -> None:
        """Wait until the views show a version of an artifact, submitted."""

        async def look() -> bool:
            request = GetArtifactRequest(scope=SCOPE, artifact_id=artifact_id)
            with suppress(NotFound):
                found = (await self.clients["requester"].queries.get_artifact(request)).artifact
                current = found.current if found else None
                return bool(current and (current.number, current.status) == (number, ArtifactStatus.PROPOSED))
            return False

        await until(look, f"the views show {artifact_id}@{number}")


@dataclass
class Said:
    """What a turn said."""

    events: list[ConverseResponse]

    def of(self, field: str) -> list[Any]:
        """The events of a kind."""
        return [event.event.value for event in self.events if event.event is not None and event.event.field == field]

    @property
    def text(self) -> str:
        """All text."""
        return "".join(self.of("text"))

    @property
    def notices(self) -> list[str]:
        """The kinds of the notices."""
        return [notice.kind.name for notice in self.of("notice")]

    @property
    def conversation_id(self) -> str:
        """Whose turn it was."""
        return self.of("began")[0].conversation_id

    @property
    def ended(self) -> TurnEnded:
        """How it ended; the last event."""
        assert [event.event.field for event in self.events if event.event][-1] == "ended"
        return self.of("ended")[-1]

    @property
    def wanted(self) -> ConsentWanted:
        """The consent that is waited for."""
        return self.of("consent_wanted")[-1]


@dataclass
class Talker:
    """Talks to the agent at an address."""

    house: House
    address: str
    threads: Threads = field(init=False)

    def request(self, instruction: tuple[str, Any], *, turn_id: str = "", **fields: Any) -> ConverseRequest:
        """A turn."""
        return ConverseRequest(
            turn_id=turn_id or key(),
            instruction=Oneof(*instruction),  # pyright: ignore[reportArgumentType]
            **fields,
        )

    async def send(self, request: ConverseRequest, who: str = "requester") -> Said:
        """What the turn said, to its end."""
        async with represented(self.address, self.house.address, self.house.tokens[who]) as clients:
            return Said([event async for event in clients.converse(request)])

    async def ask(self, text: str, who: str = "requester", **fields: Any) -> Said:
        """A turn in words."""
        return await self.send(self.request(("text", text), **fields), who)

    async def decide(self, said: Said, *, agree: bool = True, who: str = "requester") -> ConverseRequest:
        """The person's word at the Domain; the turn that goes on with it, not yet sent."""
        consent = said.wanted.consent
        assert consent is not None
        assert said.wanted.command is not None
        assert command_hash(said.wanted.command.value) == consent.subject_hash
        await self.house.clients[who].conversations.decide_consent(
            DecideConsentRequest(
                scope=SCOPE,
                client_request_id=key(),
                consent_id=consent.consent_id,
                agree=agree,
                subject_hash=consent.subject_hash,
            )
        )
        decided = ConsentDecided(consent_id=consent.consent_id)
        return self.request(("consent_decided", decided), conversation_id=said.conversation_id)


@dataclass
class Process:
    """The agent in a process of its own."""

    child: Child
    talker: Talker


@asynccontextmanager
async def built(database: SpineDatabase, folder: Path, names: Sequence[str] = NAMES) -> AsyncGenerator[House]:
    """A Domain with one repository."""
    port = free_port()
    settings = config.read(
        {"AMEIDE_STATE_DIR": str(folder / "state"), "AMEIDE_DATABASE_URL_APP": database.dsn("ameide_app")}
    )
    tokens = await upkeep.bootstrap(settings, admissions(names))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(
            serving(folder, database, "domain", "relay", "projector", AMEIDE_LISTEN_PORT=str(port))
        )
        forks = await stack.enter_async_context(nursery(folder))
        house = House(database, folder, f"http://127.0.0.1:{port}", tokens, forks)
        for name, token in tokens.items():
            house.clients[name] = await stack.enter_async_context(Clients(house.address, token))
        await house.clients["owner"].governance.register_repository(
            RegisterRepositoryRequest(
                scope=SCOPE,
                client_request_id=key(),
                name="orders",
                url=(folder / "orders.git").as_uri(),
                default_branch="main",
            )
        )
        yield house
