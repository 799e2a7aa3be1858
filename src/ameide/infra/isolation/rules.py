"""Which hosts a child reaches: patterns ``host:port`` and ``*.host:port``, and what their addresses may be."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ameide.errors import InvalidArgument

_PATTERN = re.compile(r"(?P<below>\*\.)?(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>\d{1,5})")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Pattern:
    """One entry of an allowlist; `below` allows every host under `host`, and not `host` itself."""

    host: str
    port: int
    below: bool = False

    def matches(self, host: str, port: int) -> bool:
        """Whether it allows that host and port."""
        named = host.endswith(f".{self.host}") if self.below else host == self.host
        return named and port == self.port

    @property
    def loopback_port(self) -> int:
        """The port, when it names the executor's own machine; else 0."""
        return self.port if self.host in _LOOPBACK and not self.below else 0


def pattern(text: str, field: str) -> Pattern:
    """The pattern that a text says. Raises `InvalidArgument` naming `field`."""
    match = _PATTERN.fullmatch(text)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise InvalidArgument(
            f"{text!r} is not host:port", field=field, remedy="Write host:port, or *.host:port for all below a host"
        )
    return Pattern((match["six"] or match["host"]).lower(), int(match["port"]), match["below"] is not None)


@dataclass(frozen=True)
class Allowlist:
    """The hosts that one child reaches."""

    patterns: tuple[Pattern, ...]

    @classmethod
    def of(cls, texts: Iterable[str], field: str) -> Allowlist:
        """From the texts of a setting or of a step. Raises `InvalidArgument` naming `field`."""
        return cls(tuple(pattern(text, field) for text in texts))

    def __add__(self, other: Allowlist) -> Allowlist:
        return Allowlist((*self.patterns, *other.patterns))

    def allowing(self, host: str, port: int) -> Pattern | None:
        """The pattern that allows it; one that names the host exactly before one for all below a host."""
        found = [known for known in self.patterns if known.matches(_plain(host), port)]
        return min(found, key=lambda known: known.below, default=None)

    @property
    def loopback_ports(self) -> tuple[int, ...]:
        """Ports of the executor's own machine that are named."""
        return tuple(dict.fromkeys(known.loopback_port for known in self.patterns if known.loopback_port))


def why_closed(address: Address, allowed: Pattern) -> str:
    """Why this address of an allowed host is not connected to; empty when it is.

    A name that anybody may own must not lead into the operator's network: addresses of it are reached only when the
    host was named exactly, and a link-local address (where clouds keep their credentials) only as itself.
    """
    if isinstance(address, ipaddress.IPv6Address):
        address = _carried(address) or address
    if address.is_multicast or address.is_unspecified:
        return "its address is none of a host"
    if address.is_link_local:
        return "" if allowed.host == str(address) else "its address is link-local"
    if not address.is_global and allowed.below:
        return "its address is private, and only a pattern for many hosts allows it"
    return ""


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to: mapped, 6to4, or by a translator (RFC 6052)."""
    translated = ipaddress.IPv4Address(address.packed[-4:]) if address in _TRANSLATED else None
    return address.ipv4_mapped or address.sixtofour or translated


def _plain(host: str) -> str:
    return host.lower().rstrip(".").removeprefix("[").removesuffix("]")
