"""Children that try to outlive their work, and folders that try to outlive their child."""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ameide.infra import workspace as workspaces
from ameide.infra.child import Children
from ameide.infra.environment import MARKER
from ameide.infra.live_log import LiveLog
from ameide.infra.redaction import Redactor
from ameide.infra.settings import ExecutorSettings
from ameide.infra.work_root import occupy
from ameide.infra.workspace import Workspace

EXIT = {"x86_64": 60, "aarch64": 93}
FIRST_THREAD_ENDS = """
import ctypes, os, sys, threading, time
pid = os.fork()
if pid == 0:
    os.setsid()
    threading.Thread(target=time.sleep, args=(600,)).start()
    ctypes.CDLL(None).syscall(int(sys.argv[1]), 0)
state = ""
while state != "Z":
    state = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0]
print(pid)
"""
FORKS_AND_EXITS = """
import os
if os.fork() == 0:
    os.setsid()
    while True:
        if os.fork():
            os._exit(0)
        open("alive", "w").write(str(os.getpid()))
def said():
    return open("alive").read() if os.path.exists("alive") else ""
while not (first := said()):
    pass
while said() in ("", first):
    pass
"""


@pytest.fixture
def workspace(settings: ExecutorSettings) -> Iterator[Workspace]:
    made = workspaces.create(settings.work_root, "wrk-1", settings.user)
    yield made
    made.remove()


@pytest.fixture
def children(workspace: Workspace, settings: ExecutorSettings) -> Children:
    return Children(workspace, settings, LiveLog(Redactor(), workspace.private / "work.log"))


async def test_a_process_without_its_first_thread_is_ended(children: Children, workspace: Workspace) -> None:
    assert platform.machine() in EXIT, "Add the number of this machine's exit system call to EXIT."
    argv = [str(children.settings.python), "-c", FIRST_THREAD_ENDS, str(EXIT[platform.machine()])]
    async with asyncio.timeout(30):
        result = await children(argv, cwd=workspace.tree)
    assert int(result.output_tail) != os.getpid()
    [pid] = children.reaped
    assert not psutil.pid_exists(pid)


async def test_a_chain_of_short_lived_processes_is_ended(children: Children, workspace: Workspace) -> None:
    async with asyncio.timeout(30):
        await children([str(children.settings.python), "-c", FORKS_AND_EXITS], cwd=workspace.tree)
    assert (workspace.tree / "alive").exists()
    mine = workspace.root
    assert not [process for process in psutil.process_iter() if _belongs_to(process, mine)], (
        "a process of the work outlived it"
    )


def _belongs_to(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.environ().get(MARKER) == str(folder)
    except (psutil.Error, OSError):
        return False


def _nested(folder: Path, depth: int) -> None:
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)


def test_a_folder_nested_without_end_is_named_and_deleted(workspace: Workspace) -> None:
    _nested(workspace.tree, 3000)
    assert len(workspace.inspect_tree()) == 1
    workspace.remove()
    assert not workspace.root.exists()


def test_an_executor_starts_where_one_was_left(tmp_path: Path) -> None:
    first = occupy(tmp_path, "author")
    (first.folder / "left").mkdir()
    _nested(first.folder / "left", 3000)
    first.close()
    again = occupy(tmp_path, "author")
    again.close()
    assert again.folder == first.folder
    assert not any(again.folder.iterdir())
