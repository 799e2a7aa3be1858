"""A repository read at a commit. What it holds is hostile: nothing of it is run, and nothing outside of it is told."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ameide.errors import InvalidArgument, LimitReached, NotFound, Refused, Unreachable
from ameide.infra.credentials import Credentials
from ameide.infra.reading.limits import ReadingLimits
from ameide.infra.reading.plumbing import Plumbing
from ameide.infra.reading.reader import MirrorReader
from ameide.infra.settings import NO_SANDBOX
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.transformation.governance.v1.governance_pb import Repository
from tests.infra.git_servers import bare_repository, git, http_git

LIMITS = ReadingLimits(mirror_bytes=64 << 20, all_bytes=256 << 20, head_seconds=0.0)
LARGE = b"needle\n" + b"x" * (3 << 20)


@dataclass
class Hostile:
    """A repository with everything in it that a reader must not fall for; `old` is the commit before its `head`."""

    folder: Path
    old: str
    head: str
    elsewhere: str

    @property
    def repository(self) -> Repository:
        """As it is registered."""
        return Repository(
            scope=Scope(tenant_id="default"),
            repository_id="orders",
            url=self.folder.as_uri(),
            default_branch="main",
        )


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Hostile:
    """It is read by many and changed by none."""
    folder = tmp_path_factory.mktemp("hostile") / "work"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "src").mkdir()
    (folder / "src" / "orders.py").write_text("def cancel(order):\n    return order.Cancel()\n\n\nLAST = 1\n")
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "-m", "Start")
    old = git(folder, "rev-parse", "HEAD")
    names = ("-rf", "--output=owned", ":(glob)**", "a\nb", "src/über.txt", "*", "HEAD")
    for name in names:
        (folder / name).write_text(f"needle in {name!r}\n")
    (folder / os.fsdecode(b"bad\xff.txt")).write_text("needle\n")
    (folder / "latin.txt").write_bytes(b"needle caf\xe9\n")
    (folder / "windows.txt").write_bytes(b"one\r\nneedle two\r\n")
    (folder / "binary.bin").write_bytes(b"needle\0\1\2")
    (folder / "large.txt").write_bytes(LARGE)
    (folder / "wide.txt").write_bytes(b"needle " + b"y" * (60 << 10) + b"\nsecond line\n")
    (folder / "model.bin").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize 7\n"
    )
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "up").symlink_to("../..")
    (folder / ".lfsconfig").write_text("[lfs]\n\turl = http://192.0.2.1/\n")
    (folder / ".gitmodules").write_text('[submodule "sub"]\n\tpath = sub\n\turl = ext::sh -c touch% owned\n')
    git(folder, "add", "--all")
    (folder / ".gitattributes").write_text("*.txt filter=owned diff=owned text eol=crlf\n*.bin diff=owned text\n")
    git(folder, "add", ".gitattributes")
    git(folder, "update-index", "--add", "--cacheinfo", f"160000,{old},sub")
    git(folder, "commit", "-q", "-m", "Add all of it")
    head = git(folder, "rev-parse", "HEAD")
    # A branch that is called as a commit is, and a commit that the default branch never had.
    git(folder, "symbolic-ref", "HEAD", "refs/heads/other")
    git(folder, "update-ref", "HEAD", head)
    (folder / "secret.txt").write_text("of another branch\n")
    git(folder, "add", "secret.txt")
    git(folder, "commit", "-q", "-m", "Not merged")
    elsewhere = git(folder, "rev-parse", "HEAD")
    git(folder, "branch", old, "other")
    git(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
    return Hostile(folder, old, head, elsewhere)


def reader_in(folder: Path, limits: ReadingLimits = LIMITS, **changes: str) -> MirrorReader:
    """A reader with a folder of its own."""
    return MirrorReader(folder, Credentials(folder / "credentials"), {}, Plumbing(limits=limits, **changes))


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


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A repository of six thousand files."""
    folder = tmp_path / "wide"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "one").write_text("a line\n")
    blob = git(folder, "hash-object", "-w", "one")
    entries = "".join(f"100644 {blob}\tf{n % 3}/{n:05}.txt\n" for n in range(6000))
    subprocess.run(["git", "update-index", "--index-info"], cwd=folder, input=entries.encode(), check=True)
    git(folder, "commit", "-q", "-m", "Thousands of files")
    return folder


async def test_listings_are_bounded_and_can_be_narrowed(tmp_path: Path, wide: Path) -> None:
    repository = Repository(repository_id="wide", url=wide.as_uri(), default_branch="main")
    reader = reader_in(tmp_path / "mirrors")
    head = await reader.head(repository)
    listing = await reader.list_files(repository, head)
    assert (len(listing.paths), listing.left_out) == (500, 5500)
    assert listing.folders == {"f0/": 2000, "f1/": 2000, "f2/": 2000}
    named = await reader.list_files(repository, head, "f1", "0004")
    assert set(named.paths) == {f"f1/{n:05}.txt" for n in range(6000) if n % 3 == 1 and "0004" in f"{n:05}"}
    with pytest.raises(NotFound, match="no folder f9"):
        await reader.list_files(repository, head, "f9")
    found = await reader.search(repository, head, "a line")
    assert (len(found.lines), found.more) == (40, True)
    small = reader_in(tmp_path / "small", replace(LIMITS, output_bytes=10_000))
    with pytest.raises(LimitReached, match="too many files"):
        await small.list_files(repository, head)


async def test_a_repository_that_is_too_large_is_not_kept(tmp_path: Path, hostile: Hostile) -> None:
    reader = reader_in(tmp_path / "mirrors", replace(LIMITS, mirror_bytes=1000))
    for _again in range(2):
        with pytest.raises(LimitReached, match="larger than"):
            await reader.head(hostile.repository)
        assert list((tmp_path / "mirrors").glob("*/objects.git")) == []


async def test_one_repository_makes_room_for_another(tmp_path: Path, hostile: Hostile) -> None:
    reader = reader_in(tmp_path / "mirrors", replace(LIMITS, mirror_bytes=50 << 20, all_bytes=50 << 20))
    await reader.head(hostile.repository)
    again = replace_id(hostile.repository, "again")
    await reader.head(again)
    assert len(list((tmp_path / "mirrors").glob("*/objects.git"))) == 1
    # What was deleted is fetched anew, whatever was known of it.
    assert (await reader.read(hostile.repository, hostile.old, "src/orders.py")).first_line == 1


async def test_many_may_read_and_fetch_at_once(tmp_path: Path, hostile: Hostile) -> None:
    readers = [reader_in(tmp_path / "mirrors") for _ in range(3)]
    calls = [reader.read(hostile.repository, hostile.old, "src/orders.py", 5) for reader in readers * 2]
    assert {lines.text for lines in await asyncio.gather(*calls)} == {"LAST = 1"}


async def test_a_reader_that_was_cancelled_leaves_nothing_broken(tmp_path: Path, hostile: Hostile) -> None:
    reader = reader_in(tmp_path / "mirrors")
    # Cancelled at every stage: while the folder is made, the branch looked up, its objects fetched, and after.
    for seconds in (0.001, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12):
        running = asyncio.create_task(reader.head(hostile.repository))
        await asyncio.wait([running], timeout=seconds)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert await reader.head(hostile.repository) == hostile.head


async def test_those_who_wait_share_what_the_first_one_saw(tmp_path: Path, hostile: Hostile) -> None:
    limits = replace(LIMITS, head_seconds=60.0)
    reader = reader_in(tmp_path / "mirrors", limits)
    assert set(await asyncio.gather(*(reader.head(hostile.repository) for _ in range(5)))) == {hostile.head}
    gone = replace_id(hostile.repository, "gone", url=(tmp_path / "gone").as_uri())
    failed = await asyncio.gather(*(reader.head(gone) for _ in range(3)), return_exceptions=True)
    assert len({id(error) for error in failed}) == 1
    assert isinstance(failed[0], Unreachable)


async def test_a_remote_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/orders.git"
    reader = reader_in(tmp_path / "mirrors", replace(LIMITS, look_seconds=0.5))
    with pytest.raises(LimitReached, match="did not answer to the end"):
        await reader.head(Repository(repository_id="slow", url=url, default_branch="main"))
    listener.close()


async def test_new_commits_are_seen(tmp_path: Path, hostile: Hostile) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--bare", str(hostile.folder), str(clone))
    work = tmp_path / "work"
    git(tmp_path, "clone", "-q", "-b", "main", str(clone), str(work))
    repository = replace_id(hostile.repository, "moving", url=clone.as_uri())
    reader = reader_in(tmp_path / "mirrors")
    assert await reader.head(repository) == hostile.head
    git(work, "commit", "-q", "--allow-empty", "-m", "Go on")
    git(work, "push", "-q", "origin", "main")
    newer = git(work, "rev-parse", "HEAD")
    assert await reader.head(repository) == newer
    assert (await reader.read(repository, hostile.old, "src/orders.py")).first_line == 1


async def test_why_a_repository_cannot_be_fetched_is_told_without_its_credential(tmp_path: Path) -> None:
    reader = reader_in(tmp_path / "mirrors")
    gone = Repository(repository_id="gone", url=(tmp_path / "gone").as_uri(), default_branch="main")
    with pytest.raises(Unreachable, match="cannot be fetched"):
        await reader.head(gone)
    missing = replace_id(gone, "gone", credential_ref="forge")
    with pytest.raises(Refused, match="no credential 'forge'"):
        await reader.head(missing)
    odd = replace_id(gone, "gone")
    odd.default_branch = "main:refs/heads/owned"
    with pytest.raises(Refused, match="no name of a branch"):
        await reader.head(odd)


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


async def test_a_file_that_unpacks_to_far_more_than_it_was_is_left_out_or_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "bomb"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "bomb.txt").write_bytes(b"x" * (32 << 20))
    (folder / "a.txt").write_text("needle\n")
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "-m", "Small on the wire")
    repository = Repository(repository_id="bomb", url=folder.as_uri(), default_branch="main")
    reader = reader_in(tmp_path / "mirrors", replace(LIMITS, memory_bytes=128 << 20))
    head = await reader.head(repository)
    assert [one.path for one in (await reader.search(repository, head, "needle")).lines] == ["a.txt"]
    careless = reader_in(tmp_path / "mirrors", replace(LIMITS, memory_bytes=40 << 20, file_bytes=1 << 40))
    with pytest.raises(LimitReached, match="more than it may"):
        await careless.search(repository, head, "needle")


async def test_a_credential_is_used_at_its_host_and_kept_nowhere(tmp_path: Path) -> None:
    bare = bare_repository(tmp_path / "served")
    folder = tmp_path / "mirrors"
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "forge").write_text("robot:correct-horse-battery")
    (tmp_path / "credentials" / "forge").chmod(0o600)
    (tmp_path / "credentials" / "wrong").write_text("robot:not-that-horse-either")
    (tmp_path / "credentials" / "wrong").chmod(0o600)
    reader = MirrorReader(folder, Credentials(tmp_path / "credentials"), {}, Plumbing(limits=LIMITS))
    with http_git(tmp_path / "served") as server:
        repository = Repository(
            repository_id="orders", url=server.of(bare), default_branch="main", credential_ref="forge"
        )
        head = await reader.head(repository)
        assert (await reader.read(repository, head, "pyproject.toml", 1, 1)).text == "[project]"
        assert ("robot", "correct-horse-battery") in server.logins
        wrong = replace_id(repository, "orders", credential_ref="wrong")
        with pytest.raises(Unreachable) as refused:
            await reader.head(wrong)
        assert "horse" not in str(refused.value)
    kept = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"horse" not in kept


async def test_an_operator_may_do_without_the_sandbox(tmp_path: Path, hostile: Hostile) -> None:
    reader = reader_in(tmp_path / "mirrors", sandbox=NO_SANDBOX)
    assert (await reader.read(hostile.repository, hostile.old, "src/orders.py", 5)).text == "LAST = 1"


def replace_id(repository: Repository, id: str, *, url: str = "", credential_ref: str = "") -> Repository:
    """Another repository that is like it."""
    return Repository(
        scope=repository.scope,
        repository_id=id,
        url=url or repository.url,
        default_branch=repository.default_branch,
        credential_ref=credential_ref,
    )


async def test_a_mirror_is_no_remote(hostile: Hostile, tmp_path: Path) -> None:
    reader = reader_in(tmp_path / "mirrors")
    await reader.head(hostile.repository)
    [mirror] = (tmp_path / "mirrors").iterdir()
    (tmp_path / "link").symlink_to(mirror)
    there = str(mirror / "objects.git")
    for url in (
        there,
        f"file://{there}",
        f"file://{there.replace('mirrors', '%6dirrors')}",
        f"{tmp_path}/link/objects.git",
        f"{tmp_path}/x/../mirrors/{mirror.name}/objects.git",
        f"../../{mirror.name}/objects.git",
    ):
        other = Repository(scope=Scope(tenant_id="other"), repository_id="theirs", url=url, default_branch="main")
        with pytest.raises(Refused) as refused:
            await reader.head(other)
        assert refused.value.reason == "REPOSITORY_UNREADABLE"
    assert list((tmp_path / "mirrors").iterdir()) == [mirror]


async def test_of_several_tenants_each_has_its_own_credentials_and_none_the_machines_files(
    hostile: Hostile, tmp_path: Path
) -> None:
    folder = tmp_path / "credentials"
    (folder / "acme").mkdir(parents=True)
    for file in (folder / "forge", folder / "acme" / "forge"):
        file.write_text("user:password")
        file.chmod(0o600)
    credentials = Credentials(folder, {"TOKEN": "secret"})
    assert credentials.of_tenant("acme").find("forge").secret == "password"
    reader = MirrorReader(tmp_path / "mirrors", credentials, {}, Plumbing(limits=LIMITS), apart=True)
    for reference in ("forge", "env:TOKEN", "../forge", "../acme/forge"):
        other = Repository(
            scope=Scope(tenant_id="other"),
            repository_id="theirs",
            url="http://127.0.0.1:9/theirs.git",
            default_branch="main",
            credential_ref=reference,
        )
        with pytest.raises(Refused) as refused:
            await reader.head(other)
        assert refused.value.reason == "MISSING_CREDENTIALS"
    with pytest.raises(Refused) as refused:
        await reader.head(hostile.repository)
    assert refused.value.reason == "REPOSITORY_UNREADABLE"
