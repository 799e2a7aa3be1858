"""Git LFS: contents are there where work is done, and new ones are stored before the push."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ameide.engine.build import go_program
from ameide.infra.checkout import check_out
from ameide.infra.credentials import Credential, Kind
from ameide.infra.lfs import store_of
from ameide.infra.steps import StepContext, StepFailed
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, FailureCode, WorkResult
from tests.infra.git_servers import http_git
from tests.tools.test_people import BRANCH, Typist, agent_work, typing
from tests.tools.world import Remote, World, git

VERSION = "v3.7.1"
RULES = "*.png filter=lfs diff=lfs merge=lfs -text\n"
ELSEWHERE = "[lfs]\n\turl = http://127.0.0.1:9/elsewhere\n\tpushurl = http://127.0.0.1:9/elsewhere\n"
ROBOT = Credential(Kind.PASSWORD, "robot", "correct-horse-battery")


@pytest.fixture(scope="session")
def git_lfs(cache_dir: Path) -> Path:
    """The program: the system's, or one that is compiled once and kept beside the engines, in about half a minute."""
    if found := shutil.which("git-lfs"):
        return Path(found)
    folder = cache_dir / f"git-lfs-{VERSION}"
    program = folder / "git-lfs"
    if not program.exists():
        made = folder.with_suffix(f".{os.getpid()}")
        go = go_program()
        settings = {
            "GOROOT": str(go.parent.parent),
            "GOTOOLCHAIN": "local",
            "GOBIN": str(made),
            "GOFLAGS": "-modcacherw",
        }
        settings |= {"GOPATH": str(made / "path"), "GOCACHE": str(made / "cache")}
        package = f"github.com/git-lfs/git-lfs/v3@{VERSION}"
        subprocess.run([go, "install", "-ldflags=-s -w", package], env={**os.environ, **settings}, check=True)
        folder.mkdir(exist_ok=True)
        (made / "git-lfs").rename(program)
        shutil.rmtree(made)
    return program


@pytest.fixture
def lfs_world(world: World, git_lfs: Path) -> World:
    return replace(world, settings=replace(world.settings, git_lfs=git_lfs))


def pointer_to(text: str) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(text)}\n"


def stored(remote: Remote, text: str) -> Path:
    """Where the remote keeps contents."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return remote.bare / "lfs" / "objects" / digest[:2] / digest[2:4] / digest


@pytest.fixture
def pictures(state_dir: Path) -> Remote:
    """A repository that keeps pictures in LFS, and misleads about where."""
    files = {".gitattributes": RULES, "logo.png": pointer_to("old picture\n")}
    remote = Remote.create(state_dir, "pictures", {**files, ".lfsconfig": ELSEWHERE})
    place = stored(remote, "old picture\n")
    place.parent.mkdir(parents=True)
    place.write_text("old picture\n")
    return remote


async def look(ctx: StepContext) -> WorkResult:
    await check_out(ctx, ctx.work.commit_sha)
    return WorkResult(summary=(ctx.workspace.tree / "logo.png").read_text())


async def test_work_is_done_on_contents_and_new_ones_are_stored(lfs_world: World, pictures: Remote) -> None:
    seen = await lfs_world.run(look, lfs_world.work(ActionKind.VERIFY, pictures, commit=pictures.head()))
    assert seen.summary == "old picture\n"
    work = agent_work(lfs_world, pictures, pictures.head())
    result = await lfs_world.run(typing(Typist({"logo.png": "new picture\n", "read.me": "plain\n"})), work)
    assert result.outputs
    assert result.outputs.changed_paths == ["logo.png", "read.me"]
    assert git(pictures.bare, "show", f"{BRANCH}:logo.png") == pointer_to("new picture\n").strip()
    assert stored(pictures, "new picture\n").read_text() == "new picture\n"
    again = await lfs_world.run(look, lfs_world.work(ActionKind.VERIFY, pictures, commit=pictures.head(BRANCH)))
    assert again.summary == "new picture\n"


async def test_the_store_of_a_server_gets_the_credential(lfs_world: World, pictures: Remote) -> None:
    git(pictures.bare, "config", "http.receivepack", "true")
    with http_git(pictures.bare.parent) as server:
        world = replace(lfs_world, credential=ROBOT)
        work = agent_work(world, pictures, pictures.head())
        work.repo_url = server.of(pictures.bare)
        await world.run(typing(Typist({"logo.png": "new picture\n"})), work)
    assert stored(pictures, "new picture\n").read_text() == "new picture\n"


@pytest.mark.parametrize(
    ("files", "path"),
    [
        (
            {".gitattributes": "*.png filter=lfs diff=lfs merge=lfs -text\n*.py filter=lfs\n", "new.py": "x\n"},
            ".gitattributes",
        ),
        ({".gitattributes": "*.png -text\n", "new.py": "x\n"}, ".gitattributes"),
        ({"logo.png": pointer_to("contents of somebody else\n")}, "logo.png"),
    ],
)
async def test_what_is_kept_there_is_no_coder_s_to_change(
    lfs_world: World, pictures: Remote, files: dict[str, str], path: str
) -> None:
    with pytest.raises(StepFailed) as failed:
        await lfs_world.run(typing(Typist(files)), agent_work(lfs_world, pictures, pictures.head()))
    assert failed.value.code is FailureCode.POLICY_VIOLATION
    assert [finding.location for finding in failed.value.findings] == [path]


async def test_without_the_program_it_is_named(world: World, pictures: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ameide.infra.lfs.found_program", lambda: None)
    with pytest.raises(StepFailed, match=r"no git-lfs in .*`apt-get install git-lfs`") as failed:
        await world.run(look, world.work(ActionKind.VERIFY, pictures, commit=pictures.head()))
    # Neither tried again nor given to the coder.
    assert failed.value.code is FailureCode.TOOL_FAILED


@pytest.mark.parametrize(
    ("url", "store"),
    [
        ("https://h/team/it", "https://h/team/it.git/info/lfs"),
        ("https://h/team/it.git/", "https://h/team/it.git/info/lfs"),
        ("ssh://git@h/team/it.git", "ssh://git@h/team/it.git"),
        ("git@h:team/it.git", "git@h:team/it.git"),
        ("/srv/it.git", "file:///srv/it.git"),
    ],
)
def test_the_store_is_the_repository_s_own(url: str, store: str) -> None:
    assert store_of(url) == store
