"""The MCP door of a real agent without a model, and other agents with tokens of their own."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

from ameide_core_proto.transformation.governance.v1.access_service_pb import AdmitPrincipalRequest, IssueTokenRequest
from ameide_core_proto.transformation.governance.v1.governance_pb import PrincipalKind
from tests.architect.house import SCOPE, House, free_port, key

PAGE = "https://ide.example.com"


class McpWorld:
    """`house` is the Domain; `url` is where the agent's process speaks MCP, `admin` where it is probed."""

    def __init__(self, house: House, url: str, admin: str) -> None:
        self.house, self.url, self.admin = house, url, admin

    async def token(self, principal_id: str, *roles: str, scopes: tuple[str, ...] = ()) -> str:
        """A token of another agent."""
        access = self.house.clients["owner"].access
        await access.admit_principal(
            AdmitPrincipalRequest(
                scope=SCOPE,
                client_request_id=key(),
                principal_id=principal_id,
                kind=PrincipalKind.AGENT,
                roles=list(roles or ("viewer", "requester")),
            )
        )
        issued = await access.issue_token(
            IssueTokenRequest(scope=SCOPE, principal_id=principal_id, scopes=list(scopes))
        )
        return issued.secret

    def aggregates(self, kind: str) -> list[str]:
        """The ids of all of a kind that the Domain has."""
        rows = self.house.sql("SELECT id FROM ameide.aggregate WHERE kind = %s ORDER BY id", kind)
        return [row["id"] for row in rows]

    @asynccontextmanager
    async def client(self, bearer: str, **options: Any) -> AsyncGenerator[Client]:
        """The official SDK's client over HTTP."""
        headers = {"authorization": f"Bearer {bearer}"}
        async with (
            httpx2.AsyncClient(headers=headers, trust_env=False, timeout=30) as http,
            Client(streamable_http_client(self.url, http_client=http), **options) as client,
        ):
            yield client

    async def send(self, method: str, body: object, bearer: str = "", **headers: str) -> httpx2.Response:
        """One request as it goes over the wire."""
        sent = {"accept": "application/json, text/event-stream", **headers}
        if bearer:
            sent["authorization"] = f"Bearer {bearer}"
        async with httpx2.AsyncClient(trust_env=False, timeout=30) as http:
            return await http.request(method, self.url, json=body, headers=sent)

    async def post(self, body: object, bearer: str = "", **headers: str) -> httpx2.Response:
        """The usual one."""
        return await self.send("POST", body, bearer, **headers)


def text_of(result: CallToolResult) -> str:
    """What a model reads."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


@asynccontextmanager
async def opened(house: House) -> AsyncGenerator[McpWorld]:
    """The agent of a house, in a process of its own."""
    port = str(free_port())
    async with house.architect_process(AMEIDE_ARCHITECT_ORIGINS=PAGE, AMEIDE_ADMIN_PORT=port) as process:
        yield McpWorld(house, f"{process.talker.address}/mcp", f"http://127.0.0.1:{port}")
