"""The tables of the embedded Temporal server, brought to its release before it starts."""

import os
import sqlite3
import subprocess
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import psycopg
from psycopg import sql

from ameide.engine.errors import StartError
from ameide.engine.install import VERSION
from ameide.engine.postgres import Postgres, PostgresAddress

DATABASE = "temporal"
_MARK = "ameide: schema of Temporal "


def prepare(postgres: Postgres, sql_tool: Path, say: Callable[[str], None]) -> PostgresAddress:
    """Create or upgrade Temporal's database and return how its own role reaches it.

    The database's comment names the release whose schema it holds. No comment means that its first set-up was cut
    short; a server never ran on it, so it is made anew.
    """
    with psycopg.connect(postgres.address().conninfo, autocommit=True) as connection:
        mark = connection.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", [DATABASE]
        ).fetchone()
        if mark == (None,):
            say("The last set-up of Temporal's database was interrupted; doing it again.")
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(DATABASE)))
        address = postgres.ensure_database(DATABASE, owner=DATABASE)
        if mark == (_MARK + VERSION,):
            return address
        if mark in (None, (None,)):
            _run(sql_tool, address, ["setup-schema", "--version", "0.0"])
        _run(sql_tool, address, ["update-schema", "--schema-name", "postgresql/v12/temporal"])
        connection.execute(
            sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(DATABASE), sql.Literal(_MARK + VERSION))
        )
    return address


def _run(sql_tool: Path, address: PostgresAddress, command: Sequence[str]) -> None:
    reach = {
        "SQL_PLUGIN": "postgres12_pgx",
        "SQL_HOST": address.host,
        "SQL_PORT": str(address.port),
        "SQL_USER": address.user,
        "SQL_PASSWORD": address.password,
        "SQL_DATABASE": address.dbname,
    }
    done = subprocess.run(
        [sql_tool, *command],
        env={"PATH": os.defpath, **reach},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).replace(address.password, "***").splitlines()[-8:])
        raise StartError(f"Temporal's database schema could not be applied ({command[0]}):\n{said}")


def drop_partial_visibility(file: Path) -> None:
    """Remove a visibility file whose tables were not all made when the server was killed; the server makes it anew."""
    if not file.exists():
        return
    with closing(sqlite3.connect(file)) as connection:
        # The last statement of the schema creates this trigger.
        made = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'executions_visibility_au'").fetchone()
    if not made:
        for part in file.parent.glob(f"{file.name}*"):
            part.unlink()
