"""What a process tells whoever runs it: does it live, does it work, and its metrics. No token, no tenant's record."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ameide.errors import AmeideError
from ameide.rpc.asgi import Receive, Scope, Send, answer, answer_json, lifespan
from ameide.telemetry import metrics

CHECK_SECONDS = 2.0
PATHS = ("/healthz", "/readyz", "/metrics")
# Raises AmeideError when what it looks at does not work.
Check = Callable[[], Awaitable[None]]


class Probes:
    """`/healthz`, `/readyz` and `/metrics` as an ASGI application; `need` says what a ready process depends on."""

    def __init__(self) -> None:
        self.gauges = metrics.Gauges()
        self._checks: dict[str, Check] = {}
        # Why the process takes nothing new; empty while it does.
        self.closed = "starting"

    def need(self, name: str, check: Check) -> None:
        """The process is ready only while this check passes; `name` is what an operator calls it."""
        self._checks[name] = check

    async def missing(self) -> list[str]:
        """What does not work yet, or any more; empty when everything does. Takes two seconds at most."""
        if self.closed:
            return [self.closed]
        answers = await asyncio.gather(*(_failure(name, check) for name, check in self._checks.items()))
        return [answer for answer in answers if answer]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        match scope["path"]:
            case "/healthz":
                await answer_json(send, 200, {"status": "ok"})
            case "/readyz":
                missing = await self.missing()
                status = "not ready" if missing else "ok"
                await answer_json(send, 503 if missing else 200, {"status": status, "missing": missing})
            case "/metrics":
                await answer(send, 200, metrics.CONTENT_TYPE, await metrics.exposition(self.gauges))
            case path:
                await answer_json(send, 404, {"code": "not_found", "message": f"nothing at {path}"})


async def _failure(name: str, check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except TimeoutError:
        return f"{name}: no answer within {CHECK_SECONDS:g} s"
    except AmeideError as error:
        return f"{name}: {error}"
    return ""
