"""The embedded Temporal server of a state folder."""

import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from ameide.engine.errors import StartError, StateError
from ameide.engine.files import tail, write_whole
from ameide.engine.install import TemporalInstall
from ameide.engine.ports import Ports
from ameide.engine.postgres import Postgres
from ameide.engine.processes import PidFile, end, launch
from ameide.engine.temporal_schema import drop_partial_visibility, prepare
from ameide.engine.temporal_settings import PORTS, dynamic, static

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
        port = self._ports.known().get(PORTS[0])
        if port is None:
            raise StateError(f"No Temporal server was started in {self.home.parent} yet. Start it: ameide up")
        return f"127.0.0.1:{port}"

    def start(self) -> bool:
        """Bring the server up on the running PostgreSQL; False when it was up already. About three seconds."""
        database = prepare(self._postgres, self._install.sql, self._say)
        visibility, config = self.home / "visibility.db", self.home / "config.yaml"
        dynamic_file = self.home / "dynamic.yaml"
        if running := self.process():
            if config.read_text(encoding="utf-8") == static(database, visibility, self._ports.known(), dynamic_file):
                return False
            self._say("The database moved to another port; restarting the Temporal server.")
            end(running, _GRACE)
        elif self._pid_file.read():
            self._say("The Temporal server was not shut down in order the last time; it goes on from its database.")
        self._pid_file.forget()
        self.home.mkdir(parents=True, exist_ok=True)
        drop_partial_visibility(visibility)
        write_whole(dynamic_file, dynamic())
        for last in (False, False, True):
            ports = self._ports.claim(PORTS)
            write_whole(config, static(database, visibility, ports, dynamic_file), mode=0o600)
            if self._launch(config, ports, last):
                return True
        raise AssertionError("unreachable: the last launch returns True or raises")

    def _launch(self, config: Path, ports: dict[str, int], last: bool) -> bool:
        """False if a port was lost between choosing and binding it, unless this was the ``last`` try."""
        before = len(tail(self.log, 1_000_000))
        command = [self._install.server, "--config-file", config, "--allow-no-auth", "start"]
        pid = launch(command, self.log, env={"PATH": os.defpath}, cwd=self.home)
        recorded = self._pid_file.record(pid)
        deadline = time.monotonic() + _PATIENCE
        while not _listens(ports[PORTS[0]]):
            process = recorded.process()
            if process and time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            said = tail(self.log, 1_000_000)[before:]
            if process:
                end(process, _GRACE)
            self._pid_file.forget()
            if "address already in use" in said and not last:
                return False
            raise StartError(f"The Temporal server did not start. The end of {self.log}:\n{said[-3000:]}")
        return True

    def stop(self) -> bool:
        """Stop the server; running workflows go on after the next start. False when it was not running."""
        process = self.process()
        if process:
            end(process, _GRACE)
        self._pid_file.forget()
        return process is not None

    def purge(self) -> None:
        """Delete the configuration, visibility file and log of a stopped server; its executions lie in PostgreSQL."""
        shutil.rmtree(self.home, ignore_errors=True)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
