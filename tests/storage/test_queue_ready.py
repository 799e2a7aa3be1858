"""What a scaler of executors may ask the database, and all that it may not."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from ameide.config import SCALER_ROLE
from tests.conftest import SpineDatabase

CODER, VERIFY = "transformation.work.queue.agentwork.coder.v1", "transformation.work.queue.toolrun.verify.v1"


def waiting(database: SpineDatabase, *works: tuple[str, str]) -> None:
    """Queue rows, one for each (queue, tenant)."""
    with psycopg.connect(database.address.conninfo, autocommit=True) as admin:
        for number, (queue, tenant) in enumerate(works):
            admin.execute(
                "INSERT INTO ameide.queue_item (queue, tenant_id, work_request_id, dispatch, position) "
                "VALUES (%s, %s, %s, 1, %s)",
                (queue, tenant, f"wrk-{number}", number),
            )


@pytest.fixture
def scaler(database: SpineDatabase) -> psycopg.Connection:
    """A scaler's connection."""
    return psycopg.connect(database.dsn(SCALER_ROLE), autocommit=True)


def test_works_that_wait_are_counted_by_queue_and_tenant(database: SpineDatabase, scaler: psycopg.Connection) -> None:
    def ready(*arguments: str | None) -> object:
        marks = sql.SQL(", ").join([sql.Placeholder()] * len(arguments))
        row = scaler.execute(sql.SQL("SELECT ameide.queue_ready({})").format(marks), arguments).fetchone()
        return row[0] if row else None

    assert ready(CODER) == 0
    waiting(database, (CODER, "acme"), (CODER, "acme"), (CODER, "other"), (VERIFY, "acme"))
    assert [ready(CODER), ready(VERIFY), ready("no such queue")] == [3, 1, 0]
    assert [ready(CODER, "acme"), ready(CODER, "other"), ready(CODER, "nobody")] == [2, 1, 0]
    # A setting of the session decides nothing.
    scaler.execute("SELECT set_config('ameide.tenant_id', 'other', false)")
    assert ready(CODER) == 3


def test_nothing_else_can_be_read_written_or_called(database: SpineDatabase, scaler: psycopg.Connection) -> None:
    waiting(database, (CODER, "acme"))
    with psycopg.connect(database.address.conninfo) as admin:
        relations = admin.execute(
            "SELECT c.oid::regclass::text, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname LIKE 'ameide%%' AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')",
        ).fetchall()
        functions = admin.execute(
            "SELECT p.oid::regprocedure::text, has_function_privilege(%s, p.oid, 'EXECUTE') "
            "FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname LIKE 'ameide%%'",
            (SCALER_ROLE,),
        ).fetchall()
        held = [
            f"{privilege} on {relation}"
            for relation, kind in relations
            for privilege in ("SELECT", "USAGE", "UPDATE")
            if kind == "S" or privilege != "USAGE"
            for (allowed,) in admin.execute(
                f"SELECT has_{'sequence' if kind == 'S' else 'table'}_privilege(%s, %s, %s)",  # type: ignore[arg-type]
                (SCALER_ROLE, relation, privilege),
            )
            if allowed
        ]
        member = admin.execute(
            "SELECT rolname FROM pg_roles WHERE rolname <> %s AND pg_has_role(%s, oid, 'MEMBER')",
            (SCALER_ROLE, SCALER_ROLE),
        ).fetchall()
        rights = admin.execute(
            "SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication FROM pg_roles "
            "WHERE rolname = %s",
            (SCALER_ROLE,),
        ).fetchone()
    assert len(relations) > 20
    assert [name for name, allowed in functions if allowed] == ["ameide.queue_ready(text,text)"]
    assert (held, member, rights) == ([], [], (False,) * 5)
    for statement in (
        "SELECT count(*) FROM ameide.queue_item",
        "DELETE FROM ameide.queue_item",
        "SELECT 1 FROM ameide.work",
        "SELECT ameide.move_outbox(1, '{}', 1, 1)",
        "SET ROLE ameide_owner",
        "CREATE TABLE ameide.mine (one integer)",
        "CREATE TABLE public.mine (one integer)",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            scaler.execute(statement)  # type: ignore[arg-type]


def test_a_function_that_comes_later_is_not_everybodys(database: SpineDatabase) -> None:
    with psycopg.connect(database.address.conninfo) as admin:
        admin.execute("SET ROLE ameide_owner")
        admin.execute("CREATE FUNCTION ameide.later() RETURNS integer LANGUAGE sql AS 'SELECT 1'")
        row = admin.execute("SELECT has_function_privilege('ameide_keda', 'ameide.later()', 'EXECUTE')").fetchone()
    assert row == (False,)
