"""Services that answer on a port of their own while commands run in this process."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn

from ameide.domain.server import Server
from ameide.rpc.probes import Probes


@contextmanager
def answering(services: Sequence[Any], *, log_level: str = "error") -> Generator[str]:
    """The address at which they answer."""
    server = uvicorn.Server(uvicorn.Config(Server(services, Probes()), port=0, log_level=log_level))
    started = threading.Event()
    begin = server.startup

    async def startup(*arguments: Any, **options: Any) -> None:
        await begin(*arguments, **options)
        started.set()

    server.startup = startup
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert started.wait(60)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(60)
