"""Schema migrations: numbered SQL files, applied once each, in order, under a lock. A newer database is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import LiteralString, cast

import psycopg
from psycopg import sql

from ameide.config import DATABASE_ROLES, SCALER_ROLE
from ameide.errors import Refused

GATEWAY_ROLE = "ameide_gateway"
OWNER_ROLE = "ameide_owner"
_LOGINS = (*DATABASE_ROLES, SCALER_ROLE)
_LOCK = 5272_0001


def migrations() -> list[tuple[int, str, str]]:
    """All migrations as (number, name, SQL), ascending."""
    found: list[tuple[int, str, str]] = []
    for file in (files("ameide.storage") / "migrations").iterdir():
        if match := re.fullmatch(r"(\d{4})_(\w+)\.sql", file.name):
            found.append((int(match[1]), match[2], file.read_text(encoding="utf-8")))
    return sorted(found)


async def schema_of(dsn: str) -> int:
    """The number of the newest migration that a database has had; 0 for an empty one."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        try:
            return max(await _numbers(connection), default=0)
        except psycopg.errors.UndefinedTable:
            return 0


async def ensure_roles(admin_dsn: str, passwords: Mapping[str, str]) -> None:
    """Create the login roles and the owner, and set the passwords given (role name to password).

    `admin_dsn` must name a role that may create roles. Roles are the cluster's, so this runs once per cluster.
    """
    async with await psycopg.AsyncConnection.connect(admin_dsn, autocommit=True) as connection:
        await connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        rows = await (await connection.execute("SELECT rolname FROM pg_roles")).fetchall()
        known = {str(row[0]) for row in rows}
        for role in (OWNER_ROLE, GATEWAY_ROLE):
            if role not in known:
                await connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN NOBYPASSRLS").format(sql.Identifier(role)))
        for role in _LOGINS:
            if role not in known:
                await connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN NOBYPASSRLS NOCREATEDB NOCREATEROLE").format(sql.Identifier(role))
                )
            if role in passwords:
                await connection.execute(
                    sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(passwords[role]))
                )


async def migrate(admin_dsn: str) -> list[str]:
    """Bring the database to the newest schema; returns the names of the migrations applied.

    Raises Refused when the database is newer than this program. Each migration commits whole or not at all.
    """
    known = migrations()
    applied: list[str] = []
    async with await psycopg.AsyncConnection.connect(admin_dsn, autocommit=True) as connection:
        await connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        database = sql.Identifier(connection.info.dbname)
        logins = sql.SQL(", ").join(map(sql.Identifier, _LOGINS))
        await connection.execute(
            sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(database, sql.Identifier(OWNER_ROLE))
        )
        await connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, logins))
        await connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(OWNER_ROLE)))
        await connection.execute("CREATE SCHEMA IF NOT EXISTS ameide")
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS ameide.schema_version ("
            "number integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )
        had = await _numbers(connection)
        _need_no_newer(had, known)
        for number, name, text in known:
            if number in had:
                continue
            async with connection.transaction():
                if number == 1:
                    await connection.execute("RESET ROLE")
                    await connection.execute(
                        sql.SQL("GRANT {} TO {} WITH INHERIT FALSE, SET TRUE").format(
                            sql.Identifier(GATEWAY_ROLE), sql.Identifier("ameide_app")
                        )
                    )
                    await connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(OWNER_ROLE)))
                await connection.execute(cast("LiteralString", text))
                await connection.execute(
                    "INSERT INTO ameide.schema_version (number, name) VALUES (%s, %s)", (number, name)
                )
            applied.append(f"{number:04d}_{name}")
    return applied


async def check_schema(dsn: str) -> None:
    """Refuse to work on a database whose schema is not this program's, as whichever role `dsn` names.

    Raises Refused: NEWER_DATABASE, OLDER_DATABASE.
    """
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        try:
            had = await _numbers(connection)
        except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
            # No schema yet, or one from before the roles could read its number.
            had = frozenset[int]()
    known = migrations()
    _need_no_newer(had, known)
    missing = [f"{number:04d}_{name}" for number, name, _ in known if number not in had]
    if missing:
        raise Refused(
            f"the database lacks {missing[-1]}, which this program works with",
            remedy="Run `ameide db migrate` with this version, then start it again",
            reason="OLDER_DATABASE",
        )


async def _numbers(connection: psycopg.AsyncConnection) -> frozenset[int]:
    rows = await (await connection.execute("SELECT number FROM ameide.schema_version")).fetchall()
    return frozenset(int(row[0]) for row in rows)


def _need_no_newer(had: frozenset[int], known: list[tuple[int, str, str]]) -> None:
    if unknown := had - {number for number, _, _ in known}:
        raise Refused(
            f"the database has schema {max(unknown)}, this program knows {known[-1][0]}",
            remedy="Install the newer ameide that migrated it, or restore a backup from before",
            reason="NEWER_DATABASE",
        )


async def check_guard(dsn: str) -> None:
    """Refuse to start on a database whose tenant guard is open: the role must own nothing and bypass nothing, and every
    table with a tenant_id must force row-level security (contracts 8)."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        rows = await (
            await connection.execute(
                "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity AS guarded, "
                "pg_has_role(current_user, c.relowner, 'USAGE') AS owned "
                "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped "
                "WHERE n.nspname = 'ameide' AND c.relkind IN ('r', 'p')"
            )
        ).fetchall()
        role = await (
            await connection.execute("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
        ).fetchone()
    open_tables = [str(name) for name, guarded, owned in rows if not guarded or owned]
    if not rows or open_tables or (role and role[0]):
        what = (
            f"tables without a forced tenant guard: {', '.join(open_tables)}"
            if open_tables
            else "the role bypasses the tenant guard"
        )
        raise Refused(
            what if rows else "the database has no schema",
            remedy="Connect as ameide_app, not as an owner or superuser, and run `ameide db migrate`",
            reason="TENANT_GUARD_OPEN",
        )
