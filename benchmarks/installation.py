"""The cluster of a benchmark, databases with the product's schema on it, and processes of the product."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from ameide import schema
from ameide.app import upkeep
from ameide.cli.principals import admissions
from ameide.config import DATABASE_ROLES, Settings
from ameide.engine.engine import Engine
from ameide.engine.namespace import SEARCH_ATTRIBUTES, register_apart
from ameide.engine.ports import is_free
from ameide.engine.postgres import PostgresAddress
from ameide.rpc.clients import Clients
from benchmarks.protocol import say

_numbers = count(1)
_PATIENCE = 60.0


@dataclass(frozen=True)
class Cluster:
    """A running PostgreSQL, and Temporal when it was asked for. `folder` is for files of the benchmark."""

    folder: Path
    postgres: PostgresAddress
    programs: Path
    temporal_address: str = ""

    def database(self, name: str) -> PostgresAddress:
        """A new empty database."""
        name = f"bench_{name}_{next(_numbers)}"
        with psycopg.connect(replace(self.postgres, dbname="postgres").conninfo, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return replace(self.postgres, dbname=name)

    async def installation(self, name: str) -> Installation:
        """A new database with the schema, its roles, and a token for each principal of a fresh installation."""
        address = self.database(name)
        folder = self.folder / address.dbname
        folder.mkdir()
        return await installed(address, folder, self.temporal_address)


async def installed(admin: PostgresAddress, folder: Path, temporal_address: str = "") -> Installation:
    """The schema, roles and principals of a fresh installation in an empty database. `folder` is for its files."""
    place = f"{admin.host}:{admin.port}/{admin.dbname}"
    urls = {f"database_url_{r.removeprefix('ameide_')}": _url(r, admin, place) for r in DATABASE_ROLES}
    port = next(p for p in range(21000 + 7 * next(_numbers), 32000) if is_free(p))
    settings = Settings(
        state_dir=folder,
        database_url_admin=admin.conninfo,
        **urls,
        address=f"http://127.0.0.1:{port}",
        listen_port=port,
        temporal_address=temporal_address,
        temporal_namespace=admin.dbname.replace("_", "-"),
        lease_seconds=60,
        log_level="WARNING",
    )
    if temporal_address:
        await asyncio.to_thread(register_apart, temporal_address, settings.temporal_namespace, SEARCH_ATTRIBUTES)
    await schema.migrate(settings)
    return Installation(admin, settings, await upkeep.bootstrap(settings, admissions()))


@dataclass(frozen=True)
class Installation:
    """One database of the product and the way to each of its doors."""

    admin: PostgresAddress
    settings: Settings
    tokens: dict[str, str]

    def dsn(self, role: str) -> str:
        """The connection string of a role, e.g. `app`."""
        return str(getattr(self.settings, f"database_url_{role}"))

    def clients(self, principal: str) -> Clients:
        """The door, as a principal."""
        return Clients(self.settings.address, self.tokens[principal], timeout=30.0)

    @contextmanager
    def serving(self, *roles: str, environment: dict[str, str] | None = None) -> Generator[int]:
        """`ameide serve ROLE…` in a process of its own, as an operator starts it; its pid."""
        ready = self.settings.state_dir / f"{roles[0]}.ready"
        ready.unlink(missing_ok=True)
        said = {
            "PATH": os.environ["PATH"],
            "AMEIDE_STATE_DIR": str(self.settings.state_dir),
            "AMEIDE_ADDRESS": self.settings.address,
            "AMEIDE_LISTEN_PORT": str(self.settings.listen_port),
            "AMEIDE_LEASE_SECONDS": str(self.settings.lease_seconds),
            "AMEIDE_PROCESS_TOKEN": self.tokens["process"],
            "AMEIDE_LOG_LEVEL": self.settings.log_level,
            "TEMPORAL_ADDRESS": self.settings.temporal_address,
            "TEMPORAL_NAMESPACE": self.settings.temporal_namespace,
            **{f"AMEIDE_DATABASE_URL_{r.removeprefix('ameide_').upper()}": self.dsn(r[7:]) for r in DATABASE_ROLES},
            **(environment or {}),
        }
        with (self.settings.state_dir / f"{roles[0]}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "ameide", "serve", *roles, "--ready-file", str(ready)],
                env=said,
                cwd=self.settings.state_dir,
                stdout=log,
                stderr=log,
            )
        try:
            _wait_for(ready, process, self.settings.state_dir / f"{roles[0]}.log")
            yield process.pid
        finally:
            process.terminate()
            process.wait(_PATIENCE)


@contextmanager
def cluster(*, temporal: bool = False) -> Generator[Cluster]:
    """A cluster of its own in a temporary folder, durable as in production; removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="ameide-bench-"))
    folder.chmod(0o711)
    cache = Path(os.environ.get("AMEIDE_CACHE_DIR") or Path.home() / ".cache" / "ameide")
    engine = Engine(folder, cache, say)
    try:
        if temporal:
            running = engine.start()
            yield Cluster(folder, running.postgres, engine.postgres.cluster().programs, running.temporal_address)
        else:
            address = engine.start_postgres()
            yield Cluster(folder, address, engine.postgres.cluster().programs)
    finally:
        engine.stop()
        engine.purge()
        shutil.rmtree(folder, ignore_errors=True)


def url_of(address: PostgresAddress) -> str:
    """The superuser's way to a database as a URL, which every peer understands. It contains the password."""
    return _url(address.user, address, f"{address.host}:{address.port}/{address.dbname}")


def address_of(url: str) -> PostgresAddress:
    """The other way round."""
    said = conninfo_to_dict(url)
    return PostgresAddress(
        str(said["host"]), int(str(said["port"])), str(said["user"]), str(said["password"]), str(said["dbname"])
    )


def _url(role: str, admin: PostgresAddress, place: str) -> str:
    # Roles are the cluster's and databases come and go: all of them share the superuser's password here.
    return f"postgresql://{role}:{quote(admin.password, safe='')}@{place}"


def _wait_for(ready: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the process did not become ready. The end of its log:\n{log.read_text()[-2000:]}")
        time.sleep(0.02)
