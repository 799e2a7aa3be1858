"""The words of ASGI that we use, and answers that are not Connect's."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def answer(send: Send, status: int, content_type: str, data: bytes) -> None:
    """One whole answer."""
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(data)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


async def answer_json(send: Send, status: int, body: object) -> None:
    """One whole answer in JSON."""
    await answer(send, status, "application/json", json.dumps(body).encode())


async def lifespan(receive: Receive, send: Send) -> None:
    """Agree to start and to end."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
