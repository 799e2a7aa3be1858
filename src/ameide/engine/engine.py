"""The embedded engines of one state folder, seen as one: install, start, stop, status, purge."""

import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from ameide.engine.account import elsewhere
from ameide.engine.errors import StateError
from ameide.engine.files import sole_holder
from ameide.engine.install import TemporalInstall
from ameide.engine.namespace import NAMESPACE, SEARCH_ATTRIBUTES, Run, register_apart, run_apart
from ameide.engine.ports import Ports
from ameide.engine.postgres import Postgres, PostgresAddress
from ameide.engine.secret import Secrets
from ameide.engine.snapshot import put, take
from ameide.engine.temporal import Temporal

DATABASE = "ameide"


@dataclass(frozen=True)
class Running:
    """What was started, and how to reach it. ``temporal_address`` is ``host:port``."""

    postgres: PostgresAddress
    temporal_address: str
    namespace: str


@dataclass(frozen=True)
class EngineStatus:
    """One engine: its process, or None when it does not run; where it is reached and where its log lies."""

    name: str
    pid: int | None
    address: str | None
    log: Path


class Engine:
    """PostgreSQL 18 and Temporal for one state folder.

    Both run on after the program that started them has ended, until ``stop``. All methods block; from asyncio call them
    by ``asyncio.to_thread``. Errors are ``EngineError`` and name the remedy.

    ``state_dir`` holds the data (below ``engine``), ``cache_dir`` the compiled Temporal server, for all state folders.
    ``temporal_address`` names a Temporal server that somebody else runs: then only PostgreSQL is started here.
    Otherwise a ``temporal`` on the PATH serves while nothing is built, else the pinned server, built first if need be.
    ``say`` receives progress, one line each.
    """

    def __init__(
        self,
        state_dir: Path,
        cache_dir: Path,
        say: Callable[[str], None],
        temporal_address: str | None = None,
        namespace: str = NAMESPACE,
    ) -> None:
        self.home = state_dir.resolve() / "engine"
        self._say = say
        self._elsewhere = elsewhere(state_dir.resolve())
        self._external = temporal_address
        self._namespace = namespace
        ports = Ports(self.home / "ports.json", say)
        self.install = TemporalInstall(cache_dir, say)
        self.postgres = Postgres(state_dir.resolve(), ports, Secrets(self.home / "secrets.json"), say)
        self.temporal = Temporal(state_dir.resolve(), self.install, self.postgres, ports, say)

    def ensure_installed(self) -> None:
        """Build the Temporal server unless it is cached or not needed; the first time takes minutes."""
        if self._external is None and self.temporal.needs_build():
            self.install.ensure()

    def start_postgres(self) -> PostgresAddress:
        """Bring only PostgreSQL up, with the database ``ameide``, and return the superuser's way to it."""
        with self._alone():
            if self.postgres.start():
                self._say(f"PostgreSQL 18 is up at {self.postgres.address().host}:{self.postgres.address().port}.")
            return self.postgres.ensure_database(DATABASE)

    def start(self, search_attributes: tuple[str, ...] = SEARCH_ATTRIBUTES) -> Running:
        """Bring everything up, and register the namespace and the Keyword search attributes.

        What runs already is left alone.
        """
        self.ensure_installed()
        address = self.start_postgres()
        temporal = self.start_temporal()
        self.register(search_attributes)
        return Running(address, temporal, self._namespace)

    def start_temporal(self) -> str:
        """Bring only Temporal up, once PostgreSQL runs; ``host:port`` of its frontend."""
        if self._external:
            self._say(f"Using the Temporal server at {self._external}.")
            return self._external
        with self._alone():
            self.temporal.start()
        return self.temporal.address()

    def register(self, search_attributes: tuple[str, ...] = SEARCH_ATTRIBUTES, run: Run = run_apart) -> None:
        """Register what is missing at the running Temporal server; ``run`` runs the program that does it."""
        register_apart(self._external or self.temporal.address(), self._namespace, search_attributes, run)

    def stop(self) -> None:
        """Stop what was started for this state folder, and nothing else.

        Data and running workflows stay for the next start.
        """
        if not self.home.exists():
            return
        with self._alone():
            if self.temporal.stop():
                self._say("Temporal is stopped.")
            if self.postgres.stop():
                self._say("PostgreSQL is stopped.")

    def status(self) -> tuple[EngineStatus, ...]:
        """Both engines as they are now; changes nothing."""
        if not self.home.exists():
            never = self.home / "postgres" / "postgres.log"
            return EngineStatus("postgres", None, None, never), EngineStatus("temporal", None, None, self.temporal.log)
        cluster = self.postgres.cluster()
        database, server = self.postgres.process(cluster), self.temporal.process()
        where = self.postgres.address() if database else None
        return (
            EngineStatus("postgres", _pid(database), f"{where.host}:{where.port}" if where else None, cluster.log),
            EngineStatus("temporal", _pid(server), self.temporal.address() if server else None, self.temporal.log),
        )

    def take_snapshot(self, folder: Path) -> None:
        """Write one moment of both engines into the empty `folder`, while they run; PostgreSQL must."""
        with self._alone():
            take(self.postgres, self.temporal.home, folder)

    def put_snapshot(self, folder: Path) -> None:
        """Make the data of both engines from a snapshot; `start` goes on from there. There must be none yet."""
        with self._alone():
            put(self.postgres, self.temporal.home, folder)

    def purge_paths(self) -> tuple[Path, ...]:
        """The folders that ``purge`` deletes. The cache with the compiled server is not among them."""
        return tuple(path for path in (self.home, self._elsewhere) if path.exists())

    def purge(self) -> None:
        """Delete all data of the engines. They must be stopped."""
        with self._alone():
            if any(engine.pid for engine in self.status()):
                raise StateError("The engines are running. Stop them first: ameide down")
            for path in self.purge_paths():
                shutil.rmtree(path)

    @contextmanager
    def _alone(self) -> Generator[None]:
        with sole_holder(
            self.home.with_name("engine.lock"),
            lambda: self._say("Another ameide command starts or stops the engines; waiting."),
        ):
            yield


def _pid(process: psutil.Process | None) -> int | None:
    return process.pid if process else None
