"""The network of a sandbox from outside: no child keeps the executor from its other work by using it."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from ameide.infra.isolation.egress import PROXY_PORT, Egress
from ameide.infra.isolation.network import Network
from ameide.infra.isolation.rules import Allowlist
from ameide.infra.isolation.traffic import Traffic
from ameide.infra.isolation.upstream import Upstream
from ameide.infra.steps import Profile

PATIENCE = 20.0


@asynccontextmanager
async def opened(traffic: Traffic, listener: socket.socket, watched: socket.socket) -> AsyncGenerator[None]:
    """A network whose stage hands over these sockets."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    network = Network(ours, Egress(Profile.CODER, Allowlist(()), Upstream(), traffic))
    said = json.dumps({"listeners": [PROXY_PORT]}).encode()
    socket.send_fds(theirs, [said], [listener.fileno(), watched.fileno()])
    try:
        await network.open()
        assert network.opened, network.error
        yield
    finally:
        await network.close()
        theirs.close()


def tcp() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0), backlog=500)
    listener.setblocking(False)
    return listener


def udp() -> socket.socket:
    watched = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    watched.bind(("127.0.0.1", 0))
    return watched


async def test_a_flood_of_packets_leaves_turns_to_others() -> None:
    begin = bytes([0x45]) + bytes(8) + bytes([17]) + bytes(6) + bytes([198, 51, 100, 7])
    packet = begin + struct.pack("!HHHH", 40000, 4444, 0, 0)
    traffic = Traffic()
    with tcp() as listener, udp() as watched, udp() as sender:
        for _ in range(100):
            sender.sendto(packet, watched.getsockname())
        async with opened(traffic, listener, watched):
            met: set[int] = set()
            async with asyncio.timeout(PATIENCE):
                while 100 not in met:
                    met.update(contact.times for contact in traffic.refused())
                    await asyncio.sleep(0)
    assert len(met) > 1


async def test_a_child_holds_so_many_connections_and_no_more() -> None:
    with tcp() as listener, udp() as watched:
        async with opened(Traffic(), listener, watched):
            port = listener.getsockname()[1]
            held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(201)]
            async with asyncio.timeout(PATIENCE):
                # Nothing is answered, since nothing was asked.
                assert await held[-1][0].read() == b""
            held[0][1].close()
            await held[0][1].wait_closed()

            async def answered() -> bytes:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    writer.write(b"CONNECT example.org:443 HTTP/1.1\r\n\r\n")
                    return await reader.readline()
                except OSError:
                    # Closed before it was asked.
                    return b""
                finally:
                    writer.close()

            async with asyncio.timeout(PATIENCE):
                while not (answer := await answered()):
                    pass
            assert answer == b"HTTP/1.1 403 Forbidden\r\n"
            for _, writer in held:
                writer.close()
