"""The words of ASGI that we use, and answers that are not Connect's."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import IO, Any

from ameide.errors import AmeideError

_STATUS = {
    "invalid_argument": 400,
    "failed_precondition": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "not_found": 404,
    "already_exists": 409,
    "aborted": 409,
    "resource_exhausted": 429,
    "unavailable": 503,
}
_PIECE = 1 << 18
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def answer(send: Send, status: int, content_type: str, data: bytes) -> None:
    """One whole answer."""
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(data)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


async def answer_file(send: Send, status: int, content_type: str, file: IO[bytes], size: int) -> None:
    """One answer of so many bytes, read from where the file stands, as fast as they are taken."""
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(size).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    while piece := file.read(_PIECE):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def answer_json(send: Send, status: int, body: object) -> None:
    """One whole answer in JSON."""
    await answer(send, status, "application/json", json.dumps(body).encode())


async def answer_error(send: Send, error: AmeideError) -> None:
    """One of our errors as Connect would say it: its code and text, under the status that it gives that code."""
    body = {"code": error.code, "message": str(error), "field": error.field, "remedy": error.remedy}
    await answer_json(send, _STATUS.get(error.code, 500), {**body, "reason": error.reason})


async def lifespan(receive: Receive, send: Send) -> None:
    """Agree to start and to end."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
