"""A Domain with real tokens, and the MCP door of an agent whose turns are scripted."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import uvicorn
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent
from protobuf import Oneof

from ameide.architect.mcp.door import PATH, McpDoor
from ameide.architect.mcp.guests import Guests
from ameide.architect.mcp.visit import Surroundings
from ameide.rpc.asgi import Receive, Scope, Send
from ameide.rpc.clients import Clients
from ameide.storage.db import Database
from ameide.views.projector import Projector
from ameide_core_proto.agent.transformation.v1 import architect_service_pb as pb
from ameide_core_proto.common.v1.reading_pb import Citation, CitationKind
from ameide_core_proto.transformation.governance.v1.access_service_pb import WhoAmIRequest
from tests.architect.reading import NoEvidence, NoRepositories
from tests.conftest import SpineDatabase
from tests.domain.doors import AGENT, served, token
from tests.domain_work.world import World

PAGE = "https://ide.example.com"


@dataclass
class ScriptedAgent:
    """A fake of the Architect agent: it knows who asks, reads one record and cites it."""

    address: str
    asked: list[tuple[str, pb.ConverseRequest]] = field(default_factory=list[tuple[str, pb.ConverseRequest]])

    async def converse(self, bearer: str, request: pb.ConverseRequest) -> AsyncGenerator[pb.ConverseResponse]:
        """One turn."""
        async with Clients(self.address, bearer) as clients:
            who = await clients.access.who_am_i(WhoAmIRequest())
        assert who.principal is not None
        self.asked.append((who.principal.principal_id, request))
        cited = pb.CitedRecord(
            number=1,
            citation=Citation(kind=CitationKind.DOMAIN_FACT, ref="msg-1", log_position=7),
            label="change chg-1 'Cancel orders'",
        )
        began = pb.TurnBegan(conversation_id="cnv-1", turn_id=request.turn_id)
        yield pb.ConverseResponse(event=Oneof("began", began))
        told = pb.Notice(kind=pb.NoticeKind.NO_MODEL, text="no model is configured")
        yield pb.ConverseResponse(event=Oneof("notice", told))
        used = pb.ToolUsed(name="list_changes", asked="list_changes", found=1)
        yield pb.ConverseResponse(event=Oneof("tool_used", used))
        yield pb.ConverseResponse(event=Oneof("cited", cited))
        yield pb.ConverseResponse(event=Oneof("text", "One change is open [1]."))
        yield pb.ConverseResponse(event=Oneof("ended", pb.TurnEnded(read_position=9, not_found=["a release"])))


class McpWorld:
    """`world` is the Domain behind `domain`; `url` is where MCP is spoken."""

    def __init__(self, world: World, projector: Projector, domain: str, url: str, agent: ScriptedAgent) -> None:
        self.world, self._projector, self.domain, self.url, self.agent = world, projector, domain, url, agent

    async def token(self, principal_id: str, *roles: str, scopes: tuple[str, ...] = ()) -> str:
        """A token of another agent."""
        return await token(self.world, principal_id, AGENT, *(roles or ("viewer", "requester")), scopes=scopes)

    async def caught_up(self) -> None:
        """What was written can be read."""
        await self.world.relayed()
        while await self._projector.step():
            pass

    @asynccontextmanager
    async def client(self, bearer: str, **options: Any) -> AsyncGenerator[Client]:
        """The official SDK's client over HTTP."""
        headers = {"authorization": f"Bearer {bearer}"}
        async with (
            httpx2.AsyncClient(headers=headers, trust_env=False, timeout=30) as http,
            Client(streamable_http_client(self.url, http_client=http), **options) as client,
        ):
            yield client

    async def post(self, body: object, bearer: str = "", **headers: str) -> httpx2.Response:
        """One request as it goes over the wire."""
        sent = {"accept": "application/json, text/event-stream", **headers}
        if bearer:
            sent["authorization"] = f"Bearer {bearer}"
        async with httpx2.AsyncClient(trust_env=False, timeout=30) as http:
            return await http.post(self.url, json=body, headers=sent)


def text_of(result: CallToolResult) -> str:
    """What a model reads."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


@asynccontextmanager
async def opened(spine: SpineDatabase) -> AsyncGenerator[McpWorld]:
    """All of it on a database of its own, with one repository, `orders`."""
    async with AsyncExitStack() as stack:

        async def role(name: str) -> Database:
            pool = Database(spine.dsn(name), max_size=6)
            await pool.open()
            stack.push_async_callback(pool.close)
            return pool

        app = await role("ameide_app")
        world = World(spine, app, await role("ameide_relay"), await role("ameide_sweeper"))
        projector = Projector(await role("ameide_projector"), world.wakeups)
        await world.register()
        domain = await stack.enter_async_context(served(world))
        agent = ScriptedAgent(domain)
        around = Surroundings(domain, NoRepositories(), NoEvidence(), agent.converse)
        door = await stack.enter_async_context(McpDoor.opened(around, Guests(domain).authenticate, [PAGE]))
        address = await stack.enter_async_context(_listening(door))
        yield McpWorld(world, projector, domain, f"{address}{PATH}", agent)


@asynccontextmanager
async def _listening(door: Callable[[Scope, Receive, Send], Awaitable[None]]) -> AsyncGenerator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(door, log_config=None, lifespan="off", timeout_graceful_shutdown=1)  # pyright: ignore[reportArgumentType] -- uvicorn's own ASGI types
        program = uvicorn.Server(config)
        serving = asyncio.create_task(program.serve(sockets=[listening]))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        program.should_exit = True
        await serving
