"""The comparator of a command: pgbench, from PostgreSQL's own wheel, running the statements that the command runs.

The statements are recorded from the service, with their values, and only what must be unique is made new each time.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import cast

from ameide.storage.connection import Answer, Connection, Params, Statement
from benchmarks.installation import Cluster

_TPS = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)
_PLACE = re.compile(r"%\((\w+)\)s|%s")


@dataclass(slots=True)
class Recording:
    """The statements of one transaction, in order."""

    statements: list[tuple[str, Params]] = field(default_factory=list[tuple[str, Params]])


@contextmanager
def recording() -> Generator[Recording]:
    """Record what any connection of this process sends meanwhile."""
    found = Recording()
    kept = Connection.exchange

    async def exchange(self: Connection, statements: Sequence[Statement]) -> list[Answer]:
        found.statements += statements
        return await kept(self, statements)

    Connection.exchange = exchange
    try:
        yield found
    finally:
        Connection.exchange = kept


def script(found: Recording, replaced: Mapping[str, str], head: Sequence[str]) -> str:
    """A pgbench script: `head`, then the transaction. `replaced` maps a recorded text to an SQL expression for it."""
    return "\n".join([*head, *(_rendered(sql, params, replaced) + ";" for sql, params in found.statements), ""])


async def run(cluster: Cluster, dsn: str, file: Path, clients: int, seconds: float) -> float:
    """Transactions of a script a second with so many clients, statements prepared."""
    process = await asyncio.create_subprocess_exec(
        cluster.programs / "pgbench",
        *("-n", "-M", "prepared", "-c", str(clients), "-j", str(os.cpu_count() or 1)),
        *("-T", str(max(1, round(seconds)))),
        *("-f", str(file)),
        dsn,
        env={"PATH": os.defpath, "LC_ALL": "C"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    match = _TPS.search(out.decode())
    if process.returncode or match is None:
        raise RuntimeError(f"pgbench failed: {error.decode()[-1500:]}")
    return float(match[1])


def _rendered(sql: str, params: Params, replaced: Mapping[str, str]) -> str:
    body = " ".join(line for line in sql.splitlines() if not line.strip().startswith("--"))
    values = iter(()) if params is None or isinstance(params, Mapping) else iter(params)

    def value(match: re.Match[str]) -> str:
        found = params[match[1]] if match[1] and isinstance(params, Mapping) else next(values)
        return _literal(found, replaced)

    return _PLACE.sub(value, body).replace("%%", "%")


def _literal(value: object, replaced: Mapping[str, str]) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'::bytea"
    if isinstance(value, datetime):
        return "clock_timestamp()"
    if isinstance(value, list):
        return f"ARRAY[{', '.join(_literal(one, replaced) for one in cast('list[object]', value))}]"
    return _text(str(value), replaced)


def _text(value: str, replaced: Mapping[str, str]) -> str:
    parts = re.split("|".join(map(re.escape, replaced)), value) if replaced else [value]
    found = re.findall("|".join(map(re.escape, replaced)), value) if replaced else []
    pieces: list[str] = []
    for place, part in enumerate(parts):
        if part:
            # pgbench takes a colon for the start of a variable, inside literals as well.
            quoted = part.replace("'", "''").replace(":", "' || chr(58) || '")
            pieces.append(f"'{quoted}'")
        if place < len(found):
            pieces.append(replaced[found[place]])
    return f"({' || '.join(pieces)})" if len(pieces) > 1 or ":" in value else (pieces[0] if pieces else "''")
