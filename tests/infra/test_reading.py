"""A repository read at a commit. What it holds is hostile: nothing of it is run, and nothing outside of it is told."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ameide.errors import InvalidArgument, LimitReached, NotFound
from ameide.infra.reading.reader import MirrorReader
from tests.infra.git_servers import git
from tests.infra.hostile_repository import Hostile, made_in, reader_in


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Hostile:
    """It is read by many and changed by none."""
    return made_in(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MirrorReader]:
    """Keeps its mirror for the tests of this file."""
    folder = tmp_path_factory.mktemp("mirrors")
    yield reader_in(folder)
    shutil.rmtree(folder)


async def test_lines_are_the_bytes_at_that_commit(reader: MirrorReader, hostile: Hostile) -> None:
    lines = await reader.read(hostile.repository, hostile.old, "src/orders.py", 2, 3)
    assert (lines.first_line, lines.last_line, lines.text) == (2, 3, "    return order.Cancel()\n")
    assert await reader.head(hostile.repository) == hostile.head
    windows = await reader.read(hostile.repository, hostile.head, "windows.txt")
    assert windows.text == "one\r\nneedle two\r"
    whole = await reader.read(hostile.repository, hostile.head, "src/orders.py")
    assert (whole.first_line, whole.last_line) == (1, 5)
    with pytest.raises(NotFound, match="has 5 lines"):
        await reader.read(hostile.repository, hostile.head, "src/orders.py", 6)


async def test_text_is_found_whatever_its_case_and_wherever_it_stands(reader: MirrorReader, hostile: Hostile) -> None:
    found = await reader.search(hostile.repository, hostile.old, "CANCEL")
    [lines] = found.lines
    assert (lines.path, lines.first_line, lines.last_line) == ("src/orders.py", 1, 4)
    assert lines.text.split("\n") == ["def cancel(order):", "    return order.Cancel()", "", ""]
    assert not found.more
    for term in ("-e", "--help", "--open-files-in-pager=touch owned", "$(touch owned)", ".*", "%s"):
        assert list((await reader.search(hostile.repository, hostile.head, term)).lines) == []
    umlaut = await reader.search(hostile.repository, hostile.head, "ÜBER.TXT")
    assert [one.path for one in umlaut.lines] == ["src/über.txt"]


async def test_names_that_mean_something_to_git_mean_nothing_here(reader: MirrorReader, hostile: Hostile) -> None:
    listing = await reader.list_files(hostile.repository, hostile.head)
    for name in ("-rf", "--output=owned", ":(glob)**", "*", "HEAD", "src/über.txt"):
        assert name in listing.paths
        assert (await reader.read(hostile.repository, hostile.head, name)).text == f"needle in {name!r}"
    # Two names that are no text on one line, two links, one submodule.
    assert listing.unreadable == 5
    assert all("\n" not in path for path in listing.paths)
    found = await reader.search(hostile.repository, hostile.head, "needle")
    assert {"latin.txt", "windows.txt", "-rf"} <= {one.path for one in found.lines}
    assert {"large.txt", "binary.bin", "wide.txt"}.isdisjoint(one.path for one in found.lines)
    assert found.more
    assert list((await reader.search(hostile.repository, hostile.head, "needle", ":(glob)**")).lines) != []
    assert list((await reader.search(hostile.repository, hostile.head, "needle", "src")).lines) != []


@pytest.mark.parametrize(
    ("path", "error", "says"),
    [
        ("../../etc/passwd", InvalidArgument, "leaves the repository"),
        ("src/../../x", InvalidArgument, "leaves the repository"),
        ("a\nb", InvalidArgument, "no path on one line"),
        ("src\0", InvalidArgument, "no path on one line"),
        ("", InvalidArgument, "is empty"),
        ("src", InvalidArgument, "is a folder"),
        ("link", InvalidArgument, "is a symbolic link"),
        ("up/x", NotFound, "there is no file"),
        ("sub", InvalidArgument, "is a submodule"),
        ("sub/x", NotFound, "there is no file"),
        ("binary.bin", InvalidArgument, "is a binary file"),
        ("model.bin", InvalidArgument, "is kept in Git LFS \\(7 bytes\\)"),
        ("large.txt", LimitReached, "at most 2097152 are read"),
        ("wide.txt", LimitReached, "line 1 of wide.txt has 61447 bytes"),
        ("src/orders.py/", None, "def cancel"),
        ("/src/./orders.py", None, "def cancel"),
        ("nothing", NotFound, "there is no file nothing"),
    ],
)
async def test_what_cannot_be_read_is_said_to_be_what_it_is(
    reader: MirrorReader, hostile: Hostile, path: str, error: type[Exception] | None, says: str
) -> None:
    if error is None:
        assert says in (await reader.read(hostile.repository, hostile.head, path)).text
        return
    with pytest.raises(error, match=says):
        await reader.read(hostile.repository, hostile.head, path)


async def test_only_the_history_of_the_default_branch_is_read(
    reader: MirrorReader, hostile: Hostile, tmp_path: Path
) -> None:
    other = tmp_path / "another"
    other.mkdir()
    git(other, "init", "-q", "-b", "main")
    git(other, "commit", "-q", "--allow-empty", "-m", "Another repository")
    for sha in (hostile.elsewhere, git(other, "rev-parse", "HEAD"), "0" * 40):
        with pytest.raises(NotFound, match="is no commit in the history of main"):
            await reader.read(hostile.repository, sha, "secret.txt")
    for sha in (
        "main",
        "HEAD",
        hostile.old[:12],
        f"{hostile.old}^",
        f"{hostile.old}:src",
        "--help",
        hostile.old.upper(),
    ):
        with pytest.raises(InvalidArgument, match="is no commit id"):
            await reader.list_files(hostile.repository, sha)
    # A branch has the name of the old commit; the commit is meant.
    assert list((await reader.list_files(hostile.repository, hostile.old)).paths) == ["src/orders.py"]


@pytest.mark.parametrize("text", ["", "  ", "a\nb", "x" * 201, "a\0b"])
async def test_a_search_term_is_words_on_one_line(reader: MirrorReader, hostile: Hostile, text: str) -> None:
    with pytest.raises(InvalidArgument, match="text: must be"):
        await reader.search(hostile.repository, hostile.head, text)


async def test_nothing_of_the_repository_was_run(reader: MirrorReader, hostile: Hostile) -> None:
    await reader.search(hostile.repository, hostile.head, "needle")
    left = [path for place in (reader.folder, hostile.folder) for path in place.rglob("owned")]
    assert left == []
    [mirror] = [path for path in reader.folder.iterdir() if path.is_dir()]
    assert sorted(path.name for path in mirror.iterdir()) == [
        "fetch.lock",
        "made",
        "objects.git",
        "private",
        "use.lock",
    ]
    assert list((mirror / "private").iterdir()) == []


async def test_the_sandbox_shows_the_objects_and_nothing_else(
    reader: MirrorReader, hostile: Hostile, tmp_path: Path
) -> None:
    await reader.head(hostile.repository)
    [mirror] = [path for path in reader.folder.iterdir() if path.is_dir()]
    (tmp_path / "secret").write_text("of the machine")
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    async def try_(script: str) -> int:
        # What a flaw in git would let a repository do, done by an alias.
        asked = ("-c", f"alias.flaw=!{script}", "flaw")
        return (await reader.plumbing.run(mirror / "objects.git", *asked, check=False)).exit_code

    assert await try_("test -f /repository/HEAD") == 0
    assert await try_("touch /repository/owned") != 0
    assert await try_("touch /usr/owned /owned") != 0
    assert await try_(f"cat {tmp_path}/secret") != 0
    assert await try_("cat /etc/passwd") != 0
    assert await try_(f"ls {mirror}/private") != 0
    assert await try_(f"bash -c 'echo > /dev/tcp/127.0.0.1/{port}'") != 0
    assert await try_(f"kill -0 {os.getpid()}") != 0
    listener.close()
