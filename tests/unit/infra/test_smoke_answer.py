"""What a published service answers is read within bounds."""

from __future__ import annotations

import asyncio
import contextlib

import httpx
import pytest

from ameide.infra.tools.smoke import ask

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"


async def _endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(HEAD)
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
            await writer.drain()


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(HEAD + b"1\r\nx\r\n")
    await reader.read()
    writer.close()


async def test_an_answer_without_an_end_is_cut() -> None:
    async with await asyncio.start_server(_endless, "127.0.0.1", 0) as server, httpx.AsyncClient() as client:
        port = server.sockets[0].getsockname()[1]
        async with asyncio.timeout(10):
            status, text = await ask(client, f"http://127.0.0.1:{port}/version")
    assert (status, text) == (200, "x" * 4096)


async def test_an_answer_that_stops_halfway_is_given_up() -> None:
    async with await asyncio.start_server(_silent, "127.0.0.1", 0) as server, httpx.AsyncClient(timeout=60) as client:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(TimeoutError):
            await ask(client, f"http://127.0.0.1:{port}/version")
