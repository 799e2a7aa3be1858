"""Identifiers: UUIDv7 by time for the Domain, UUIDv5 by content for the Process."""

from __future__ import annotations

import os
import re
import time
import uuid

PROCESS_NAMESPACE = uuid.UUID("6f1b7f0e-52f0-5c1a-9a52-7d1c1f6a7e27")
_INSTANCE = re.compile(r"^r2r/([a-z0-9][a-z0-9-]*)/([A-Za-z0-9-]+)/([1-9][0-9]*)$")


def uuid7() -> uuid.UUID:
    """A UUID version 7: milliseconds since the epoch, then random bits."""
    value = (time.time_ns() // 1_000_000 & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10), "big")
    return uuid.UUID(int=value & ~(0xF << 76) & ~(0x3 << 62) | 7 << 76 | 2 << 62)


def new_id(prefix: str) -> str:
    """A new record id, e.g. `chg-0192…`. Prefixes: chg gat wrk rel prm art evd tok cnv cns."""
    return f"{prefix}-{uuid7().hex}"


def new_message_id() -> str:
    """The id of a domain message."""
    return str(uuid7())


def process_message_id(process_instance_id: str, run_epoch: int, seq: int) -> str:
    """The id of a process fact: the same place in the same run gives the same id."""
    return str(uuid.uuid5(PROCESS_NAMESPACE, f"{process_instance_id}/{run_epoch}/{seq}"))


def process_instance_id(tenant_id: str, change_id: str, number: int) -> str:
    """The id of a run, which is its workflow id too."""
    return f"r2r/{tenant_id}/{change_id}/{number}"


def parse_process_instance_id(text: str) -> tuple[str, str, int] | None:
    """(tenant, change, run number), or None when the text is no such id."""
    match = _INSTANCE.fullmatch(text)
    return (match[1], match[2], int(match[3])) if match else None
