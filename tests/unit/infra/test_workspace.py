"""Reading back what a child left: plain files of its own, nothing else."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ameide.infra import workspace as workspaces
from ameide.infra.workspace import Workspace, WorkspaceRefused


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return workspaces.create(tmp_path / "work", "wrk-1", None)


def test_a_plain_file_is_read(workspace: Workspace) -> None:
    (workspace.out / "junit.xml").write_bytes(b"<x/>")
    assert workspace.read_file(workspace.out / "junit.xml") == b"<x/>"


def _link_out(workspace: Workspace) -> Path:
    (workspace.tree / "report").symlink_to("/etc/passwd")
    return workspace.tree / "report"


def _linked_folder(workspace: Workspace) -> Path:
    (workspace.tree / "etc").symlink_to("/etc")
    return workspace.tree / "etc" / "passwd"


def _parent(workspace: Workspace) -> Path:
    return workspace.tree / ".." / "private" / "x"


def _outside(_workspace: Workspace) -> Path:
    return Path("/etc/passwd")


def _pipe(workspace: Workspace) -> Path:
    os.mkfifo(workspace.tree / "pipe")
    return workspace.tree / "pipe"


def _folder(workspace: Workspace) -> Path:
    (workspace.tree / "folder").mkdir()
    return workspace.tree / "folder"


@pytest.mark.parametrize("make", [_link_out, _linked_folder, _parent, _outside, _pipe, _folder])
def test_anything_else_is_refused(workspace: Workspace, make: Callable[[Workspace], Path]) -> None:
    with pytest.raises(WorkspaceRefused):
        workspace.read_file(make(workspace))


def test_a_missing_file_and_a_large_one(workspace: Workspace) -> None:
    with pytest.raises(FileNotFoundError):
        workspace.read_file(workspace.tree / "none")
    (workspace.tree / "large").write_bytes(b"12345")
    with pytest.raises(WorkspaceRefused, match="more than 4"):
        workspace.read_file(workspace.tree / "large", limit=4)


def test_only_plain_files_are_listed(workspace: Workspace) -> None:
    (workspace.tree / "a").mkdir()
    (workspace.tree / "a" / "b.txt").write_text("b")
    (workspace.tree / "link").symlink_to("a/b.txt")
    assert [name for name, _ in workspace.files(workspace.tree)] == ["a/b.txt"]


def test_a_planted_link_is_replaced_not_followed(workspace: Workspace, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("safe")
    (workspace.tmp / "prompt.md").symlink_to(victim)
    assert workspace.write_for_child("prompt.md", b"new").read_bytes() == b"new"
    assert victim.read_text() == "safe"


def test_closed_folders_are_removed_too(workspace: Workspace) -> None:
    inner = workspace.tree / "closed" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").write_text("x")
    inner.parent.chmod(0)
    workspace.remove()
    assert not workspace.root.exists()
