"""What this machine has to offer: programs, folders, space, ports, and users that executors run work as."""

from __future__ import annotations

import os
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ameide import config
from ameide.cli.engines import engine_of
from ameide.cli.processes import Managed
from ameide.cli.starting import ports_for
from ameide.cli.state import StateFolder
from ameide.config import Settings
from ameide.engine.account import SHARED
from ameide.engine.ports import is_free
from ameide.infra.isolation.bubblewrap import REMEDY, find_bubblewrap, why_it_fails
from ameide.infra.roles import Role
from ameide.infra.settings import NO_SANDBOX
from ameide.infra.toolchain import runs

_GIB = 1024**3
_GIT = (2, 38)
_PYTHON = (3, 11, 4)
_FILES = 1024


@dataclass(frozen=True)
class Check:
    """One answer: what was found, and where it is not good the remedy."""

    name: str
    good: bool
    said: str
    remedy: str = ""


def python(_settings: Settings) -> Check:
    """The interpreter. 3.11.4 is the first with a filter for archives."""
    version = ".".join(map(str, sys.version_info[:3]))
    return Check(
        "Python 3.11.4 or newer", sys.version_info >= _PYTHON, f"{version}, {sys.executable}", "install a newer Python"
    )


def git(_settings: Settings) -> Check:
    """Merges are tried with `merge-tree --write-tree`."""
    name, remedy = f"git {_GIT[0]}.{_GIT[1]} or newer", "install git of this version or newer"
    try:
        said = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return Check(name, False, "there is no git on the PATH", remedy)
    numbers = tuple(int(part) for part in said.split()[2].split(".")[:2])
    return Check(name, numbers >= _GIT, said, remedy)


def buf(_settings: Settings) -> Check:
    """Generates code of target repositories."""
    return _program("buf")


def uv(_settings: Settings) -> Check:
    """Makes the environments in which suites run."""
    return _program("uv")


def temporal_server(settings: Settings) -> Check:
    """What serves the runs: somebody else's, the built one, or Go to build it with."""
    name = "Temporal server, or Go to build it"
    if settings.temporal_address:
        return Check(name, True, f"of your own, at {settings.temporal_address}")
    engine = engine_of(settings, lambda _: None)
    if engine.install.is_complete():
        return Check(name, True, str(engine.install.server))
    if not engine.temporal.needs_build():
        return Check(name, True, "the `temporal` on the PATH")
    go = _program("go")
    return Check(name, go.good, "is built at the first `ameide up`, in some minutes" if go.good else go.said, go.remedy)


def state_folder(settings: Settings) -> Check:
    """Ours, writable, and what is secret in it closed to others."""
    name, root = "state folder is yours alone", settings.state_dir
    folder = _existing(root)
    if not _writable(folder):
        return Check(name, False, f"{folder} cannot be written", "make it writable, or set AMEIDE_STATE_DIR")
    if folder != root:
        return Check(name, True, f"{root} is made at the first `ameide up`")
    status = root.stat()
    if status.st_uid != os.geteuid():
        return Check(
            name, False, f"{root} belongs to user id {status.st_uid}", "go on as that user, or use another folder"
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return Check(name, False, f"others may write {root}", f"chmod 711 {root}")
    state = StateFolder(root)
    for secret in (state.tokens, state.secrets, *(state.tokens / name for name in state.known_principals())):
        if secret.exists() and secret.stat().st_mode & 0o077:
            mode = "700" if secret.is_dir() else "600"
            return Check(name, False, f"others may read {secret}", f"chmod {mode} {secret}; then revoke what they saw")
    return Check(name, True, str(root))


def space(settings: Settings) -> Check:
    """For data and evidence; a build of the Temporal server takes more for some minutes."""
    folder = _existing(settings.state_dir)
    free = shutil.disk_usage(folder).free
    return Check(
        "2 GiB free for the state folder",
        free >= 2 * _GIB,
        f"{free / _GIB:.1f} GiB at {folder}",
        "make room, or set AMEIDE_STATE_DIR to a folder elsewhere",
    )


def port(settings: Settings) -> Check:
    """One that the control process can listen on, or listens on."""
    name = "port for the control process"
    if Managed("control", StateFolder(settings.state_dir)).process() is not None:
        return Check(name, True, StateFolder(settings.state_dir).address())
    allowed = ports_for(settings)
    free = next((port for port in allowed if is_free(port)), None)
    taken = f"{allowed.start} to {allowed.stop - 1} are taken by other programs"
    return Check(name, free is not None, taken if free is None else str(free), "set AMEIDE_LISTEN_PORT to a free one")


def open_files(_settings: Settings) -> Check:
    """Connections and logs each take one."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    good = soft == resource.RLIM_INFINITY or soft >= _FILES
    return Check(
        f"{_FILES} open files", good, f"the limit is {soft}", f"ulimit -n {_FILES}, or raise it for the service"
    )


def executor_users(settings: Settings) -> Check:
    """As root, work runs as other users, who need an interpreter."""
    name = "users that run work"
    if os.geteuid() != 0:
        return Check(name, True, "work runs as yourself; as root it would have users of its own")
    users = {role: role.user(settings) for role in Role}
    uids = {user.uid for user in users.values() if user is not None}
    if len(uids) < len(users) or 0 in uids:
        return Check(
            name, False, "author and verifier are one user, or root", "set AMEIDE_AUTHOR_UID, AMEIDE_VERIFIER_UID"
        )
    interpreter = Path(settings.child_python or sys.executable)
    for role, user in users.items():
        assert user is not None
        if not _can_become(user.uid):
            return Check(
                name, False, f"user id {user.uid} cannot be taken on here", f"set AMEIDE_{role.name}_UID to another"
            )
        if runs(interpreter, user):
            continue
        if settings.child_python:
            said = f"user id {user.uid} ({role.value}) cannot execute {interpreter}"
            return Check(name, False, said, "set AMEIDE_CHILD_PYTHON to an interpreter for all users, or unset it")
        if not _writable(_existing(SHARED)):
            return Check(name, False, f"no interpreter can be put into {SHARED}", "set AMEIDE_CHILD_PYTHON")
    return Check(name, True, ", ".join(f"{role.value} {user.uid}" for role, user in users.items() if user))


def sandbox(settings: Settings) -> Check:
    """Work runs in a sandbox, which is tried as the users that run work."""
    name = "sandbox of the work"
    if settings.sandbox == NO_SANDBOX:
        return Check(name, True, "none, by AMEIDE_SANDBOX: programs of a work see this machine and its network")
    if sys.platform != "linux":
        return Check(name, False, f"there is none on {sys.platform}", REMEDY)
    found = ""
    for role in Role:
        user = role.user(settings)
        program = find_bubblewrap(user)
        if program is None:
            return Check(name, False, "there is no bubblewrap on this machine", REMEDY)
        if said := why_it_fails(program, user):
            return Check(name, False, f"{program.path} fails for the {role.value}: {said}", REMEDY)
        found = f"{program.version}, {program.path}"
    return Check(name, True, found)


def coder(settings: Settings) -> Check:
    """The program that changes working trees, where one is set."""
    name = "coder `command`"
    if not settings.coder_command:
        return Check(name, True, "not set up; AMEIDE_CODER_COMMAND names a program that changes the working tree")
    found = shutil.which(settings.coder_command[0])
    said = found or f"{settings.coder_command[0]} is not on the PATH"
    return Check(name, found is not None, said, "install it, or correct AMEIDE_CODER_COMMAND")


def _program(name: str) -> Check:
    # Tools of our own installation lie beside the interpreter, which need not be on the PATH.
    path = config.passed_through(["PATH"]).get("PATH", os.defpath)
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{path}")
    return Check(
        name, found is not None, found or "is not there", "it comes with ameide's packages; install them again"
    )


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def _writable(folder: Path) -> bool:
    # Tried, since root is allowed everything and a read-only file system still takes nothing.
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _can_become(uid: int) -> bool:
    try:
        done = subprocess.run(["true"], user=uid, group=uid, extra_groups=[], cwd="/", timeout=10)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


EXECUTOR: tuple[Callable[[Settings], Check], ...] = (python, git, buf, uv, open_files, executor_users, sandbox, coder)
"""What concerns a machine or a pod in which executors alone run."""
MACHINE: tuple[Callable[[Settings], Check], ...] = (
    python,
    git,
    buf,
    uv,
    temporal_server,
    state_folder,
    space,
    port,
    open_files,
    executor_users,
    sandbox,
    coder,
)
