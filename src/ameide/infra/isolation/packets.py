"""Reads from the copy of a packet where a child tried to go past the proxy: the address and port, or the name."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

_TCP, _UDP, _ICMP, _ECHO, _DNS = 6, 17, 1, 8, 53
_NAME, _LABEL = 253, 63


@dataclass(frozen=True)
class Tried:
    """`how` is direct or name, `target` an address with its port, or the name that was looked up."""

    how: str
    target: str


def tried(packet: bytes) -> Tried | None:
    """What a packet is about; None for answers and whatever is too short to tell."""
    try:
        version = packet[0] >> 4
        if version == 4:
            protocol, rest = packet[9], packet[(packet[0] & 0xF) * 4 :]
            address = socket.inet_ntop(socket.AF_INET, packet[16:20])
        elif version == 6:
            protocol, rest = packet[6], packet[40:]
            address = f"[{socket.inet_ntop(socket.AF_INET6, packet[24:40])}]"
        else:
            return None
        if protocol == _ICMP:
            return Tried("direct", f"{address} (ping)") if rest[0] == _ECHO else None
        if protocol not in (_TCP, _UDP):
            return Tried("direct", f"{address} (protocol {protocol})")
        port = struct.unpack_from("!H", rest, 2)[0]
        if protocol == _UDP and port == _DNS and (name := _question(rest[8:])):
            return Tried("name", name)
    except (IndexError, ValueError, OSError, struct.error):
        return None
    return Tried("direct", f"{address}:{port}{'/udp' if protocol == _UDP else ''}")


def _question(message: bytes) -> str:
    """The name in the first question of a DNS query; empty when there is none to read."""
    labels: list[str] = []
    place = 12
    while place < len(message) and 0 < (size := message[place]) <= _LABEL:
        labels.append(message[place + 1 : place + 1 + size].decode("ascii", "replace"))
        place += 1 + size
    # It stands in logs and findings, and the child wrote it.
    return "".join(one if one.isprintable() else "?" for one in ".".join(labels))[:_NAME]
