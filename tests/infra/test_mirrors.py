"""Mirrors of repositories: bounded, shared, renewed, kept apart, and without a trace of a credential."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ameide.errors import LimitReached, NotFound, Refused, Unreachable
from ameide.infra.credentials import Credentials
from ameide.infra.reading.plumbing import Plumbing
from ameide.infra.reading.reader import MirrorReader
from ameide.infra.settings import NO_SANDBOX
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.transformation.governance.v1.governance_pb import Repository
from tests.infra.git_servers import bare_repository, git, http_git
from tests.infra.hostile_repository import LIMITS, Hostile, made_in, reader_in, replace_id


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Hostile:
    """It is read by many and changed by none."""
    return made_in(tmp_path_factory.mktemp("hostile"))


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
