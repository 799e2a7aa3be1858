"""Serves the network of one sandbox from outside, on the sockets that its stage hands over."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Sequence

from ameide.infra.isolation.egress import PROXY_PORT, Egress, splice
from ameide.infra.isolation.packets import tried
from ameide.infra.isolation.traffic import Contact

_MESSAGE, _DESCRIPTORS, _PACKET = 64 << 10, 250, 2048
# A child has an executor to itself in neither: its file descriptors, and the turns of its loop.
_CONNECTIONS, _PACKETS = 200, 64
_ELSEWHERE = "only the proxy leads out of the sandbox"


class Network:
    """`control` is our end of the stage's socket; `serves` are ports of the sandbox that are offered on our loopback
    address as well. `error` says why the stage failed, `opened` that the sandbox has its network.
    """

    def __init__(self, control: socket.socket, egress: Egress, serves: Sequence[int] = ()) -> None:
        self._control, self._egress, self._serves = control, egress, serves
        self._servers: list[asyncio.Server] = []
        self._sockets: list[socket.socket] = [control]
        self._asking = asyncio.Lock()
        self._connections = 0
        self.error, self.opened = "", False

    async def open(self) -> None:
        """Wait for the stage, then serve. Whatever goes wrong is told by `error`."""
        try:
            message, descriptors = await self._hand_over()
            self._sockets += [socket.socket(fileno=descriptor) for descriptor in descriptors]
            said = json.loads(message or '{"error": "it ended without a word"}')
            if "error" in said:
                raise OSError(said["error"])
            _, *given = self._sockets
            for port, listener in zip(said["listeners"], given, strict=False):
                await self._listen(port, listener)
            watched, *connector = given[len(said["listeners"]) :]
            self._watch(watched)
            for port in self._serves:
                await self._offer(port, connector[0])
            self.opened = True
        except (OSError, ValueError) as error:
            self.error = str(error)

    async def close(self) -> None:
        """End all connections and sockets."""
        loop = asyncio.get_running_loop()
        for server in self._servers:
            server.close()
        for one in self._sockets:
            with contextlib.suppress(OSError, ValueError):
                loop.remove_reader(one)
            one.close()

    async def _hand_over(self) -> tuple[bytes, list[int]]:
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        self._control.setblocking(False)
        loop.add_reader(self._control, ready.set)
        await ready.wait()
        loop.remove_reader(self._control)
        message, descriptors, _, _ = socket.recv_fds(self._control, _MESSAGE, _DESCRIPTORS)
        return message, descriptors

    async def _listen(self, port: int, listener: socket.socket) -> None:
        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._egress.forward(port, reader, writer)

        serve = self._egress.serve if port == PROXY_PORT else forward

        async def bounded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self._connections >= _CONNECTIONS:
                writer.close()
                return
            self._connections += 1
            try:
                await serve(reader, writer)
            finally:
                self._connections -= 1

        self._servers.append(await asyncio.start_server(bounded, sock=listener))

    def _watch(self, watched: socket.socket) -> None:
        watched.setblocking(False)
        traffic, profile = self._egress.traffic, self._egress.profile

        def look() -> None:
            # We are called again for those that are left.
            with contextlib.suppress(OSError):
                for _ in range(_PACKETS):
                    if found := tried(watched.recv(_PACKET)):
                        traffic.note(profile, found.how, found.target, allowed=False, why=_ELSEWHERE)

        asyncio.get_running_loop().add_reader(watched, look)

    async def _offer(self, port: int, connector: socket.socket) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                connection = await self._connected(port, connector)
            except OSError:
                writer.close()
                return
            inside = await asyncio.open_connection(sock=connection)
            with contextlib.suppress(OSError):
                await splice((reader, writer), inside, Contact(self._egress.profile, "port", str(port), allowed=True))

        self._servers.append(await asyncio.start_server(serve, "127.0.0.1", port))

    async def _connected(self, port: int, connector: socket.socket) -> socket.socket:
        """A connection to a port of the sandbox. Raises `OSError` when nobody listens there."""

        def ask() -> socket.socket:
            connector.send(str(port).encode())
            said, descriptors, _, _ = socket.recv_fds(connector, _PACKET, 1)
            if not descriptors:
                raise OSError(said.decode("utf-8", "replace"))
            return socket.socket(fileno=descriptors[0])

        async with self._asking:
            connection = await asyncio.to_thread(ask)
        connection.setblocking(False)
        return connection
