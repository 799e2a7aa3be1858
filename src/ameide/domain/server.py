"""The one door as an ASGI application: every service behind the same interceptor, and the health endpoints."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from connectrpc.server import ConnectASGIApplication

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
# What does not work yet, or any more; empty when everything does.
Readiness = Callable[[], Awaitable[list[str]]]


class Server:
    """Dispatches by the service's path. `readiness` answers `/readyz`."""

    def __init__(self, services: Sequence[ConnectASGIApplication[Any]], readiness: Readiness) -> None:
        self._services = {service.path: service for service in services}
        self._readiness = readiness

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        path: str = scope["path"]
        service = self._services.get(path.rpartition("/")[0])
        if service is not None:
            # Connect's own ASGI types and ours describe the same protocol.
            await service(scope, receive, send)  # pyright: ignore[reportArgumentType]
        elif path == "/healthz":
            await _answer(send, 200, {"status": "ok"})
        elif path == "/readyz":
            missing = await self._readiness()
            await _answer(
                send, 503 if missing else 200, {"status": "not ready" if missing else "ok", "missing": missing}
            )
        else:
            await _answer(send, 404, {"code": "not_found", "message": f"no service at {path}"})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _answer(send: Send, status: int, body: object) -> None:
    data = json.dumps(body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})
