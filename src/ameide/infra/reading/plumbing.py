"""One git command over a folder of objects, in a sandbox of its own: no network, read-only, bounded."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ameide.delivery.git_process import hear
from ameide.errors import LimitReached, Refused
from ameide.infra.git_command import PATH
from ameide.infra.isolation.bubblewrap import REMEDY, Program, find_bubblewrap
from ameide.infra.isolation.system import top
from ameide.infra.reading.limits import ReadingLimits
from ameide.infra.settings import BUBBLEWRAP, NO_SANDBOX
from ameide.stopping import kill_child, start_child

_INSIDE = "/repository"
_ENVIRONMENT = {
    "PATH": PATH,
    "HOME": "/nonexistent",
    # Letters beside ASCII have cases too.
    "LC_ALL": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_PAGER": "cat",
}
_SETTINGS = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "core.attributesFile=/dev/null", "safe.directory=*")
_SETPRIV = shutil.which("setpriv", path="/usr/bin:/bin:/usr/sbin:/sbin")
_PRLIMIT = shutil.which("prlimit", path="/usr/bin:/bin:/usr/sbin:/sbin")


@dataclass(frozen=True)
class Output:
    """The end of a command. `cut` says that there was more output than is taken."""

    exit_code: int
    stdout: bytes
    stderr: str
    cut: bool = False


@dataclass
class Plumbing:
    """Runs git over mirrors. `sandbox` is the operator's choice, as for the children of executors."""

    sandbox: str = BUBBLEWRAP
    limits: ReadingLimits = field(default_factory=ReadingLimits)
    _program: Program | None = field(default=None, init=False)

    async def run(self, objects: Path, *args: str, literal: bool = True, check: bool = True) -> Output:
        """One command over the folder `objects`. Paths are taken letter by letter when `literal`.

        Raises `LimitReached` when it takes too long or too much memory, `Refused` when there is no sandbox to be had
        and, with `check`, when git says no.
        """
        environment = _ENVIRONMENT | ({"GIT_LITERAL_PATHSPECS": "1"} if literal else {})
        configured = (word for setting in _SETTINGS for word in ("-c", setting))
        inside = await self._argv(objects, environment, ["git", *configured, *args])
        output = await self._bounded(inside, environment)
        if output.exit_code and not output.cut and check:
            raise self.failure(args[0], output)
        return output

    async def _argv(self, objects: Path, environment: dict[str, str], command: Sequence[str]) -> list[str]:
        seconds = int(self.limits.command_seconds) + 1
        bounds = [_PRLIMIT, f"--as={self.limits.memory_bytes}", f"--cpu={seconds}", "--core=0"] if _PRLIMIT else []
        tied = [_SETPRIV, "--pdeathsig", "KILL"] if _SETPRIV else []
        if self.sandbox == NO_SANDBOX:
            environment["GIT_DIR"] = str(objects)
            return [*tied, *bounds, *command]
        environment["GIT_DIR"] = _INSIDE
        program = await self._bubblewrap()
        options = ["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--hostname", "ameide"]
        options += ["--ro-bind", "/usr", "/usr", *(word for group in top() for word in group)]
        options += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
        options += ["--proc", "/proc", "--dev", "/dev", "--ro-bind", str(objects), _INSIDE, "--remount-ro", "/"]
        options += ["--chdir", _INSIDE]
        return [*tied, str(program.path), *options, "--", *bounds, *command]

    async def _bubblewrap(self) -> Program:
        if self._program is None:
            found = await asyncio.to_thread(find_bubblewrap, None) if sys.platform == "linux" else None
            if found is None:
                raise _no_sandbox("there is no bubblewrap on this machine")
            self._program = found
        return self._program

    async def _bounded(self, argv: Sequence[str], environment: dict[str, str]) -> Output:
        process = await start_child(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            cwd="/",
        )
        try:
            async with asyncio.timeout(self.limits.command_seconds):
                said = await hear(process, most=self.limits.output_bytes)
        except BaseException as error:
            await kill_child(process)
            if not isinstance(error, TimeoutError):
                raise
            raise LimitReached(
                f"git took longer than {self.limits.command_seconds:.0f} seconds",
                remedy="Name a folder, or ask for less",
            ) from error
        return Output(process.returncode or 0, said.stdout, said.stderr.decode("utf-8", "replace"), said.cut)

    def failure(self, name: str, output: Output) -> LimitReached | Refused:
        """What a command's end is that was none."""
        said = " / ".join(line for line in output.stderr.splitlines()[-3:] if line.strip())[:300]
        if said.startswith("bwrap:"):
            return _no_sandbox(said)
        if "out of memory" in said.lower() or output.exit_code < 0 or output.exit_code > 128:
            return LimitReached(f"git {name} took more than it may", remedy="Name a folder, or ask for less")
        return Refused(f"git {name} failed: {said or f'exit code {output.exit_code}'}", reason="REPOSITORY_UNREADABLE")


def _no_sandbox(why: str) -> Refused:
    return Refused(f"repositories cannot be read here: {why}", remedy=REMEDY, reason="SANDBOX_UNAVAILABLE")
