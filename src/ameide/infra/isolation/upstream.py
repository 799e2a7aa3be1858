"""How the egress proxy connects: straight to an address that it resolved and judged itself, or through the operator's
own proxy.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from ameide.infra.isolation.rules import Pattern, why_closed

_PATIENCE = 20.0
_HEAD = 64 << 10

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class NotReached(Exception):
    """No connection was made. `refused` tells a rule of ours from a host that did not answer."""

    def __init__(self, why: str, *, refused: bool = False) -> None:
        super().__init__(why)
        self.why, self.refused = why, refused


@dataclass(frozen=True)
class Upstream:
    """The operator's proxy, empty for none, and the hosts that are reached without it."""

    proxy: str = ""
    without: tuple[str, ...] = ()

    @classmethod
    def of(cls, operator: Mapping[str, str]) -> Upstream:
        """From the operator's HTTPS_PROXY and NO_PROXY."""
        proxy = operator.get("HTTPS_PROXY") or operator.get("https_proxy") or ""
        without = operator.get("NO_PROXY") or operator.get("no_proxy") or ""
        return cls(proxy, tuple(part.strip().lower() for part in without.split(",") if part.strip()))

    async def connect(self, host: str, port: int, allowed: Pattern) -> Connection:
        """A connection to an allowed host. Raises `NotReached`."""
        try:
            async with asyncio.timeout(_PATIENCE):
                if self.proxy and not allowed.loopback_port and not self._goes_without(host):
                    return await self._through_proxy(host, port)
                return await _straight(host, port, allowed)
        except TimeoutError:
            raise NotReached(f"{host} did not answer within {_PATIENCE:.0f} s") from None
        except OSError as error:
            raise NotReached(f"{host} cannot be reached ({error.strerror or type(error).__name__})") from error

    def _goes_without(self, host: str) -> bool:
        for part in self.without:
            name = part.lstrip("*").lstrip(".")
            if part == "*" or host == name or (name and host.endswith(f".{name}")):
                return True
        return False

    async def _through_proxy(self, host: str, port: int) -> Connection:
        url = urlsplit(self.proxy if "://" in self.proxy else f"http://{self.proxy}")
        context = ssl.create_default_context() if url.scheme == "https" else None
        reader, writer = await asyncio.open_connection(
            url.hostname or "", url.port or (443 if context else 80), ssl=context, limit=_HEAD
        )
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if url.username is not None:
            pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
            lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}")
        try:
            writer.write("\r\n".join([*lines, "", ""]).encode())
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            writer.close()
            raise NotReached("the operator's proxy gave no answer") from None
        status = head.split(b"\r\n", 1)[0].decode("latin-1")
        if status.split(" ")[1:2] != ["200"]:
            writer.close()
            raise NotReached(f"the operator's proxy answered {status}")
        return reader, writer


async def _straight(host: str, port: int, allowed: Pattern) -> Connection:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(address[0]) for _, _, _, _, address in found))
    closed = {one: why_closed(ipaddress.ip_address(one.partition("%")[0]), allowed) for one in addresses}
    if all(closed.values()):
        raise NotReached(next(iter(closed.values()), "it has no address"), refused=True)
    failure = OSError("no address")
    for address in (one for one in addresses if not closed[one]):
        try:
            return await asyncio.open_connection(address, port, limit=_HEAD)
        except OSError as error:
            failure = error
    raise failure
