"""The embedded PostgreSQL 18 of a state folder: loopback only, a password for everybody, fsync on."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ameide.engine.cluster import SUPERUSER, Cluster, cluster_of
from ameide.engine.errors import StartError, StateError
from ameide.engine.files import Log
from ameide.engine.ports import Ports
from ameide.engine.postgres_settings import HOST_BASED_AUTHENTICATION, settings
from ameide.engine.processes import end
from ameide.engine.secret import Secrets

_GRACE = 30  # seconds for open transactions to be rolled back and the last checkpoint to be written


@dataclass(frozen=True)
class PostgresAddress:
    """How to reach one database; the password is kept out of ``repr``."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    dbname: str

    @property
    def conninfo(self) -> str:
        """A libpq connection string. It contains the password."""
        return make_conninfo(host=self.host, port=self.port, user=self.user, password=self.password, dbname=self.dbname)


class Postgres:
    """Starts and stops the server of ``state_dir``. Callers see to it that only one process does so at a time."""

    def __init__(self, state_dir: Path, ports: Ports, secrets: Secrets, say: Callable[[str], None]) -> None:
        self._state_dir = state_dir
        self._ports = ports
        self._secrets = secrets
        self._say = say

    def cluster(self) -> Cluster:
        """Its files and programs."""
        return cluster_of(self._state_dir, self._say)

    def process(self, cluster: Cluster) -> psutil.Process | None:
        """The living server. It is ours only if it serves this very data folder, whatever pid its file names."""
        pid = _pid_on_file(cluster)
        if pid is None:
            return None
        try:
            process = psutil.Process(pid)
            ours = str(cluster.data) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return None
        return process if ours else None

    def address(self, dbname: str = SUPERUSER) -> PostgresAddress:
        """The superuser's way to a database, as recorded by the last start."""
        port = self._ports.known().get("postgres")
        password = self._secrets.known(SUPERUSER)
        if port is None or password is None:
            raise StateError(f"No database was started in {self._state_dir} yet. Start it: ameide up")
        return PostgresAddress("127.0.0.1", port, SUPERUSER, password, dbname)

    def start(self) -> bool:
        """Bring the server up; False when it was up already. Under a second on an initialised folder."""
        cluster = self.cluster()
        if cluster.exists():
            cluster.check_version()
            if self._secrets.known(SUPERUSER) is None:
                raise StateError(
                    f"{self._secrets.path}, which has the database's password, is gone. Restore it, or give the data"
                    " up: ameide down --purge"
                )
            if self.process(cluster):
                return False
            self._forget_dead_server(cluster)
        else:
            self._say("Initialising the embedded PostgreSQL 18.")
            cluster.initialise(self._secrets.ensure(SUPERUSER), self._say)
        self._launch(cluster)
        return True

    def _forget_dead_server(self, cluster: Cluster) -> None:
        pid = _pid_on_file(cluster)
        if pid is None:
            return
        self._say(
            "PostgreSQL was not shut down in order the last time; it recovers from its log. Nothing committed is lost."
        )
        if psutil.pid_exists(pid):
            # Somebody else's by now, or a zombie; PostgreSQL goes by the number alone and would refuse to start.
            (cluster.data / "postmaster.pid").unlink()

    def _launch(self, cluster: Cluster) -> None:
        cluster.sockets.mkdir(mode=0o700, exist_ok=True)
        if cluster.account:
            cluster.account.own(cluster.sockets)
        deadline = time.monotonic() + _GRACE
        while True:
            port = self._ports.claim(["postgres"])["postgres"]
            cluster.write(cluster.data / "postgresql.conf", settings(port, cluster.sockets))
            cluster.write(cluster.data / "pg_hba.conf", HOST_BASED_AUTHENTICATION)
            log = Log(cluster.log)
            done = cluster.run("pg_ctl", ["start", "-w", "-s", "-t", "60", "-D", cluster.data, "-l", cluster.log])
            if done.returncode == 0:
                return
            said = log.gained()
            # A port can be lost between choosing and binding it; the backends of a killed server take a moment to end.
            passing = "could not create any TCP/IP sockets" in said or "pre-existing shared memory block" in said
            if not passing or time.monotonic() > deadline:
                raise StartError(f"PostgreSQL did not start. The end of {cluster.log}:\n{said or done.stderr}")
            time.sleep(0.2)

    def stop(self) -> bool:
        """Shut the server down: sessions are ended, nothing committed is lost. False when it was not running."""
        cluster = self.cluster()
        process = self.process(cluster)
        if process is None:
            return False
        done = cluster.run("pg_ctl", ["stop", "-m", "fast", "-w", "-s", "-t", str(_GRACE), "-D", cluster.data])
        if done.returncode:
            end(process, grace=_GRACE)
        return True

    def admit_backups(self) -> None:
        """Let the superuser copy the running server, also one that was started before it was allowed to.

        Raises StateError when the server does not take it in.
        """
        cluster = self.cluster()
        before = self._loaded_at()
        cluster.write(cluster.data / "pg_hba.conf", HOST_BASED_AUTHENTICATION)
        cluster.run("pg_ctl", ["reload", "-s", "-D", cluster.data])
        deadline = time.monotonic() + _GRACE
        # The signal is not answered. A session that begins after the server read its files knows when that was.
        while self._loaded_at() == before:
            if time.monotonic() > deadline:
                raise StateError(f"PostgreSQL did not read {cluster.data / 'pg_hba.conf'} again; see {cluster.log}")
            time.sleep(0.02)

    def _loaded_at(self) -> object:
        with psycopg.connect(self.address().conninfo, autocommit=True) as connection:
            return connection.execute("SELECT pg_conf_load_time()").fetchone()

    def ensure_database(self, name: str, owner: str = SUPERUSER) -> PostgresAddress:
        """Create the database and the role that owns it, if missing; returns the owner's way to it.

        The role may log in and nothing else, and nobody but the owner and the superuser may connect to the database.
        """
        password = self._secrets.ensure(owner)
        with psycopg.connect(self.address().conninfo, autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [owner]).fetchone():
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(owner), sql.Literal(password))
                )
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(owner))
                )
                connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
        return replace(self.address(name), user=owner, password=password)


def _pid_on_file(cluster: Cluster) -> int | None:
    try:
        return int((cluster.data / "postmaster.pid").read_text(encoding="ascii", errors="replace").split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None
