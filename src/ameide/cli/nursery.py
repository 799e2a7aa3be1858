"""A Python that has the program loaded: what `ameide up` starts is forked from it, so that loading is paid once.

An order is an `Order` as a JSON line on standard input: the forked process runs ``python -m <argv>`` in a session of
its own, with that environment and no other. The answer is a line with its pid; with `wait`, its exit code once it has
ended. Orders come one by one, each after the answer to the last, so that no process has a later one's order in its
memory. The nursery ends with its standard input; what was forked runs on.

Nothing here may start a thread or open a connection: half of it would be in each process that is forked.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import runpy
import sys
import traceback
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import NoReturn, TypedDict


class Order(TypedDict):
    """One program to run."""

    argv: list[str]
    environment: dict[str, str]
    folder: str
    log: str
    wait: bool


def serve() -> None:
    """Load, then fork what is ordered until standard input ends. Raises RuntimeError when a thread runs."""
    # Loading makes no garbage. What is frozen is never looked at by a collector, so its pages stay shared.
    gc.disable()
    for module in ("ameide.cli.roles", "ameide.app.control", "ameide.app.executors"):
        import_module(module)
    gc.freeze()
    for line in sys.stdin.buffer:
        order: Order = json.loads(line)
        if len(os.listdir("/proc/self/task")) > 1:
            raise RuntimeError("something that was loaded started a thread; a fork would lose it")
        pid = os.fork()
        if pid == 0:
            _become(order)
        answer = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if order["wait"] else pid
        os.write(1, f"{answer}\n".encode())
    # Taking down what was loaded is work that nobody waits for.
    os._exit(0)


def _become(order: Order) -> NoReturn:
    code = 1
    try:
        os.chdir(order["folder"])
        detach(order["environment"], order["log"])
        gc.enable()
        module, *arguments = order["argv"]
        _retitle([sys.executable, "-m", module, *arguments])
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def detach(environment: Mapping[str, str], log: str) -> None:
    """Give a forked process a session, an environment, no input, and a file for its output, which is appended to."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.closerange(3, max(nothing, output) + 1)
    os.environ.clear()
    os.environ.update(environment)


def _retitle(argv: list[str]) -> None:
    """Let `ps` say what this process became. The room is that of the nursery's own arguments; more is cut off."""
    # proc(5): arg_start and arg_end are fields 48 and 49; the first two are cut off here.
    fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    begin, room = int(fields[45]), int(fields[46]) - int(fields[45])
    if room <= 0:
        return
    title = os.fsencode(" ".join(argv))[: room - 2]
    # A last byte other than NUL tells the kernel that the text ends at its first NUL.
    text = title.ljust(room - 1, b"\0") + b"."
    ctypes.memmove(begin, text, room)


if __name__ == "__main__":
    serve()
