"""An HTTP listener as one task among others: signals, and when it ends, are the composition's."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

import uvicorn

from ameide.errors import Unreachable
from ameide.rpc.asgi import Receive, Scope, Send
from ameide.rpc.gathering import GatheringProtocol

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Listener(uvicorn.Server):
    """Serves one ASGI application. `setting` is the environment variable that chose the port, for errors."""

    def __init__(self, application: Application, host: str, port: int, *, setting: str) -> None:
        # What has begun is answered: how long that may take is for who calls `close`.
        config = uvicorn.Config(
            application,
            host=host,
            port=port,
            http=GatheringProtocol,
            log_config=None,
            access_log=False,
            # Nobody asks for the client's address behind a proxy, and which program serves is nobody's business.
            proxy_headers=False,
            server_header=False,
        )
        super().__init__(config)
        self._setting = setting
        self._accepting = asyncio.Event()
        self._socket: socket.socket | None = None

    async def run_until_closed(self) -> None:
        """Listen at the bound port, until `close` and until every call that has begun is answered."""
        assert self._socket is not None
        await self.serve([self._socket])

    def bind(self) -> None:
        """Take the port. Raises Unreachable when another program has it, which uvicorn would leave the process for."""
        host, port = self.config.host, self.config.port
        try:
            self._socket = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        except OSError as error:
            raise Unreachable(
                f"{host}:{port} cannot be listened on ({os.strerror(error.errno or 0)})",
                field=self._setting,
                remedy="Name a free port, or end the program that has this one",
            ) from error
        # asyncio does so only for sockets of a named protocol, which accepted ones are not. Without it, an answer's
        # body waits for the client to acknowledge the headers, which it may put off for 40 ms.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def listening(self) -> None:
        """Returns once connections are accepted."""
        await self._accepting.wait()

    def close(self) -> None:
        """Take no more connections and end when the last answer is out."""
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Signals are not this server's."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, and says so."""
        await super().startup(sockets)
        self._accepting.set()
