"""Which hosts are this machine itself: what is said to them goes over no network."""

from __future__ import annotations


def is_here(host: str) -> bool:
    """Whether the name or address of a host, without a port, is this machine's own."""
    return host in ("localhost", "::1") or host.startswith("127.")
