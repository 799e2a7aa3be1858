"""The one door as an ASGI application: every service behind the same interceptor, and the probes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connectrpc.server import ConnectASGIApplication

from ameide.domain.commands import uploads
from ameide.domain.evidence_door import EvidenceDoor
from ameide.rpc.asgi import Receive, Scope, Send, answer_json, lifespan
from ameide.rpc.probes import PATHS, Probes


class Server:
    """Dispatches by the service's path; `probes` answers for the process, `evidence` below its own path."""

    def __init__(
        self, services: Sequence[ConnectASGIApplication[Any]], probes: Probes, evidence: EvidenceDoor | None = None
    ) -> None:
        self._services = {service.path: service for service in services}
        self._probes = probes
        self._evidence = evidence

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        path: str = scope["path"]
        service = self._services.get(path.rpartition("/")[0])
        if service is not None:
            # Connect's own ASGI types and ours describe the same protocol.
            await service(scope, receive, send)  # pyright: ignore[reportArgumentType]
        elif self._evidence is not None and path.startswith(uploads.PATH):
            await self._evidence(scope, receive, send)
        elif path in PATHS:
            await self._probes(scope, receive, send)
        else:
            await answer_json(send, 404, {"code": "not_found", "message": f"no service at {path}"})
