"""Starts the rig's processes: it has loaded the program once, and each process is forked from it.

Loading takes most of a process's start, and the rig starts some hundreds. Commands come as JSON lines on standard
input, ``{"name", "argv", "environment", "log"}``; `argv` is a command line of `ameide`, or ``["executor-double", …]``.
What happens is told as JSON lines on standard output: ``{"name", "pid"}``, then ``{"pid", "status"}`` of `waitpid`.
When standard input ends, every process is killed.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import traceback
from types import FrameType
from typing import NoReturn

from ameide import cli
from ameide.app import control, executors, upkeep
from ameide.cli import roles
from ameide.cli.nursery import detach
from ameide.process import worker
from tests.faults.rig import executor_double

LOADED = (control, executors, upkeep, roles, worker)
_children: set[int] = set()


def main() -> None:
    """Serve until standard input ends."""
    signal.signal(signal.SIGCHLD, _reap)
    for line in sys.stdin:
        order = json.loads(line)
        if "architect" in order["argv"]:
            # Seconds of loading, for who has this role.
            importlib.import_module("ameide.architect.service")
        # No child may end before its start was told.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        pid = os.fork()
        if pid == 0:
            _become(order["argv"], order["environment"], order["log"])
        _children.add(pid)
        _tell({"name": order["name"], "pid": pid})
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    for pid in _children:
        os.kill(pid, signal.SIGKILL)


def _become(argv: list[str], environment: dict[str, str], log: str) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    detach(environment, log)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 -- for the life of the process
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    try:
        if argv[0] == executor_double.NAME:
            executor_double.main(argv[1:])
            os._exit(0)
        sys.argv = ["ameide", *argv]
        cli.main()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(70)


def _reap(_number: int, _frame: FrameType | None) -> None:
    while _children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        _children.discard(pid)
        _tell({"pid": pid, "status": status})


def _tell(what: dict[str, object]) -> None:
    # Not through a buffer: the handler may interrupt the main loop in the middle of its own line.
    os.write(1, (json.dumps(what) + "\n").encode())


if __name__ == "__main__":
    main()
