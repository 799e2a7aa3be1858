"""The sandbox by bubblewrap: a root of its own that shows the system read-only, namespaces of its own for processes,
users, network and all the rest, no capability, and of the work the folders that are the child's.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ameide.infra.codex_package import codex_package
from ameide.infra.isolation.egress import PROXY_PORT, Egress
from ameide.infra.isolation.network import Network
from ameide.infra.isolation.registries import registries
from ameide.infra.isolation.rules import Allowlist
from ameide.infra.isolation.sandbox import Ask, Enclosed
from ameide.infra.isolation.system import furnish, hidden_in, readable, top
from ameide.infra.isolation.traffic import Traffic
from ameide.infra.isolation.upstream import Upstream
from ameide.infra.settings import ExecutorSettings, UnprivilegedUser
from ameide.infra.steps import Profile, StepFailed
from ameide.infra.workspace import Workspace
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode

REMEDY = (
    "Let unprivileged users make user namespaces (sysctl user.max_user_namespaces, "
    "kernel.apparmor_restrict_unprivileged_userns=0), and install bubblewrap 0.8 or newer; `ameide doctor` tries it. "
    "Or set AMEIDE_SANDBOX=none, knowing that the programs of a work then see this machine and its network."
)
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
_OLDEST = (0, 8)
_TMPFS = 1 << 30
_NAMESPACES = ("user", "pid", "ipc", "uts", "cgroup-try")
_IN_MEMORY = ("/dev/shm", "/tmp")  # noqa: S108 -- inside the sandbox
_PROXY = f"http://127.0.0.1:{PROXY_PORT}"
_LOCAL = "localhost,127.0.0.1,::1"
_JAVA = " ".join(
    f"-D{name}={value}"
    for name, value in {
        "http.proxyHost": "127.0.0.1",
        "http.proxyPort": PROXY_PORT,
        "https.proxyHost": "127.0.0.1",
        "https.proxyPort": PROXY_PORT,
        "http.nonProxyHosts": "localhost|127.*|[::1]",
        "aether.connector.http.useSystemProperties": "true",
    }.items()
)


@dataclass(frozen=True)
class Program:
    """A bubblewrap that the children's user can execute; `version` is what it says of itself."""

    path: Path
    version: str


def find_bubblewrap(user: UnprivilegedUser | None) -> Program | None:
    """The one on the system's path if it is new enough, else the one that comes with the package of the Codex CLI."""
    on_path = shutil.which("bwrap", path=_SYSTEM_PATH)
    if on_path and (found := _asked(Path(on_path))) and _new_enough(found.version):
        return found
    package = codex_package(user)
    return _asked(package / "codex-resources" / "bwrap") if package else None


def why_it_fails(program: Program, user: UnprivilegedUser | None) -> str:
    """What it says when it cannot make the namespaces of a sandbox for that user; empty when it can."""
    namespaces = [f"--unshare-{name}" for name in (*_NAMESPACES, "net")]
    options = ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--", "true"]
    try:
        done = subprocess.run(
            [program.path, *namespaces, *options],
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=[] if user else None,
            cwd="/",
            env={"PATH": _SYSTEM_PATH},
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return "" if done.returncode == 0 else done.stderr.strip() or f"it exited {done.returncode}"


def _asked(path: Path) -> Program | None:
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return Program(path, done.stdout.strip())


def _new_enough(version: str) -> bool:
    match = re.search(r"(\d+)\.(\d+)", version)
    return match is not None and (int(match[1]), int(match[2])) >= _OLDEST


def proxies(profile: Profile) -> dict[str, str]:
    """The variables by which programs find the proxy. The sandbox's own loopback address is reached without it."""
    said = {"HTTP_PROXY": _PROXY, "HTTPS_PROXY": _PROXY, "ALL_PROXY": _PROXY, "NO_PROXY": _LOCAL}
    said |= {name.lower(): value for name, value in said.items()}
    return said | ({"MAVEN_OPTS": _JAVA} if profile is Profile.VERIFY else {})


class Bubblewrap:
    """Encloses the children of one workspace; `traffic` gets what they reach."""

    def __init__(self, program: Program, workspace: Workspace, settings: ExecutorSettings, traffic: Traffic) -> None:
        self._program, self._workspace, self._settings, self._traffic = program, workspace, settings, traffic
        self.name = f"bubblewrap ({program.version})"

    @asynccontextmanager
    async def enclose(self, ask: Ask) -> AsyncGenerator[Enclosed]:
        """A sandbox for one child. Raises `InvalidArgument` for a host that is none."""
        furniture = furnish(self._workspace)
        allowlist = await self._allowlist(ask)
        operator = self._settings.operator_environment
        egress = Egress(ask.profile, allowlist, Upstream.of(operator), self._traffic)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        status, written = os.pipe()
        options = [part for group in self._options(ask, furniture) for part in group]
        arguments = os.memfd_create("arguments")
        options += ["--json-status-fd", str(written)]
        os.write(arguments, b"".join(os.fsencode(option) + b"\0" for option in options))
        os.lseek(arguments, 0, os.SEEK_SET)
        spec = {
            "listen": [PROXY_PORT, *allowlist.loopback_ports],
            "serve": bool(ask.reach.serves),
            "processes": self._settings.isolation.processes,
        }
        argv = [str(self._settings.python), "-I", "-S", str(self._workspace.box / "stage.py")]
        argv += [str(theirs.detach()), json.dumps(spec), str(self._program.path), "--args", str(arguments), "--"]
        network = Network(ours, egress, ask.reach.serves)
        opening = asyncio.create_task(network.open())
        try:
            yield _Inside([*argv, *ask.argv], (int(argv[4]), arguments, written), network, status, ask.argv[0])
        finally:
            opening.cancel()
            await asyncio.wait([opening])
            await network.close()
            os.close(status)

    async def _allowlist(self, ask: Ask) -> Allowlist:
        settings = self._settings
        isolation, asked = settings.isolation, Allowlist.of(ask.reach.hosts, "reach.hosts")
        match ask.profile:
            case Profile.VERIFY:
                named = Allowlist.of(isolation.verify_hosts, "AMEIDE_VERIFY_HOSTS")
                own = await registries(settings.operator_environment, settings.python, settings.search_path)
                return asked + named + own
            case Profile.CODER:
                return asked + Allowlist.of(isolation.coder_hosts, "AMEIDE_CODER_HOSTS")
            case Profile.TOOL:
                return asked

    def _options(self, ask: Ask, furniture: Sequence[tuple[Path, str]]) -> Iterator[tuple[str, ...]]:
        workspace, hidden = self._workspace, self._settings.isolation.hidden
        yield from ((f"--unshare-{name}",) for name in _NAMESPACES)
        # Not --die-with-parent: the warden ends what is left, and so knows that there was something.
        yield "--new-session", "--cap-drop", "ALL", "--hostname", "ameide"
        yield "--proc", "/proc", "--dev", "/dev"
        for place in _IN_MEMORY:
            yield "--perms", "1777", "--size", str(_TMPFS), "--tmpfs", place
        yield "--symlink", "/tmp", "/var/tmp"  # noqa: S108 -- inside the sandbox
        yield from top()
        shown = readable(self._settings, verify=ask.profile is Profile.VERIFY)
        # A folder that is shown never brings along what lies in it and is ours; what lies deeper was named by itself.
        covered = hidden_in(shown, hidden)
        for path in sorted({*shown, *covered}, key=lambda path: len(path.parts)):
            if path not in covered:
                yield "--ro-bind", str(path), str(path)
            elif path.is_file():
                yield "--ro-bind", "/dev/null", str(path)
            else:
                yield "--tmpfs", str(path)
        yield from (("--ro-bind", str(path), place) for path, place in furniture)
        yield from (("--ro-bind", str(path), str(path)) for path in ask.reach.readable)
        yield "--ro-bind" if ask.reach.tree_read_only else "--bind", str(workspace.tree), str(workspace.tree)
        for folder in (workspace.home, workspace.tmp, workspace.out):
            yield "--bind", str(folder), str(folder)
        yield from (("--bind", str(path), str(path)) for path in ask.reach.writable)
        yield from (("--remount-ro", str(path)) for path in (*covered, "/dev", "/"))
        yield "--chdir", str(ask.cwd), "--clearenv"
        yield from (("--setenv", name, value) for name, value in (dict(ask.env) | proxies(ask.profile)).items())


@dataclass(frozen=True)
class _Inside:
    argv: Sequence[str]
    descriptors: Sequence[int]
    network: Network
    status: int
    program: str
    confined: bool = True

    @property
    def env(self) -> dict[str, str]:
        """Nothing of the child's: these programs run outside."""
        return {"PATH": _SYSTEM_PATH}

    def failure(self, exit_code: int, tail: str) -> StepFailed | None:
        """By what bubblewrap reports once it has started the program."""
        if exit_code <= 0:
            return None
        os.set_blocking(self.status, False)
        try:
            reported = os.read(self.status, 4096)
        except BlockingIOError:
            reported = b""
        said = tail.strip().splitlines()[0] if tail.strip() else ""
        if b'"exit-code"' not in reported:
            why = self.network.error or said or f"it exited {exit_code}"
            return StepFailed(FailureCode.SANDBOX_UNAVAILABLE, f"The sandbox cannot be made: {why}. {REMEDY}")
        if exit_code == 1 and said.startswith("bwrap: execvp"):
            return StepFailed(
                FailureCode.TOOL_FAILED,
                f"{self.program}: cannot be started in the sandbox ({said.rpartition(': ')[2]}). Name the folder of a "
                "program in AMEIDE_CHILD_PATH, and what else it reads in AMEIDE_CHILD_READABLE.",
                exit_code=126,
            )
        return None
