"""The listener: answers leave at once and in one piece, and a port that is taken is told."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from ameide.errors import Unreachable
from ameide.rpc.asgi import Receive, Scope, Send
from ameide.rpc.gathering import Gathered
from ameide.rpc.listener import Listener


async def test_an_answer_does_not_wait_for_the_client_to_acknowledge_its_headers() -> None:
    sending = list[bool]()

    async def application(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        (connection,) = listener.server_state.connections
        accepted = connection.transport.get_extra_info("socket")
        sending.append(bool(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    listener = Listener(application, "127.0.0.1", port, setting="AMEIDE_LISTEN_PORT")
    listener.bind()
    serving = asyncio.create_task(listener.run_until_closed())
    await listener.listening()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 204")
    writer.close()
    assert sending == [True]
    listener.close()
    await serving


class _Inner(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.told = list[bytes]()

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.told.append(bytes(data))

    def close(self) -> None:
        self.told.append(b"closed")


async def test_what_is_written_in_one_turn_is_sent_together_and_before_the_end() -> None:
    inner = _Inner()
    transport = Gathered(inner)
    for part in (b"headers ", b"body ", b"end"):
        transport.write(part)
    assert inner.told == []
    await asyncio.sleep(0)
    assert inner.told == [b"headers body end"]
    transport.write(b"last")
    transport.close()
    await asyncio.sleep(0)
    assert inner.told == [b"headers body end", b"last", b"closed"]


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        listener = Listener(_nothing, "127.0.0.1", port, setting="AMEIDE_LISTEN_PORT")
        with pytest.raises(Unreachable) as told:
            listener.bind()
    assert told.value.field == "AMEIDE_LISTEN_PORT"


async def _nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Never called."""
