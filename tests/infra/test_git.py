"""The trusted git on real repositories: identity of a patch, leases, merges."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ameide.infra.credentials import Credential, Kind
from ameide.infra.git import Git, GitFailed, LeaseRefused

DATE = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    folder = tmp_path / "remote.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", folder], check=True)
    return folder


@pytest.fixture
async def git(tmp_path: Path, remote: Path) -> Git:
    (tmp_path / "tree").mkdir()
    opened = Git(tmp_path / "private", tmp_path / "tree", remote.as_uri())
    await opened.open()
    return opened


async def commit(git: Git, parent: str, files: dict[str, bytes | None], message: str = "Change") -> str:
    """A commit on `parent` (empty: the first one) with some files changed; None deletes."""
    if parent:
        await git.checkout(parent)
    for name, data in files.items():
        path = git.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink() if data is None else path.write_bytes(data)
    await git.add_all()
    tree = (await git.git("write-tree")).text
    return await git.commit_tree(tree, [parent] if parent else [], message, {}, date=DATE)


LINES = b"".join(b"line %d\n" % n for n in range(40))


async def test_the_same_patch_on_another_base_has_the_same_hash(git: Git) -> None:
    base = await commit(git, "", {"a.txt": LINES, "b.bin": b"\x00\x01old", "c.txt": b"c\n"})
    patched = await commit(
        git, base, {"a.txt": LINES.replace(b"line 30\n", b"line 30\nnew\n"), "b.bin": b"\x00\x01new"}
    )
    moved = await commit(git, base, {"a.txt": b"at the top\n" + LINES, "c.txt": b"other\n"})
    merged = await git.merge(moved, patched, "Merge", {}, date=DATE)
    assert await git.diff_hash(moved, merged.commit) == await git.diff_hash(base, patched)
    assert await git.diff_hash(base, merged.commit) != await git.diff_hash(base, patched)


async def test_attributes_of_the_repository_do_not_hide_a_change(git: Git) -> None:
    base = await commit(git, "", {".gitattributes": b"* -diff\n", "a.txt": b"one\n"})
    two = await commit(git, base, {"a.txt": b"two\n"})
    three = await commit(git, base, {"a.txt": b"three\n"})
    assert await git.diff_hash(base, two) != await git.diff_hash(base, three)
    assert b"-one\n+two\n" in await git.diff(base, two)


async def test_an_address_is_never_an_option(tmp_path: Path, git: Git) -> None:
    one, ran = await commit(git, "", {"a": b"1"}), tmp_path / "ran"
    fetching = replace(git, url=f"--upload-pack=touch {ran};true")
    pushing = replace(git, url=f"--receive-pack=touch {ran};true")
    for refused in (fetching.fetch(), fetching.default_branch(), pushing.push_with_lease(one, "main", "")):
        with pytest.raises(GitFailed):
            await refused
    assert not ran.exists()


async def test_changed_paths_show_both_sides_of_a_rename(git: Git) -> None:
    base = await commit(git, "", {"old.txt": LINES, "keep.txt": b"k"})
    moved = await commit(git, base, {"old.txt": None, "dir/new ünïcode.txt": LINES})
    found = [(change.status, change.path) for change in await git.changed_paths(base, moved)]
    assert found == [("A", "dir/new ünïcode.txt"), ("D", "old.txt")]


async def test_a_push_moves_a_branch_only_from_where_it_was_expected(git: Git) -> None:
    one = await commit(git, "", {"a": b"1"})
    two, other = await commit(git, one, {"a": b"2"}), await commit(git, one, {"a": b"3"})
    await git.push_with_lease(one, "main", "")
    with pytest.raises(LeaseRefused) as refused:
        await git.push_with_lease(two, "main", "")
    assert (refused.value.expected, refused.value.actual) == ("", one)
    await git.push_with_lease(two, "main", one)
    await git.push_with_lease(two, "main", one)
    with pytest.raises(LeaseRefused):
        await git.push_with_lease(other, "main", one)
    assert await git.remote_head("main") == two
    assert await git.default_branch() == "main"


async def test_merges_without_a_working_tree(git: Git) -> None:
    base = await commit(git, "", {"a": b"1\n", "b": b"1\n"})
    left, right = await commit(git, base, {"a": b"2\n"}), await commit(git, base, {"b": b"2\n"})
    against = await commit(git, base, {"a": b"3\n"})
    merged = await git.merge(left, right, "Merge", {"Ameide-Work": "wrk-1"}, date=DATE)
    assert await git.show(merged.commit, "a") == b"2\n"
    assert await git.show(merged.commit, "b") == b"2\n"
    assert await git.find_trailer(merged.commit, "Ameide-Work", "wrk-1", since=base) == merged.commit
    assert (await git.merge(left, right, "Merge", {"Ameide-Work": "wrk-1"}, date=DATE)).commit == merged.commit
    assert (await git.merge_tree(left, against)).conflicts == ("a",)
    assert await git.is_ancestor(base, merged.commit)
    assert not await git.is_ancestor(left, right)


async def test_errors_name_the_command(git: Git) -> None:
    with pytest.raises(GitFailed, match="git fetch failed"):
        await Git(git.folder, git.tree, "file:///nowhere/at/all").fetch()


async def test_a_credential_reaches_git_by_a_private_file_only(git: Git, tmp_path: Path) -> None:
    secret = Git(
        git.folder,
        git.tree,
        "https://127.0.0.1:9/none.git",
        credential=Credential(Kind.PASSWORD, "ada", "pa55word-of-ada"),
    )
    with pytest.raises(GitFailed) as failed:
        await secret.fetch()
    assert "pa55word" not in str(failed.value)
    assert "pa55word" not in repr(secret)
    assert not (git.folder / "credential").exists()
