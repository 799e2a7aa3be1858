"""The four processes of `ameide up`: sessions of their own, known by pid and start time, ready when they say so."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from ameide import config
from ameide.cli.forking import Nursery
from ameide.cli.state import StateFolder
from ameide.engine.files import tail, write_whole
from ameide.engine.processes import PidFile, end, listens
from ameide.errors import Unreachable
from ameide.infra.roles import codex_variables
from ameide.infra.settings import OPERATOR_VARIABLES, STORE_VARIABLES

BASE_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME", "TMPDIR")
"""What every process may have of our environment."""

EXECUTOR, ARCHITECT = "executor", "architect"
_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "control": ("serve", "domain", "relay", "forwarder", "sweeper", "ingress", "projector", "notifier"),
    "worker": ("serve", "worker"),
    EXECUTOR: ("executor", "pool"),
    ARCHITECT: ("serve", "architect"),
}
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
_TO_OTHERS = (*_PROXIES, *(name.lower() for name in _PROXIES))
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO")
# What a process may have besides the base: the operator's ways to package indexes are for those that run tools, the
# ways to a model's provider and to the remotes of repositories for the agent.
_PASSED = {
    EXECUTOR: (*OPERATOR_VARIABLES, *STORE_VARIABLES),
    ARCHITECT: (*_TO_OTHERS, *_CERTIFICATES, *STORE_VARIABLES),
}
NAMES: tuple[str, ...] = tuple(_ARGUMENTS)
_READY_WITHIN = 120.0
_INTERVAL = 0.01
# Beyond its own drain: a process that has used that up still closes its connections.
_MARGIN = 15.0


@dataclass(frozen=True)
class Managed:
    """One process of this state folder."""

    name: str
    state: StateFolder

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.state.logs / f"{self.name}.log"

    @property
    def arguments(self) -> tuple[str, ...]:
        """The command that it runs."""
        return _ARGUMENTS[self.name]

    @property
    def _pid_file(self) -> PidFile:
        return PidFile(self.state.run / f"{self.name}.pid.json")

    @property
    def _ready_file(self) -> Path:
        return self.state.run / f"{self.name}.ready"

    @property
    def _keys_file(self) -> Path:
        """Tells whether it has the keys of today, without telling them."""
        return self.state.run / f"{self.name}.keys"

    def _keys(self) -> dict[str, str]:
        """The secrets in our environment that its settings name: credentials of repositories, and Codex's keys."""
        if self.name not in (EXECUTOR, ARCHITECT):
            return {}
        settings = config.read({}, file=self.state.settings_of(self.name))
        of_codex = codex_variables(settings) if self.name == EXECUTOR else ()
        return config.passed_through((*settings.credential_variables, *of_codex))

    def process(self) -> psutil.Process | None:
        """The living process that was started for this state folder, if any."""
        return self._pid_file.process()

    def ready(self) -> bool:
        """Whether it lives and has said that it works."""
        process = self.process()
        try:
            return process is not None and int(self._ready_file.read_text(encoding="ascii")) == process.pid
        except (OSError, ValueError):
            return False

    def listens(self, port: int) -> bool:
        """Whether it has the TCP port, or is ready."""
        process = self.process()
        return process is not None and (listens(process, port) or self.ready())

    def runs_with(self, text: str) -> bool:
        """Whether it is ready, or on its way to that with nobody waiting, and was started with these settings."""
        try:
            same = self.state.settings_of(self.name).read_text(encoding="utf-8") == text
            works = self.ready() or (self.name == ARCHITECT and self.process() is not None)
            return same and works and self._keys_file.read_text(encoding="ascii") == _digest(self._keys())
        except OSError:
            return False

    def left_behind(self) -> bool:
        """Whether its pid file names a process that ended without `ameide down`."""
        return self.process() is None and self._pid_file.read() is not None

    def start(self, nursery: Nursery) -> None:
        """Launch it. Its settings file must be written."""
        self._ready_file.unlink(missing_ok=True)
        keys = self._keys()
        write_whole(self._keys_file, _digest(keys), mode=0o600)
        environment = config.passed_through((*BASE_VARIABLES, *_PASSED.get(self.name, ()))) | keys
        environment[config.CONFIG_VARIABLE] = str(self.state.settings_of(self.name))
        argv = ["ameide", *self.arguments, "--ready-file", str(self._ready_file)]
        pid = nursery.start(argv, self.log, environment)
        try:
            self._pid_file.record(pid)
        except psutil.NoSuchProcess:
            raise self._died() from None

    def stop(self, drain: float) -> bool:
        """End it: gracefully for `drain` seconds and a margin, then not. False when it was not running."""
        process = self.process()
        if process is not None:
            children = _descendants(process)
            end(process, drain + _MARGIN)
            _, alive = psutil.wait_procs(children, timeout=2)
            for child in alive:
                child.kill()
        self._pid_file.forget()
        self._ready_file.unlink(missing_ok=True)
        return process is not None

    def check(self) -> None:
        """Raises Unreachable when it has ended."""
        if self.process() is None:
            raise self._died()

    def _died(self) -> Unreachable:
        return Unreachable(
            f"the {self.name} process ended while it started. The end of {self.log}:\n{tail(self.log)}",
            remedy="Remove the cause, then run `ameide up` again",
        )


def wanted(state: StateFolder) -> tuple[str, ...]:
    """The processes that `ameide up` keeps running in this state folder, as it was last told."""
    return tuple(name for name in NAMES if not state.left_out(name).exists())


def wait_for(processes: Sequence[Managed], condition: Callable[[Managed], bool], slow: Callable[[str], None]) -> None:
    """Returns once the condition holds for all; calls `slow` after each further five seconds.

    Raises Unreachable when one ends.
    """
    begun, said = time.monotonic(), 5.0
    while waiting := [managed for managed in processes if not condition(managed)]:
        for managed in waiting:
            managed.check()
        passed = time.monotonic() - begun
        names = ", ".join(managed.name for managed in waiting)
        if passed > _READY_WITHIN:
            raise Unreachable(
                f"{names} did not become ready within {_READY_WITHIN:g} s",
                remedy=f"Look into {waiting[0].log}; `ameide down` stops what runs",
            )
        if passed > said:
            slow(f"Still starting after {passed:.0f} s: {names}.")
            said += 5
        time.sleep(_INTERVAL)


def _digest(keys: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(keys.items())).encode()).hexdigest()


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
