"""Which hosts are this machine itself: what is said to them goes over no network."""

from __future__ import annotations

import ipaddress


def is_here(host: str) -> bool:
    """Whether the name or address of a host, without a port, is this machine's own."""
    return host in ("localhost", "::1") or host.startswith("127.")


def url_here(host: str, port: int) -> str:
    """Where this machine reaches what listens on a host (a name or an address) and port.

    Of all interfaces it is the loopback of the same family: a listener on `::` hears no IPv4.
    """
    bare = host.removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return f"http://{bare}:{port}"
    if address.version == 4:
        return f"http://{'127.0.0.1' if address.is_unspecified else bare}:{port}"
    return f"http://[{'::1' if address.is_unspecified else bare}]:{port}"
