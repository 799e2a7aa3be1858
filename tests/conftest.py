"""Shared fixtures: the embedded engines, started only for the tests that ask for them, once a session.

``postgres_server`` starts PostgreSQL alone; ``engine`` starts Temporal as well. Each test gets databases of its own
from ``databases``, cloned from a template that is prepared once.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from ameide.config import DATABASE_ROLES, SCALER_ROLE
from ameide.engine.engine import Engine, Running
from ameide.engine.postgres import PostgresAddress
from ameide.storage.migrate import ensure_roles, migrate
from tests.engines.kafka import broker_in
from tests.engines.kafka.broker import KafkaBroker

_ROOM = 6 << 30  # bytes: the engines of two workers, with their logs

# Whole installations and killed processes take minutes a file, pure rules milliseconds. Two workers are done at the
# same time when no long file is left for the end.
_LONGEST_FIRST = ("acceptance", "faults", "cli", "kit", "process", "log", "engine")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A worker of pytest-xdist begins with the long files; without workers the order is the one of the folders."""

    def place(item: pytest.Item) -> int:
        folder = item.nodeid.split("/")[1]
        return _LONGEST_FIRST.index(folder) if folder in _LONGEST_FIRST else len(_LONGEST_FIRST)

    if hasattr(config, "workerinput"):
        items.sort(key=place)


@pytest.fixture(scope="session")
def cache_dir() -> Path:
    """Where the compiled Temporal server is shared."""
    return Path(os.environ.get("AMEIDE_CACHE_DIR") or Path.home() / ".cache" / "ameide")


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """A short-named state folder that other accounts can pass, removed afterwards."""
    folder = _passable_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def session_engine(cache_dir: Path) -> Iterator[Engine]:
    """The engines of this session; nothing runs before a test asks for it. No test may kill them."""
    folder = _passable_folder(_memory())
    engine = Engine(folder, cache_dir, say=lambda line: print(line, flush=True))
    yield engine
    engine.stop()
    engine.purge()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_server(session_engine: Engine) -> PostgresAddress:
    """A running PostgreSQL: the superuser's way to its database ``ameide``."""
    return session_engine.start_postgres()


@pytest.fixture(scope="session")
def engine(session_engine: Engine) -> Running:
    """A running PostgreSQL and Temporal."""
    return session_engine.start()


@pytest.fixture(scope="session")
def kafka(cache_dir: Path) -> Iterator[KafkaBroker]:
    """A running Kafka, with TLS and SASL too. A test that stops it starts it again."""
    folder = _passable_folder(_memory())
    with broker_in(folder, cache_dir, secure=True) as running:
        yield running
    shutil.rmtree(folder)


class Databases:
    """Databases of one server: templates prepared once, clones made in some ten milliseconds in memory."""

    def __init__(self, server: PostgresAddress) -> None:
        self._server = server
        self._templates: set[str] = set()
        self._clones = 0

    def template(self, name: str, prepare: Callable[[PostgresAddress], None]) -> str:
        """The template ``name``, made by ``prepare`` the first time; it must leave no connection open."""
        if name not in self._templates:
            self._execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            prepare(replace(self._server, dbname=name))
            self._templates.add(name)
        return name

    def clone(self, template: str = "template1") -> PostgresAddress:
        """A new database like the template."""
        self._clones += 1
        name = f"test_{self._clones}"
        self._execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        return replace(self._server, dbname=name)

    def drop(self, database: PostgresAddress) -> None:
        """Remove a clone, ending whatever still uses it."""
        self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database.dbname)))

    def _execute(self, statement: sql.Composed) -> None:
        server = replace(self._server, dbname="postgres")
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            connection.execute(statement)


@pytest.fixture(scope="session")
def databases(postgres_server: PostgresAddress) -> Databases:
    """Makes databases for tests."""
    return Databases(postgres_server)


@pytest.fixture
def empty_database(databases: Databases) -> Iterator[PostgresAddress]:
    """A database of its own for one test, with nothing in it."""
    database = databases.clone()
    yield database
    databases.drop(database)


@dataclass(frozen=True)
class SpineDatabase:
    """A database with the schema of the control plane and a password for each of its roles."""

    address: PostgresAddress

    def dsn(self, role: str) -> str:
        """The connection string of one role, e.g. ``ameide_app``."""
        return replace(self.address, user=role, password=_role_password(role)).conninfo


@pytest.fixture
def database(databases: Databases) -> Iterator[SpineDatabase]:
    """A database of its own for one test, migrated, with the roles that may log in."""
    yield from spine(databases)


def spine(databases: Databases) -> Iterator[SpineDatabase]:
    """A migrated database, removed afterwards: for fixtures of another scope."""
    clone = databases.clone(databases.template("spine", _prepare_spine))
    yield SpineDatabase(clone)
    databases.drop(clone)


def _prepare_spine(template: PostgresAddress) -> None:
    async def prepare() -> None:
        await ensure_roles(template.conninfo, role_passwords())
        await migrate(template.conninfo)

    asyncio.run(prepare())


def role_passwords() -> dict[str, str]:
    """The password of each role that may log in."""
    return {role: _role_password(role) for role in (*DATABASE_ROLES, SCALER_ROLE)}


def _role_password(role: str) -> str:
    return f"password of {role}"


def _memory() -> Path | None:
    """A folder in memory with room to spare, if there is one: a clone is hundreds of files, slow to make on a disk."""
    folder = Path("/dev/shm")
    return folder if folder.is_dir() and shutil.disk_usage(folder).free > _ROOM else None


def _passable_folder(parent: Path | None = None) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="ameide-", dir=parent))
    folder.chmod(0o711)
    return folder
