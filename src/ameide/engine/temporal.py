"""The embedded Temporal server of a state folder."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from ameide.engine.errors import StartError, StateError
from ameide.engine.files import Log, write_whole
from ameide.engine.install import TemporalInstall
from ameide.engine.ports import Ports
from ameide.engine.postgres import Postgres
from ameide.engine.processes import PidFile, end, launch, listens
from ameide.engine.temporal_programs import BuiltServer, MachinesServer, Program, machines_temporal
from ameide.engine.temporal_settings import FRONTEND

_PATIENCE = 90  # seconds; it needs three on an idle machine
_GRACE = 20


class Temporal:
    """Starts and stops the server. Callers see to it that only one process does so at a time."""

    def __init__(
        self, state_dir: Path, install: TemporalInstall, postgres: Postgres, ports: Ports, say: Callable[[str], None]
    ) -> None:
        self.home = state_dir / "engine" / "temporal"
        self.log = self.home / "temporal.log"
        self._pid_file = PidFile(self.home / "pid.json")
        self._install = install
        self._postgres = postgres
        self._ports = ports
        self._say = say

    def process(self) -> psutil.Process | None:
        """The living server that we started."""
        return self._pid_file.process()

    def address(self) -> str:
        """``host:port`` of the frontend, as recorded by the last start."""
        port = self._ports.known().get(FRONTEND)
        if port is None:
            raise StateError(f"No Temporal server was started in {self.home.parent} yet. Start it: ameide up")
        return f"127.0.0.1:{port}"

    def needs_build(self) -> bool:
        """Whether the pinned server has to be there: not when a ``temporal`` on the PATH serves this state folder."""
        return machines_temporal(self.home, self._install) is None

    def start(self) -> bool:
        """Bring the server up on the running PostgreSQL; False when it was up already. Under three seconds."""
        found = machines_temporal(self.home, self._install)
        program: Program = (
            MachinesServer(self.home, found)
            if found
            else BuiltServer(self.home, self._install, self._postgres, self._say)
        )
        settings_file = self.home / "settings.yaml"
        if running := self.process():
            ports = self._ports.known()
            if settings_file.read_text(encoding="utf-8") == program.settings(ports):
                return False
            self._say("The database moved to another port; restarting the Temporal server.")
            end(running, _GRACE)
        elif self._pid_file.read():
            self._say("The Temporal server was not shut down in order the last time; it goes on from its database.")
        self._pid_file.forget()
        self.home.mkdir(parents=True, exist_ok=True)
        # The server makes its database and its log readable for everybody.
        self.home.chmod(0o700)
        program.prepare()
        for last in (False, False, True):
            ports = self._ports.claim(program.ports)
            write_whole(settings_file, program.settings(ports), mode=0o600)
            if self._launch(program.command(ports, settings_file), ports[FRONTEND], last):
                self._say(f"Temporal ({program.name}) is up at {self.address()}.")
                return True
        raise AssertionError("unreachable: the last launch returns True or raises")

    def _launch(self, command: list[str], port: int, last: bool) -> bool:
        """False if a port was lost between choosing and binding it, unless this was the ``last`` try."""
        log = Log(self.log)
        recorded = self._pid_file.record(launch(command, self.log, env={"PATH": os.defpath}, cwd=self.home))
        deadline = time.monotonic() + _PATIENCE
        while process := recorded.process():
            if listens(process, port):
                return True
            if time.monotonic() > deadline:
                end(process, _GRACE)
            time.sleep(0.05)
        self._pid_file.forget()
        said = log.gained()
        if "address already in use" in said and not last:
            return False
        raise StartError(f"The Temporal server did not start. The end of {self.log}:\n{said[-3000:]}")

    def stop(self) -> bool:
        """Stop the server; running workflows go on after the next start. False when it was not running."""
        process = self.process()
        if process:
            end(process, _GRACE)
        self._pid_file.forget()
        return process is not None
