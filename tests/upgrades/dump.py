"""The rows of a database as text that psql reads too: the schema comes from its migrations, which are frozen."""

from __future__ import annotations

from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql

from ameide.events.relay import PARTITION

_TABLES: LiteralString = (
    "SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum) FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid "
    "WHERE n.nspname = 'ameide' AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> 'schema_version' "
    "AND a.attnum > 0 AND NOT a.attisdropped GROUP BY c.relname ORDER BY c.relname"
)
Rows = dict[str, list[str]]


def columns(conninfo: str) -> dict[str, list[str]]:
    """The tables of the control plane with their columns, without the list of migrations."""
    with psycopg.connect(conninfo) as connection:
        return {str(name): list(names) for name, names in connection.execute(_TABLES).fetchall()}


def rows(conninfo: str, of: dict[str, list[str]]) -> Rows:
    """Every row of these tables as COPY writes it, sorted; only these columns."""
    found: Rows = {}
    with psycopg.connect(conninfo) as connection, connection.cursor() as cursor:
        for table, names in of.items():
            query = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(_listed(names), _named(table))
            with cursor.copy(query) as copy:
                data = b"".join(bytes(part) for part in copy)
            found[table] = sorted(data.decode().splitlines(keepends=True))
    return found


def save(conninfo: str, path: Path) -> None:
    """Write all rows, where the sequence of the outbox stands, and how far the log has partitions."""
    of = columns(conninfo)
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(
            "SELECT (SELECT last_value FROM ameide.outbox_id), max(until) - 1 FROM ameide.log_partition"
        ).fetchone()
    assert row is not None
    with path.open("w", encoding="utf-8") as file:
        file.write(f"TRUNCATE {', '.join(f'ameide.{table}' for table in of)};\n")
        file.write(f"SELECT setval('ameide.outbox_id', {row[0]});\n")
        file.write(f"SELECT ameide.extend_log({row[1]}, {PARTITION});\n")
        for table, lines in rows(conninfo, of).items():
            file.write(f"COPY ameide.{table} ({', '.join(of[table])}) FROM stdin;\n{''.join(lines)}\\.\n")


def load(conninfo: str, path: Path) -> None:
    """Put the rows of a file into a database of its schema, in place of what its migrations left there."""
    with psycopg.connect(conninfo) as connection, connection.cursor() as cursor, path.open(encoding="utf-8") as file:
        for statement in file:
            if not statement.startswith("COPY "):
                cursor.execute(statement.encode())
                continue
            with cursor.copy(statement.encode()) as copy:
                while (line := file.readline()) != "\\.\n":
                    copy.write(line)


def _listed(names: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _named(table: str) -> sql.Identifier:
    return sql.Identifier("ameide", table)
