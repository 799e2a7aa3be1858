"""The server of the protocol: which tools a caller has, and one door for every call."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, PaginatedRequestParams

from ameide.architect.mcp import asking, proposing, reading
from ameide.architect.mcp.visit import Guest, Offer, Surroundings, Visit, failed
from ameide.architect.mcp.words import INSTRUCTIONS, version
from ameide.architect.tools.rendering import clipped, one_line
from ameide.errors import AmeideError
from ameide.logs import bound
from ameide.rpc import scopes
from ameide.rpc.clients import Clients
from ameide.secret_shapes import masked

# Calls of this process at a time; those of one principal leave the others room.
AT_ONCE, AT_ONCE_OF_ONE = 64, 8
_MOST = 2_000
log = logging.getLogger(__name__)


def offers() -> dict[str, Offer]:
    """All tools by name."""
    return {offer.tool.name: offer for offer in (*reading.offers(), asking.OFFER, *proposing.OFFERS)}


def server_of(around: Surroundings, guest_of: Callable[[ServerRequestContext[Any, Any]], Guest]) -> Server:
    """The server. `guest_of` tells who sent a request."""
    known = offers()
    running: Counter[tuple[str, str]] = Counter()

    async def list_tools(
        ctx: ServerRequestContext[Any, Any], _params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        guest = guest_of(ctx)
        return ListToolsResult(tools=[offer.tool for offer in known.values() if guest.may(offer)])

    async def call_tool(ctx: ServerRequestContext[Any, Any], params: CallToolRequestParams) -> CallToolResult:
        guest, offer = guest_of(ctx), known.get(params.name)
        if offer is None:
            return failed(f"there is no tool {one_line(clipped(params.name, 80))!r}. There are: {', '.join(known)}")
        caller = guest.caller
        whose, told = (caller.tenant_id, caller.principal_id), 0
        if running.total() >= AT_ONCE or running[whose] >= AT_ONCE_OF_ONE:
            return failed("too many calls are going on at once; try again when one of them has ended")

        async def tell(words: str) -> None:
            nonlocal told
            told += 1
            await ctx.session.report_progress(told, message=one_line(words))

        running[whose] += 1
        with bound(tenant_id=caller.tenant_id, principal_id=caller.principal_id, method=f"mcp {params.name}"):
            try:
                scopes.admit(caller.scopes, offer.scope, params.name)
                async with Clients(around.address, guest.token) as clients:
                    return await offer.run(Visit(guest, around, clients, tell), params.arguments or {})
            except AmeideError as error:
                return failed(clipped(masked(one_line(str(error))), _MOST))
            except TimeoutError:
                return failed(f"{params.name} took too long; try again, or ask for less")
            except Exception:
                log.exception("a tool failed")
                return failed(f"{params.name} failed by a fault of its own; the server's log has it")
            finally:
                running[whose] -= 1

    return Server(
        "ameide",
        title="ameide",
        version=version(),
        instructions=INSTRUCTIONS,
        get_tool_input_schema=lambda name: known[name].tool.input_schema if name in known else None,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
