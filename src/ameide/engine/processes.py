"""Engine processes: they outlive the program that starts them, and are recognised by pid and start time together."""

import json
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from ameide.engine.files import read_json, write_whole

# The start time is derived from the boot time, which moves by a second when the clock is corrected.
_CLOCK_TOLERANCE = 2.0
_INTERVAL = 0.02

# Popen objects of processes that are meant to outlive this one; dropping them would warn about exactly that.
_outliving: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Recorded:
    """A process as its pid file names it. ``started`` is seconds since the epoch."""

    pid: int
    started: float

    def process(self) -> psutil.Process | None:
        """The living process, or None when it is gone or its pid belongs to another one by now."""
        try:
            process = psutil.Process(self.pid)
            alive = process.status() != psutil.STATUS_ZOMBIE
            same = abs(process.create_time() - self.started) < _CLOCK_TOLERANCE
        except psutil.NoSuchProcess:
            return None
        return process if alive and same else None


class PidFile:
    """Remembers which process is ours."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def record(self, pid: int) -> Recorded:
        """Remember ``pid`` with its start time. Raises ``psutil.NoSuchProcess`` if it has ended already."""
        recorded = Recorded(pid, psutil.Process(pid).create_time())
        write_whole(self._path, json.dumps({"pid": recorded.pid, "started": recorded.started}) + "\n")
        return recorded

    def read(self) -> Recorded | None:
        """What the file says, whether or not that process still lives."""
        fields = read_json(self._path)
        pid, started = fields.get("pid"), fields.get("started")
        return Recorded(pid, started) if isinstance(pid, int) and isinstance(started, float) else None

    def process(self) -> psutil.Process | None:
        """Our living process, if any."""
        recorded = self.read()
        return recorded.process() if recorded else None

    def forget(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)


def launch(argv: Sequence[str | Path], log: Path, env: Mapping[str, str], cwd: Path) -> int:
    """Start a process in a session of its own, its output appended to ``log``; returns its pid."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env, cwd=cwd, start_new_session=True
        )
    _outliving.append(process)
    return process.pid


def listens(process: psutil.Process, port: int) -> bool:
    """Whether this very process, not just any, listens on the TCP port."""
    try:
        found = process.net_connections("tcp4")
    except psutil.NoSuchProcess:
        return False
    return any(socket.status == psutil.CONN_LISTEN and socket.laddr.port == port for socket in found)


def end(process: psutil.Process, grace: float) -> None:
    """Ask the process to end, wait ``grace`` seconds, then kill it. Returns when it is gone."""
    try:
        process.send_signal(signal.SIGTERM)
        if not _gone(process, grace):
            process.kill()
            _gone(process, 10)
    except psutil.NoSuchProcess:
        return


def _gone(process: psutil.Process, seconds: float) -> bool:
    """Whether it ends in time. One whose parent has not asked for its exit code yet is gone as well."""
    deadline = time.monotonic() + seconds
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(_INTERVAL)
    return True
