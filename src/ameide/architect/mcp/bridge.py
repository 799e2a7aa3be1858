"""The protocol over standard input and output: each request goes on to the agent's door.

Repositories and evidence are within the agent's reach and not in that of whoever asks, so nothing is read here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
from mcp_types import (
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
)
from mcp_types.version import LATEST_MODERN_VERSION

from ameide.architect.mcp.words import INSTRUCTIONS, version
from ameide.errors import AmeideError
from ameide.rpc.clients import is_here

R = TypeVar("R")
_CONNECT_SECONDS, _SILENT_SECONDS = 10.0, 300.0
PATH = "/mcp"


async def serve(address: str, bearer: Callable[[], Awaitable[str]]) -> None:
    """Serve until standard input ends. `address` is the Architect agent's. Nothing but the protocol goes to output.

    `bearer` gives the token of each request; it may raise the errors of `ameide.errors`.
    """
    server = _server(f"{address.rstrip('/')}{PATH}", bearer)
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


def _server(url: str, bearer: Callable[[], Awaitable[str]]) -> Server:
    async def ask_agent(ask: Callable[[Client], Awaitable[R]]) -> R:
        """One exchange with the door, which keeps nothing between two: an agent that was started again goes on.

        Raises MCPError: what the door said, or that it does not answer.
        """
        refused: MCPError | None = None
        try:
            token = await bearer()
        except AmeideError as error:
            raise MCPError(INTERNAL_ERROR, str(error)) from error
        try:
            async with httpx2.AsyncClient(
                headers={"authorization": f"Bearer {token}"},
                timeout=httpx2.Timeout(_SILENT_SECONDS, connect=_CONNECT_SECONDS),
                trust_env=not is_here(url),
            ) as http:
                transport = streamable_http_client(url, http_client=http, terminate_on_close=False)
                # A version without a handshake, so that one request is one exchange.
                async with Client(transport, mode=LATEST_MODERN_VERSION, cache=None) as client:
                    try:
                        return await ask(client)
                    except MCPError as error:
                        # Raised in here it would come out as a group.
                        refused = error
        except (httpx2.HTTPError, OSError, ExceptionGroup) as error:
            raise MCPError(INTERNAL_ERROR, _unreachable(url)) from error
        raise refused

    async def list_tools(
        _ctx: ServerRequestContext[Any, Any], params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return await ask_agent(lambda client: client.list_tools(cursor=params.cursor if params else None))

    async def call_tool(ctx: ServerRequestContext[Any, Any], params: CallToolRequestParams) -> CallToolResult:
        try:
            return await ask_agent(
                lambda client: client.call_tool(
                    params.name, params.arguments, progress_callback=ctx.session.report_progress
                )
            )
        except MCPError as error:
            # As an answer, so that the model reads what it lacks.
            text = _unreachable(url) if error.error.code == CONNECTION_CLOSED else error.error.message
            return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)

    return Server(
        "ameide",
        title="ameide",
        version=version(),
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _unreachable(url: str) -> str:
    return f"the Architect agent does not answer at {url}. Start it with `ameide up`, or set AMEIDE_ARCHITECT_ADDRESS"
