"""Submodules: fetched where the policy wants them, by the credential of their own host, and changed by no coder."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ameide.infra.checkout import check_out
from ameide.infra.credentials import Credential, Kind
from ameide.infra.git import Git
from ameide.infra.steps import StepContext, StepFailed
from ameide.infra.submodules import Submodule, for_submodule, origin_of, resolved
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    CheckoutRules,
    FailureCode,
    WorkRequest,
    WorkResult,
)
from tests.infra.git_servers import http_git
from tests.tools.test_people import Typist, agent_work, typing
from tests.tools.world import Remote, World, git

ROBOT = Credential(Kind.PASSWORD, "robot", "correct-horse-battery")


def pin(remote: Remote, path: str, url: str, commit: str) -> str:
    """Have main name a submodule at a commit, whatever the address leads to; the new commit."""
    git(remote.clone, "config", "--file", ".gitmodules", f"submodule.{path}.path", path)
    git(remote.clone, "config", "--file", ".gitmodules", f"submodule.{path}.url", url)
    git(remote.clone, "add", ".gitmodules")
    git(remote.clone, "update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
    git(remote.clone, "commit", "-q", "-m", f"Pin {path}")
    git(remote.clone, "push", "-q", "origin", "HEAD:refs/heads/main")
    return git(remote.clone, "rev-parse", "HEAD")


@pytest.fixture
def served(state_dir: Path) -> Path:
    folder = state_dir / "served"
    folder.mkdir()
    return folder


@pytest.fixture
def library(served: Path) -> Remote:
    made = Remote.create(served, "library", {"lib.txt": "pinned\n"})
    made.commit({"lib.txt": "newer\n"})
    return made


@pytest.fixture
def product(served: Path) -> Remote:
    return Remote.create(served, "product", {"readme.txt": "it\n"})


async def listing(ctx: StepContext) -> WorkResult:
    await check_out(ctx, ctx.work.commit_sha)
    tree = ctx.workspace.tree
    files = [path for path in sorted(tree.rglob("*")) if path.is_file() and ".git" not in path.parts]
    return WorkResult(summary=" ".join(f"{path.relative_to(tree)}={path.read_text().strip()}" for path in files))


def looking(world: World, remote: Remote, commit: str, *, url: str = "", submodules: bool = True) -> WorkRequest:
    work = world.work(ActionKind.VERIFY, remote, commit=commit)
    work.repo_url = url or work.repo_url
    work.checkout = CheckoutRules(submodules=submodules)
    return work


async def test_they_are_filled_in_at_the_pinned_commit_nested_ones_too(
    world: World, served: Path, product: Remote, library: Remote
) -> None:
    middle = Remote.create(served, "middle", {"middle.txt": "m\n"})
    pinned = git(library.bare, "rev-parse", "main^")
    inner = pin(middle, "deps/library", "../library.git", pinned)
    head = pin(product, "vendor/middle", "../middle.git", inner)
    empty = await world.run(listing, looking(world, product, head, submodules=False))
    assert "lib.txt" not in empty.summary
    filled = await world.run(listing, looking(world, product, head))
    assert "vendor/middle/middle.txt=m" in filled.summary
    assert "vendor/middle/deps/library/lib.txt=pinned" in filled.summary


async def test_the_credential_goes_to_its_own_host_alone(
    world: World, served: Path, product: Remote, library: Remote
) -> None:
    with http_git(served) as own, http_git(served) as other:
        world = replace(world, credential=ROBOT)
        near = pin(product, "vendor/near", "../library.git", library.head())
        done = await world.run(listing, looking(world, product, near, url=own.of(product.bare)))
        assert "vendor/near/lib.txt=newer" in done.summary
        far = pin(product, "vendor/far", other.of(library.bare), library.head())
        with pytest.raises(StepFailed, match="submodule vendor/far at") as failed:
            await world.run(listing, looking(world, product, far, url=own.of(product.bare)))
        assert failed.value.code is FailureCode.CHECKOUT_FAILED
        assert not other.logins


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("/etc", "lies on this machine, the repository does not"),
        ("https://ada:secret-word@git.example.org/x.git", "carries a user or a password"),
        ("ext::sh -c true", "is no address of a repository"),
    ],
)
async def test_an_address_that_leads_astray_is_refused(
    world: World, served: Path, product: Remote, library: Remote, url: str, complaint: str
) -> None:
    head = pin(product, "vendor/x", url, library.head())
    with http_git(served) as server:
        world = replace(world, credential=ROBOT)
        with pytest.raises(StepFailed, match=complaint) as failed:
            await world.run(listing, looking(world, product, head, url=server.of(product.bare)))
    assert "secret-word" not in failed.value.summary


async def test_a_coder_changes_nothing_in_them(world: World, product: Remote, library: Remote) -> None:
    head = pin(product, "vendor/library", "../library.git", library.head())
    work = agent_work(world, product, head)
    work.checkout = CheckoutRules(submodules=True)
    coder = Typist({"coder.txt": "its\n", "vendor/library/lib.txt": "the coder's\n"})
    with pytest.raises(StepFailed) as failed:
        await world.run(typing(coder), work)
    assert failed.value.code is FailureCode.POLICY_VIOLATION
    assert [finding.location for finding in failed.value.findings] == ["vendor/library/lib.txt"]


@pytest.mark.parametrize("allowed", [False, True])
async def test_removing_one_takes_the_policy(world: World, product: Remote, library: Remote, allowed: bool) -> None:
    head = pin(product, "vendor", "../library.git", library.head())
    work = agent_work(world, product, head)
    work.checkout = CheckoutRules(submodules=True, coder_may_change_submodules=allowed)
    # A file in the place of the folder.
    coder = Typist({}, removes=("vendor",), then={"vendor": "no folder any more\n"})
    if allowed:
        result = await world.run(typing(coder), work)
        assert result.outputs
        assert result.outputs.changed_paths == ["vendor"]
        return
    with pytest.raises(StepFailed, match="changed what it may not: vendor"):
        await world.run(typing(coder), work)


@pytest.mark.parametrize(
    ("base", "url", "address"),
    [
        ("https://h/team/product.git", "../library.git", "https://h/team/library.git"),
        ("https://h/team/product.git/", "../../other/library.git", "https://h/other/library.git"),
        ("git@h:team/product.git", "../library.git", "git@h:team/library.git"),
        ("git@h:product.git", "../library.git", "git@h:library.git"),
        ("/srv/git/product.git", "./inner.git", "/srv/git/product.git/inner.git"),
        ("https://h/team/product.git", "https://x/y.git", "https://x/y.git"),
    ],
)
def test_addresses_start_at_the_repository(base: str, url: str, address: str) -> None:
    assert resolved(base, url) == address


def test_an_origin_is_protocol_host_and_port() -> None:
    assert origin_of("ssh://git@h:22/a.git") == ("ssh", "h:22")
    assert origin_of("git@H:a.git") == ("ssh", "h")
    assert origin_of("https://h/a.git") != origin_of("https://h:8443/a.git")
    assert origin_of("/srv/a.git") == origin_of("file:///srv/a.git")


async def test_a_link_in_a_submodule_does_not_lead_the_checkout_of_another_one_away(
    world: World, served: Path, product: Remote, library: Remote, state_dir: Path
) -> None:
    outside = state_dir / "outside"
    outside.mkdir()
    (outside / "kept.txt").write_text("somebody else's\n")
    leading = Remote.create(served, "leading", {"readme.txt": "l\n"})
    (leading.clone / "inner").symlink_to(outside)
    git(leading.clone, "add", "inner")
    git(leading.clone, "commit", "-q", "-m", "Lead away")
    git(leading.clone, "push", "-q", "origin", "HEAD:refs/heads/main")
    head = two_in_one(product, git(leading.clone, "rev-parse", "HEAD"), git(library.bare, "rev-parse", "main"))
    with pytest.raises(StepFailed, match=r"submodule vendor/inner .*over a link") as failed:
        await world.run(listing, looking(world, product, head))
    assert failed.value.code is FailureCode.CHECKOUT_FAILED
    assert [path.name for path in outside.iterdir()] == ["kept.txt"]


def test_a_submodule_elsewhere_gets_no_key_of_this_machine_either(state_dir: Path) -> None:
    git_of = Git(state_dir / "git", state_dir / "tree", "git@forge.example:team/it.git")
    own = for_submodule(git_of, Submodule("a", "git@forge.example:team/a.git", "0" * 40), state_dir / "a")
    assert "GIT_SSH_COMMAND" not in own.network
    other = for_submodule(git_of, Submodule("b", "git@inside.example:team/b.git", "0" * 40), state_dir / "b")
    argv = [*shlex.split(other.network["GIT_SSH_COMMAND"]), "-G", "git@inside.example"]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    assert {line for line in said if line.startswith("identit")} == {
        "identitiesonly yes",
        "identityagent none",
        "identityfile none",
    }
    # Nor has one that it names itself, where it leads back.
    back = for_submodule(other, Submodule("c", "git@forge.example:team/c.git", "0" * 40), state_dir / "c")
    assert back.network == other.network


def two_in_one(remote: Remote, outer: str, inner: str) -> str:
    """Have main name the submodule `leading` at vendor and `library` in vendor/inner, as only forged trees can."""
    for path, name in (("vendor", "leading"), ("vendor/inner", "library")):
        git(remote.clone, "config", "--file", ".gitmodules", f"submodule.{path}.path", path)
        git(remote.clone, "config", "--file", ".gitmodules", f"submodule.{path}.url", f"../{name}.git")
    git(remote.clone, "add", ".gitmodules")
    modules = git(remote.clone, "rev-parse", ":.gitmodules")

    def tree(entries: bytes) -> bytes:
        argv = ("git", "hash-object", "-t", "tree", "--literally", "-w", "--stdin")
        made = subprocess.run(argv, cwd=remote.clone, input=entries, capture_output=True, check=True)
        return bytes.fromhex(made.stdout.decode())

    folder = tree(b"160000 inner\0" + bytes.fromhex(inner))
    entries = (b"100644 .gitmodules\0" + bytes.fromhex(modules), b"160000 vendor\0" + bytes.fromhex(outer))
    whole = tree(b"".join((*entries, b"40000 vendor\0" + folder)))
    commit = git(remote.clone, "commit-tree", whole.hex(), "-m", "Two in one")
    git(remote.clone, "push", "-q", "--force", "origin", f"{commit}:refs/heads/main")
    return commit
