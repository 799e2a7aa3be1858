"""The folder of one executor's workspaces: held by one, cleared of what a killed one left."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import psutil

from ameide.engine.account import SHARED
from ameide.infra.environment import MARKER
from ameide.infra.settings import UnprivilegedUser
from ameide.infra.work_root import occupy, reachable
from tests.infra.work_double import eventually


def test_two_executors_do_not_share_a_folder(tmp_path: Path) -> None:
    first = occupy(tmp_path / "work", "author")
    second = occupy(tmp_path / "work", "author")
    assert (first.folder.name, second.folder.name) == ("author-1", "author-2")
    first.close()
    again = occupy(tmp_path / "work", "author")
    assert again.folder == first.folder
    again.close()
    second.close()


async def test_what_a_killed_executor_left_is_cleared(tmp_path: Path) -> None:
    workspace = tmp_path / "work" / "author-1" / "wrk-1-1-abcd"
    workspace.mkdir(parents=True)
    (workspace / "file").write_text("left")
    orphan = await asyncio.create_subprocess_exec("sleep", "300", env={MARKER: str(workspace), "PATH": os.defpath})
    other = await asyncio.create_subprocess_exec("sleep", "300", env={MARKER: str(tmp_path), "PATH": os.defpath})
    await eventually(lambda: all(MARKER in psutil.Process(each.pid).environ() for each in (orphan, other)))
    root = occupy(tmp_path / "work", "author")
    assert await orphan.wait() == -signal.SIGKILL
    assert other.returncode is None
    assert list(root.folder.iterdir()) == []
    root.close()
    other.kill()
    await other.wait()


def test_a_folder_that_the_children_cannot_reach_is_replaced(state_dir: Path) -> None:
    closed = state_dir / "closed"
    closed.mkdir(mode=0o700)
    assert reachable(closed / "work", None) == closed / "work"
    assert reachable(state_dir / "open", UnprivilegedUser(64101, 64101)) == state_dir / "open"
    if os.geteuid() == 0:
        assert reachable(closed / "work", UnprivilegedUser(64101, 64101)).is_relative_to(SHARED)
