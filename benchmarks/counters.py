"""What noise cannot touch: commits, WAL, buffers by the server's books; statements and round trips by the wire's."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from ameide.engine.postgres import PostgresAddress

# What a client sends that the server answers: one of these is one wait for the network.
_WAITS = ("Query", "Sync", "Flush")


@dataclass(slots=True)
class Count:
    """What happened in a stretch; filled when it ends."""

    commits: int = 0
    wal_bytes: int = 0
    buffers: int = 0
    round_trips: int = 0
    statements: int = 0

    def per(self, items: int) -> dict[str, float]:
        """Per item, without what was not counted."""
        names = ("commits", "wal_bytes", "buffers", "round_trips", "statements")
        return {name: round(getattr(self, name) / max(items, 1), 2) for name in names if getattr(self, name)}


@contextlib.contextmanager
def counting(database: PostgresAddress) -> Generator[Count]:
    """Count what the server does for one database meanwhile. WAL is the cluster's, so nothing else may run."""
    count = Count()
    with psycopg.connect(database.conninfo, autocommit=True) as admin:
        before = _books(admin)
        yield count
        after = _books(admin)
    count.commits, count.wal_bytes, count.buffers = (int(new - old) for new, old in zip(after, before, strict=True))


def _books(admin: psycopg.Connection) -> tuple[float, ...]:
    # Backends flush their statistics when they have been idle for a moment; asking forces only our own.
    admin.execute("SELECT pg_sleep(1.1)")
    admin.execute("SELECT pg_stat_clear_snapshot()")
    row = admin.execute(
        "SELECT xact_commit, pg_current_wal_insert_lsn() - '0/0', blks_hit + blks_read "
        "FROM pg_stat_database WHERE datname = current_database()"
    ).fetchone()
    assert row is not None
    return tuple(float(value) for value in row)


@contextlib.contextmanager
def traced(connection: psycopg.AsyncConnection[object] | psycopg.Connection[object]) -> Iterator[Count]:
    """Count what one connection sends meanwhile, from libpq's own trace."""
    count = Count()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace"
        with path.open("w") as file:
            connection.pgconn.trace(file.fileno())
            try:
                yield count
            finally:
                connection.pgconn.untrace()
        for line in path.read_text(errors="replace").splitlines():
            parts = line.split("\t")
            if len(parts) > 2 and "F" in parts[:2]:
                count.statements += parts[-2] in ("Execute", "Query") or parts[2] in ("Execute", "Query")
                count.round_trips += any(word in parts for word in _WAITS)
