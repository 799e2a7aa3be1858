"""Row-level security, tried on every tenant table of the catalog; migrations that refuse what they don't know."""

import psycopg
import pytest
from psycopg import sql

from ameide.config import DATABASE_ROLES as ROLES
from ameide.errors import Refused
from ameide.storage.db import Database
from ameide.storage.migrate import check_guard, migrate
from tests.conftest import SpineDatabase

TENANT_TABLES = (
    "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' "
    "WHERE n.nspname = 'ameide' AND c.relkind IN ('r', 'p') ORDER BY 1"
)


def tenant_tables(database: SpineDatabase) -> list[str]:
    with psycopg.connect(database.address.conninfo) as admin:
        return [str(row[0]) for row in admin.execute(TENANT_TABLES).fetchall()]


def fill(database: SpineDatabase, tables: list[str], tenant: str) -> None:
    """One row of a tenant in each table, with whatever values its columns take."""
    values: dict[str, object] = {
        "text": "x",
        "bigint": 1,
        "integer": 1,
        "bytea": b"",
        "boolean": False,
        "timestamp with time zone": "2026-01-01T00:00:00Z",
        "ARRAY": [],
    }
    with psycopg.connect(database.address.conninfo, autocommit=True) as admin:
        admin.execute("SELECT ameide.extend_log(1, 100)")
        for table in tables:
            columns = admin.execute(
                "SELECT column_name, data_type FROM information_schema.columns "
                "WHERE table_schema = 'ameide' AND table_name = %s",
                (table,),
            ).fetchall()
            row: dict[str, object] = {
                str(name): tenant if name == "tenant_id" else values[str(kind)] for name, kind in columns
            }
            admin.execute(
                sql.SQL("INSERT INTO ameide.{} ({}) VALUES ({})").format(
                    sql.Identifier(table),
                    sql.SQL(", ").join(map(sql.Identifier, row)),
                    sql.SQL(", ").join(map(sql.Placeholder, row)),
                ),
                row,
            )


def test_without_a_tenant_nothing_is_read_and_nothing_written(database: SpineDatabase) -> None:
    tables = tenant_tables(database)
    assert {"aggregate", "work", "attempt", "outbox", "log", "queue_item", "idempotency", "view_state"} <= set(tables)
    fill(database, tables, "acme")
    with psycopg.connect(database.dsn("ameide_app"), autocommit=True) as app:
        for setting in (None, "", "other"):
            if setting is not None:
                app.execute("SELECT set_config('ameide.tenant_id', %s, false)", (setting,))
            for table in tables:
                name = sql.Identifier(table)
                count = app.execute(sql.SQL("SELECT count(*) FROM ameide.{}").format(name)).fetchone()
                assert count == (0,), f"{table} with tenant {setting!r}"
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    app.execute(
                        sql.SQL(
                            "INSERT INTO ameide.{} SELECT * FROM jsonb_populate_record(NULL::ameide.{}, %s)"
                        ).format(name, name),
                        ('{"tenant_id": "acme"}',),
                    )


def test_a_tenant_sees_its_own_rows_only(database: SpineDatabase) -> None:
    tables = [table for table in tenant_tables(database) if table not in ("log", "parked", "outbox")]
    fill(database, tables, "acme")
    fill(database, tables, "other")
    with psycopg.connect(database.dsn("ameide_app"), autocommit=True) as app:
        app.execute("SELECT set_config('ameide.tenant_id', 'acme', false)")
        for table in tables:
            seen = app.execute(sql.SQL("SELECT tenant_id FROM ameide.{}").format(sql.Identifier(table))).fetchall()
            assert seen == [("acme",)], table


def test_a_part_of_the_log_is_reached_through_the_log_alone(database: SpineDatabase) -> None:
    fill(database, ["log"], "acme")
    with psycopg.connect(database.address.conninfo, autocommit=True) as admin:
        parts = [str(name) for (name,) in admin.execute("SELECT name FROM ameide.log_partition").fetchall()]
    assert parts
    for role in ROLES:
        with psycopg.connect(database.dsn(role), autocommit=True) as connection:
            connection.execute("SELECT set_config('ameide.tenant_id', 'acme', false)")
            for part in parts:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(sql.SQL("SELECT FROM ameide.{}").format(sql.Identifier(part)))


async def test_the_setting_ends_with_its_transaction(database: SpineDatabase) -> None:
    fill(database, ["aggregate"], "acme")
    app = Database(database.dsn("ameide_app"), max_size=1)
    await app.open()
    async with app.transaction("acme") as tx:
        assert await tx.fetch_one("SELECT count(*) AS rows FROM ameide.aggregate") == {"rows": 1}
    async with app.transaction(None) as tx:
        assert await tx.fetch_one("SELECT count(*) AS rows FROM ameide.aggregate") == {"rows": 0}
    await app.close()


async def test_the_start_up_check_admits_the_application_role_only(database: SpineDatabase) -> None:
    await check_guard(database.dsn("ameide_app"))
    with pytest.raises(Refused, match="ameide_app"):
        await check_guard(database.address.conninfo)
    with psycopg.connect(database.address.conninfo, autocommit=True) as admin:
        admin.execute("ALTER TABLE ameide.work NO FORCE ROW LEVEL SECURITY")
    with pytest.raises(Refused, match="work"):
        await check_guard(database.dsn("ameide_app"))


async def test_migrating_again_does_nothing_and_a_newer_database_is_refused(database: SpineDatabase) -> None:
    assert await migrate(database.address.conninfo) == []
    with psycopg.connect(database.address.conninfo, autocommit=True) as admin:
        admin.execute("INSERT INTO ameide.schema_version (number, name) VALUES (9999, 'tomorrow')")
    with pytest.raises(Refused, match="9999"):
        await migrate(database.address.conninfo)
