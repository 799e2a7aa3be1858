"""Git goes where the registered address says, by the protocols that are allowed, and lets no server lead it on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ameide.errors import AmeideError
from ameide.infra.credentials import Credentials
from ameide.infra.git import Git, GitFailed
from ameide.infra.repository_check import remedy_for
from ameide_core_proto.transformation.governance.v1.governance_pb import Repository
from tests.infra.git_servers import bare_repository, http_git
from tests.infra.hostile_repository import reader_in

FORBIDDEN = [
    ("ext::sh -c touch% {folder}/owned", "'ext' not allowed"),
    ("fd::0", "'fd' not allowed"),
    ("git://127.0.0.1:9/orders.git", "'git' not allowed"),
    ("ftp://127.0.0.1:9/orders.git", "'ftp' not allowed"),
]


async def opened(folder: Path, url: str) -> Git:
    """The executors' git of a repository."""
    (folder / "tree").mkdir(exist_ok=True)
    git = Git(folder / "git", folder / "tree", url)
    await git.open()
    return git


@pytest.mark.parametrize("kind", ["another host", "a path of this machine"])
async def test_no_redirect_is_followed(tmp_path: Path, kind: str) -> None:
    bare = bare_repository(tmp_path / "served")
    with http_git(tmp_path / "served") as other:
        target = other.url if kind == "another host" else (tmp_path / "served").as_uri()
        with http_git(tmp_path / "served", redirect_to=target) as server:
            git = await opened(tmp_path, server.of(bare))
            for call in (git.fetch(), git.remote_heads(), git.default_branch(), git.push_with_lease("0" * 40, "x", "")):
                with pytest.raises(GitFailed) as refused:
                    await call
            with pytest.raises(GitFailed, match="returned error: 302") as refused:
                await git.remote_head("main")
            assert "register the address that it redirects to" in remedy_for(refused.value, "")
            repository = Repository(repository_id="orders", url=server.of(bare), default_branch="main")
            with pytest.raises(AmeideError, match="returned error: 302"):
                await reader_in(tmp_path / "mirrors").head(repository)
            assert len(server.asked) >= 5
    assert other.asked == []


async def test_a_mirror_of_before_follows_none_either(tmp_path: Path) -> None:
    bare = bare_repository(tmp_path / "served")
    reader = reader_in(tmp_path / "mirrors")
    with http_git(tmp_path / "served") as other, http_git(tmp_path / "served", redirect_to=other.url) as server:
        repository = Repository(repository_id="orders", url=server.of(bare), default_branch="main")
        with pytest.raises(AmeideError):
            await reader.head(repository)
        [made] = (tmp_path / "mirrors").glob("*/objects.git/config.global")
        made.write_text(f"{made.read_text()}[http]\n\tfollowRedirects = true\n")
        with pytest.raises(AmeideError, match="returned error: 302"):
            await reader_in(tmp_path / "mirrors").head(repository)
        assert other.asked == []


@pytest.mark.parametrize(("url", "why"), FORBIDDEN)
async def test_no_other_protocol_is_spoken(tmp_path: Path, url: str, why: str) -> None:
    url = url.format(folder=tmp_path)
    with pytest.raises(GitFailed, match=why):
        await (await opened(tmp_path, url)).fetch()
    with pytest.raises(AmeideError, match=why):
        await reader_in(tmp_path / "mirrors").head(Repository(repository_id="orders", url=url, default_branch="main"))
    assert "owned" not in os.listdir(tmp_path)


async def test_an_address_without_a_redirect_is_fetched(tmp_path: Path) -> None:
    bare = bare_repository(tmp_path / "served")
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "forge").write_text("robot:correct-horse-battery")
    (folder / "forge").chmod(0o600)
    with http_git(tmp_path / "served") as server:
        git = Git(tmp_path / "git", tmp_path / "tree", server.of(bare), Credentials(folder).find("forge"))
        await git.open()
        await git.fetch()
        assert await git.remote_head("main")
