"""The clients of the Domain: a call that is cancelled ends, and is not taken for a server that does not answer."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from protobuf import Oneof

from ameide.errors import Unreachable
from ameide.rpc.clients import ArchitectClients, Clients, unless_cancelled
from ameide_core_proto.agent.transformation.v1.architect_service_pb import ConverseRequest
from ameide_core_proto.transformation.work.v1.query_service_pb import ListWorkRequest


async def test_a_cancelled_call_is_cancelled() -> None:
    asked = asyncio.Event()

    async def never_answer(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.Event().wait()

    server = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with Clients(f"http://{host}:{port}", "ameide_default_tok01_0123456789abcdefghij") as clients:
        call = asyncio.ensure_future(clients.work_queries.list_work(ListWorkRequest()))
        await asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    server.close()


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    server.close()
    await server.wait_closed()
    async with Clients(f"http://{host}:{port}", "ameide_default_tok01_0123456789abcdefghij") as clients:
        with pytest.raises(Unreachable):
            await clients.work_queries.list_work(ListWorkRequest())


async def test_a_cancellation_that_comes_with_the_answer_counts() -> None:
    async def forgets() -> str:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "the answer"

    call = asyncio.create_task(unless_cancelled(forgets()))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


TURN = ConverseRequest(turn_id="turn-0001", instruction=Oneof("text", "Which gates wait?"))


async def listen(clients: ArchitectClients) -> None:
    """To the end of one turn."""
    async for _ in clients.converse(TURN):
        pass


async def test_a_cancelled_stream_is_cancelled() -> None:
    asked = asyncio.Event()

    async def never_answer(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.Event().wait()

    server = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with ArchitectClients(f"http://{host}:{port}", "ameide_default_tok01_0123456789abcdefghij") as clients:
        call = asyncio.ensure_future(listen(clients))
        await asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    server.close()


async def test_a_stream_of_nobody_is_unreachable() -> None:
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    server.close()
    await server.wait_closed()
    async with ArchitectClients(f"http://{host}:{port}", "ameide_default_tok01_0123456789abcdefghij") as clients:
        with pytest.raises(Unreachable):
            await listen(clients)
