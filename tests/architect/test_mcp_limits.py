"""How much of the server one caller may have at a time, and what becomes of a call that nobody waits for any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from mcp import Client, MCPError

from ameide.architect.mcp.server import AT_ONCE_OF_ONE, server_of
from ameide.architect.mcp.visit import Guest, Surroundings
from ameide.rpc.interceptors import Caller
from ameide_core_proto.agent.transformation.v1.architect_service_pb import ConverseRequest, ConverseResponse
from tests.architect.mcp_world import text_of
from tests.architect.reading import NoEvidence, NoRepositories


class Agent:
    """A fake of the Architect agent, which thinks until it is told to stop; `thinking` are the turns that go on."""

    def __init__(self) -> None:
        self.thinking = 0
        self.changed = asyncio.Condition()
        self.over = asyncio.Event()
        self.guest = "greedy"

    async def converse(self, _guest: Guest, _request: ConverseRequest) -> AsyncGenerator[ConverseResponse]:
        """Says nothing."""
        await self._count(1)
        try:
            await self.over.wait()
        finally:
            await self._count(-1)
        if not self.over.is_set():
            yield ConverseResponse()

    async def at_work(self, number: int) -> None:
        """Until so many turns go on."""
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(lambda: self.thinking == number)

    async def _count(self, more: int) -> None:
        async with self.changed:
            self.thinking += more
            self.changed.notify_all()

    def client(self) -> Client:
        """Of a server around it; `guest` is who calls."""
        around = Surroundings("http://127.0.0.1:9", NoRepositories(), NoEvidence(), self.converse)

        def guest_of(_ctx: object) -> Guest:
            return Guest(Caller("default", self.guest, "AGENT", frozenset({"viewer"})), "token")

        return Client(server_of(around, guest_of))


async def test_one_caller_leaves_the_others_room() -> None:
    agent = Agent()
    async with agent.client() as client:

        async def ask() -> str:
            return text_of(await client.call_tool("ask", {"question": "What is open?"}))

        many = [asyncio.create_task(ask()) for _ in range(AT_ONCE_OF_ONE)]
        await agent.at_work(AT_ONCE_OF_ONE)
        assert "too many calls" in await ask()
        agent.guest = "modest"
        other = asyncio.create_task(ask())
        await agent.at_work(AT_ONCE_OF_ONE + 1)
        agent.over.set()
        assert not [said for said in await asyncio.gather(*many, other) if "too many calls" in said]
        agent.guest = "greedy"
        assert "too many calls" not in await ask(), "those that have ended count no more"


async def test_a_turn_ends_when_nobody_waits_for_its_answer() -> None:
    agent = Agent()
    async with agent.client() as client:
        asked = asyncio.create_task(client.call_tool("ask", {"question": "What is open?"}))
        await agent.at_work(1)
        asked.cancel()
        with suppress(asyncio.CancelledError, MCPError):
            await asked
        await agent.at_work(0)
