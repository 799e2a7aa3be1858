"""Where an installation keeps things, piece by piece, and which canaries are found there in any form."""

from __future__ import annotations

import base64
import gzip
import io
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

Piece = tuple[str, bytes]


@dataclass
class Search:
    """Looks for canaries by name; `found` has ``name in place`` for each, `looked_at` how many pieces of each kind.

    Those in `guessed` are known by value to no executor: in hexadecimal they could not be told from a digest.
    """

    canaries: Mapping[str, str]
    guessed: frozenset[str] = frozenset()
    found: set[str] = field(default_factory=set[str])
    looked_at: dict[str, int] = field(default_factory=dict[str, int])

    def look(self, kind: str, pieces: Iterator[Piece]) -> None:
        """Look into all pieces of a kind."""
        needles = [
            (name, needle)
            for name, value in self.canaries.items()
            for needle in forms(value, hexadecimal=name not in self.guessed)
        ]
        for place, data in pieces:
            self.looked_at[kind] = self.looked_at.get(kind, 0) + 1
            self.found |= {f"{name} in {kind} {place}" for name, needle in needles if needle in data}


def forms(value: str, *, hexadecimal: bool) -> set[bytes]:
    """A value plain, in hexadecimal, and in base64 at each of the three places where it may begin."""
    data = value.encode()
    found = {base64.b64encode(b"\0" * n + data)[(n * 8 + 5) // 6 : (n + len(data)) * 8 // 6] for n in range(3)}
    return {data, *found, *({data.hex().encode(), data.hex().upper().encode()} if hexadecimal else ())}


def rows(dsn: str) -> Iterator[Piece]:
    """Every row of every table of every database of the cluster, as text and with its bytes decoded."""
    with psycopg.connect(dsn) as connection:
        names = [name for (name,) in connection.execute("SELECT datname FROM pg_database WHERE datallowconn")]
    for name in names:
        with psycopg.connect(make_conninfo(dsn, dbname=name)) as connection:
            tables = connection.execute(
                "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('information_schema')"
            ).fetchall()
            for schema, table in tables:
                if (schema, table) != ("pg_catalog", "pg_authid"):
                    yield from _rows(connection, f"{name}.{schema}.{table}", sql.Identifier(schema, table))


def _rows(connection: psycopg.Connection, place: str, table: sql.Identifier) -> Iterator[Piece]:
    try:
        with connection.transaction():
            cursor = connection.execute(sql.SQL("SELECT * FROM {}").format(table))
            for row in cursor:
                for column in row:
                    yield place, column if isinstance(column, bytes) else str(column).encode()
    except psycopg.errors.InsufficientPrivilege:
        return


def files(folder: Path, *left_out: Path) -> Iterator[Piece]:
    """Every file below a folder, and what is packed in it; its name, too."""
    for file in sorted(folder.rglob("*")):
        if any(file == each or each in file.parents for each in left_out) or not file.is_file():
            continue
        data = file.read_bytes()
        name = str(file.relative_to(folder))
        yield name, name.encode() + b"\n" + data
        yield from _unpacked(name, data)


def _unpacked(name: str, data: bytes) -> Iterator[Piece]:
    if data[:2] == b"\x1f\x8b":
        yield f"{name} unpacked", (data := gzip.decompress(data))
    if data[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(data)) as packed:
            for member in packed:
                content = packed.extractfile(member)
                yield f"{name}/{member.name}", member.name.encode() + (content.read() if content else b"")


def repositories(folder: Path) -> Iterator[Piece]:
    """Every object of every repository (commits, notes, trees, files), reachable or not, and every ref by name."""
    for head in sorted(folder.rglob("HEAD")):
        repository = head.parent
        if (repository / "objects").is_dir():
            place = str(repository.relative_to(folder))
            yield f"{place} refs", _git(repository, "for-each-ref")
            yield f"{place} objects", _git(repository, "cat-file", "--batch-all-objects", "--batch")
            yield f"{place} log", _git(repository, "log", "--all", "--notes", "--format=raw", "--name-only")


def _git(repository: Path, *argv: str) -> bytes:
    command = ["git", "-c", "safe.directory=*", "-C", str(repository), *argv]
    return subprocess.run(command, capture_output=True, check=True).stdout
