"""The only way out of a sandbox: an HTTP proxy that connects to the hosts of an allowlist and counts the bytes.

It runs in the executor on listeners that the stage opened in the sandbox's own network. It speaks CONNECT, and plain
HTTP with the whole URL in the request line, one request a connection. Ports of the executor's own machine that the
allowlist names are forwarded at the same port of the sandbox's loopback address, so that clients that go past proxies
for their own machine reach them as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from ameide.infra.isolation.rules import Allowlist
from ameide.infra.isolation.traffic import Contact, Traffic
from ameide.infra.isolation.upstream import Connection, NotReached, Upstream
from ameide.infra.steps import Profile

PROXY_PORT = 61080
"""Where children find the proxy, at their loopback address; no kernel gives this port to a client by itself."""

_HEAD = 64 << 10
_CHUNK = 64 << 10
_NOT_PASSED_ON = (b"proxy-connection", b"proxy-authorization", b"connection", b"keep-alive", b"host")
# What the resolver gets must be what the allowlist saw: it reads a name up to a NUL, and no further.
_NAME = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?\Z")


@dataclass(frozen=True)
class Request:
    """The beginning of a proxied request; `head` is what goes on to the host, empty for CONNECT."""

    host: str
    port: int
    head: bytes

    @property
    def target(self) -> str:
        """``host:port``."""
        return f"{_authority(self.host)}:{self.port}"


def parsed(head: bytes) -> Request:
    """A request from its head. Raises `ValueError` for one that no proxy understands."""
    line, *headers = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    if any(mark in part for part in (line, *headers) for mark in (b"\r", b"\n", b"\0")):
        raise ValueError("a line with a line break in it")
    method, target, version = line.decode("latin-1").split(" ")
    connect = method == "CONNECT"
    url = urlsplit(f"//{target}" if connect else target)
    port = url.port if connect else url.port or 80
    if not url.hostname or not port or (not connect and url.scheme != "http"):
        raise ValueError(target)
    host = _checked(url.hostname.lower())
    if connect:
        return Request(host, port, b"")
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    kept = [header for header in headers if header.partition(b":")[0].strip().lower() not in _NOT_PASSED_ON]
    # The request is for the host that was judged, whatever another header says.
    whole = [f"{method} {path} {version}", f"Host: {_authority(host)}{'' if port == 80 else f':{port}'}"]
    lines = [*(one.encode("latin-1") for one in whole), *kept, b"Connection: close", b"", b""]
    return Request(host, port, b"\r\n".join(lines))


def _authority(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _checked(host: str) -> str:
    if ":" in host:
        ipaddress.IPv6Address(host)
    elif not _NAME.match(host):
        raise ValueError(host)
    return host


@dataclass(frozen=True)
class Egress:
    """The proxy of one child."""

    profile: Profile
    allowlist: Allowlist
    upstream: Upstream
    traffic: Traffic

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection to the proxy."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            try:
                request = parsed(await reader.readuntil(b"\r\n\r\n"))
            except ValueError:
                await _answer(writer, "400 Bad Request", "this proxy speaks CONNECT and plain HTTP alone")
                return
            opened = await self._open(request, writer)
            if opened is None:
                return
            contact, connection = opened
            if request.head:
                connection[1].write(request.head)
                contact.sent += len(request.head)
            else:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await splice((reader, writer), connection, contact)
        writer.close()

    async def forward(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection to a port of the executor's own machine."""
        with contextlib.suppress(OSError):
            contact = self.traffic.note(self.profile, "port", f"127.0.0.1:{port}", allowed=True)
            await splice((reader, writer), await asyncio.open_connection("127.0.0.1", port), contact)
        writer.close()

    async def _open(self, request: Request, writer: asyncio.StreamWriter) -> tuple[Contact, Connection] | None:
        allowed = self.allowlist.allowing(request.host, request.port)
        try:
            if allowed is None:
                raise NotReached("no setting and no step lets it", refused=True)
            connection = await self.upstream.connect(request.host, request.port, allowed)
        except NotReached as error:
            if error.refused:
                self.traffic.note(self.profile, "proxy", request.target, allowed=False, why=error.why)
                await _answer(writer, "403 Forbidden", f"{request.target} is not reached from here: {error.why}")
            else:
                self.traffic.note(self.profile, "proxy", request.target, allowed=True)
                await _answer(writer, "502 Bad Gateway", error.why)
            return None
        return self.traffic.note(self.profile, "proxy", request.target, allowed=True), connection


async def splice(inner: Connection, outer: Connection, contact: Contact) -> None:
    """Copy both ways until both are done; `contact` counts what leaves the sandbox as sent."""

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter, counter: str) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(_CHUNK):
                target.write(data)
                setattr(contact, counter, getattr(contact, counter) + len(data))
                await target.drain()
            if target.can_write_eof():
                target.write_eof()

    try:
        await asyncio.gather(copy(inner[0], outer[1], "sent"), copy(outer[0], inner[1], "received"))
    finally:
        inner[1].close()
        outer[1].close()


async def _answer(writer: asyncio.StreamWriter, status: str, why: str) -> None:
    body = f"ameide: {why}\n".encode()
    writer.write(
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n".encode()
        + body
    )
    await writer.drain()
    writer.close()
