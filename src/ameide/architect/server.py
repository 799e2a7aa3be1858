"""The agent's port as an ASGI application: its service, the probes, and what else is mounted by a path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from connectrpc.server import ConnectASGIApplication

from ameide.rpc.asgi import Receive, Scope, Send, answer_json, lifespan
from ameide.rpc.probes import PATHS, Probes

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Server:
    """Answers the probes from the beginning, and the rest once `open` was called."""

    def __init__(self, probes: Probes) -> None:
        self._probes = probes
        self._service: ConnectASGIApplication[Any] | None = None
        self._mounted: Mapping[str, Application] = {}

    def open(self, service: ConnectASGIApplication[Any], mounted: Mapping[str, Application] | None = None) -> None:
        """From now on serve these; `mounted` are applications by their paths, such as `/mcp`."""
        self._service, self._mounted = service, mounted or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        path: str = scope["path"]
        if path in PATHS:
            await self._probes(scope, receive, send)
        elif self._service is None:
            await answer_json(send, 503, {"code": "unavailable", "message": "the agent is starting; try again"})
        elif path.rpartition("/")[0] == self._service.path:
            # Connect's own ASGI types and ours describe the same protocol.
            await self._service(scope, receive, send)  # pyright: ignore[reportArgumentType]
        elif path in self._mounted:
            await self._mounted[path](scope, receive, send)
        else:
            await answer_json(send, 404, {"code": "not_found", "message": f"no service at {path}"})
