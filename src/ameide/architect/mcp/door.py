"""`/mcp`: the streamable HTTP transport behind the agent's door.

Nothing is kept between two requests, so each shows its token, and a revoked one is refused at once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self, cast

from mcp.server.context import ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import INVALID_REQUEST
from starlette.requests import Request

from ameide.architect.mcp.server import offers, server_of
from ameide.architect.mcp.visit import Guest, Surroundings
from ameide.errors import AmeideError, InvalidArgument, PermissionDenied, Unauthenticated, Unreachable
from ameide.rpc import scopes
from ameide.rpc.asgi import Receive, Scope, Send
from ameide.rpc.interceptors import Authenticate, token_of

PATH = "/mcp"
MOST_BYTES = 1 << 20
_BODY_SECONDS = 30.0
_GUEST = "ameide.guest"
_STATUS: dict[type[AmeideError], int] = {
    InvalidArgument: 400,
    Unauthenticated: 401,
    PermissionDenied: 403,
    Unreachable: 503,
}
_CORS = (
    (b"access-control-allow-methods", b"POST"),
    (
        b"access-control-allow-headers",
        b"authorization, content-type, mcp-protocol-version, mcp-method, mcp-name",
    ),
    (b"access-control-max-age", b"600"),
)


class McpDoor:
    """An ASGI application for `PATH`. Made by `opened`, which serves until its context ends.

    `origins` are those of web pages that may call; programs send none. `authenticate` raises Unauthenticated, and
    Unreachable when the Domain does not answer.
    """

    def __init__(
        self, manager: StreamableHTTPSessionManager, authenticate: Authenticate, origins: Collection[str]
    ) -> None:
        self._manager, self._authenticate = manager, authenticate
        self._origins = frozenset(origin.rstrip("/") for origin in origins)
        self._scopes = {name: offer.scope for name, offer in offers().items()}

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, around: Surroundings, authenticate: Authenticate, origins: Collection[str]
    ) -> AsyncGenerator[Self]:
        """The door, as long as the context lasts."""
        manager = StreamableHTTPSessionManager(
            server_of(around, _guest_of), stateless=True, max_request_body_size=MOST_BYTES
        )
        ready, over = asyncio.Event(), asyncio.Event()

        async def serve() -> None:
            async with manager.run():
                ready.set()
                await over.wait()

        # A task of its own, since its cancel scopes have to end in the task in which they began.
        serving = asyncio.create_task(serve())
        await ready.wait()
        try:
            yield cls(manager, authenticate, origins)
        finally:
            over.set()
            await serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        origin = headers.get("origin", "")
        if origin and origin.rstrip("/") not in self._origins:
            refused = PermissionDenied(
                "web pages of this origin may not call",
                field="Origin",
                remedy="An operator allows it by AMEIDE_ARCHITECT_ORIGINS",
            )
            await _refuse(send, 403, refused)
            return
        if origin:
            send = _readable_by(origin, send)
        match scope["method"]:
            case "POST":
                await self._post(scope, headers, receive, send)
            case "OPTIONS" if origin:
                await _answer(send, 204, b"", _CORS)
            case method:
                wrong = InvalidArgument(
                    f"{method} is not spoken here", remedy="POST each request; nothing is kept between two"
                )
                await _refuse(send, 405, wrong, ((b"allow", b"POST"),))

    async def _post(self, scope: Scope, headers: dict[str, str], receive: Receive, send: Send) -> None:
        try:
            token = token_of(headers.get("authorization", ""))
            guest = Guest(await self._authenticate(token), token)
            body = await _body(receive)
            if guest.caller.scopes and (wanted := self._wanted(body)) is not None:
                scopes.admit(guest.caller.scopes, wanted[1], wanted[0])
        except AmeideError as error:
            await _refuse(send, _STATUS.get(type(error), 500), error, self._challenge(error, headers))
            return
        await self._manager.handle_request({**scope, _GUEST: guest}, _replayed(body, receive), send)

    def _wanted(self, body: bytes) -> tuple[str, str] | None:
        """The tool that a request calls and the scope that it needs; None for another request, or for no such tool."""
        try:
            message: object = json.loads(body)
        except (ValueError, RecursionError):
            return None
        if not isinstance(message, dict):
            return None
        request = cast("dict[str, Any]", message)
        params: object = request.get("params")
        if request.get("method") != "tools/call" or not isinstance(params, dict):
            return None
        name: object = cast("dict[str, Any]", params).get("name")
        return (name, self._scopes[name]) if isinstance(name, str) and name in self._scopes else None

    def _challenge(self, error: AmeideError, headers: dict[str, str]) -> Sequence[tuple[bytes, bytes]]:
        """The header that says what the caller must show (RFC 6750)."""
        parts = ['Bearer realm="ameide"']
        if isinstance(error, Unauthenticated) and "authorization" in headers:
            parts.append('error="invalid_token"')
        elif isinstance(error, PermissionDenied) and error.reason == scopes.REASON:
            parts += ['error="insufficient_scope"', f'scope="{" ".join(scopes.ALL)}"']
        elif not isinstance(error, Unauthenticated):
            return ()
        return ((b"www-authenticate", ", ".join(parts).encode()),)


def _guest_of(ctx: ServerRequestContext[Any, Any]) -> Guest:
    request = ctx.request
    assert isinstance(request, Request)
    return request.scope[_GUEST]


async def _body(receive: Receive) -> bytes:
    """All of it. Raises InvalidArgument for one that is too large, Unreachable for one that does not come."""
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise Unreachable("the caller went away")
                body += message.get("body", b"")
                if len(body) > MOST_BYTES:
                    raise InvalidArgument(f"the request is larger than {MOST_BYTES} bytes", remedy="Send less at once")
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError as error:
        raise Unreachable("the request did not come to its end", remedy="Send it again") from error


def _replayed(body: bytes, receive: Receive) -> Receive:
    read = False

    async def again() -> Any:
        nonlocal read
        if read:
            return await receive()
        read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _readable_by(origin: str, send: Send) -> Send:
    """Let pages of the origin read what is answered."""

    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            allowed = [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"origin")]
            message = {**message, "headers": [*message.get("headers", []), *allowed]}
        await send(message)

    return sending


async def _refuse(send: Send, status: int, error: AmeideError, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    """A refusal that clients of the protocol can show: an error of JSON-RPC, which belongs to no request yet."""
    told = {"jsonrpc": "2.0", "id": None, "error": {"code": INVALID_REQUEST, "message": str(error)}}
    await _answer(send, status, json.dumps(told).encode(), ((b"content-type", b"application/json"), *headers))


async def _answer(send: Send, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
