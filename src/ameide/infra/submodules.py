"""Submodules of a checkout, where the policy wants them: fetched by the executor's own git at the pinned commits.

A credential goes to the origin (protocol, host, port) that it was registered for and to no other. Only a repository on
this machine may name submodules on this machine. The working tree holds plain files: no child gets a submodule's git.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from ameide.contracts.remote_url import check_url
from ameide.errors import InvalidArgument
from ameide.infra import lfs
from ameide.infra.git import Git, GitFailed
from ameide.infra.git_login import scheme_of
from ameide.infra.steps import StepContext
from ameide_core_proto.transformation.work.v1.work_pb import CheckoutRules

GITMODULES = ".gitmodules"
_DEPTH, _MOST = 5, 100
# Who names a submodule is not whom the keys on this machine were given to.
_NO_KEYS = "ssh -F /dev/null -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityFile=none -o IdentityAgent=none"


@dataclass(frozen=True)
class Submodule:
    """One pinned submodule: its path in the repository that names it, its address, the commit."""

    path: str
    url: str
    commit: str


async def submodules_at(git: Git, commit: str) -> list[Submodule]:
    """The submodules of a commit. Raises `GitFailed` for one without a usable address, naming it."""
    listed = await git.entries("ls-tree", "-r", "-z", "--full-tree", commit)
    pinned = {
        path: head.split()[2]
        for head, _, path in (entry.partition("\t") for entry in listed)
        if head.startswith("160000 ")
    }
    if not pinned:
        return []
    urls = await _urls(git, commit)
    return [Submodule(path, _address(git.url, path, urls.get(path, "")), sha) for path, sha in pinned.items()]


async def check_out_submodules(ctx: StepContext, commit: str) -> None:
    """Fill in the submodules below the working tree, nested ones too, if the policy says so.

    `ctx.submodules` keeps the git of each, for a later look at what became of it. Raises `GitFailed`.
    """
    ctx.submodules.clear()
    if not (ctx.work.checkout or CheckoutRules()).submodules:
        return
    level: Sequence[tuple[Git, str]] = [(ctx.git, commit)]
    for _ in range(_DEPTH):
        level = [deeper for git, sha in level for deeper in await _fill(ctx, git, sha)]
        if not level:
            return
    raise GitFailed(f"submodules are nested more than {_DEPTH} deep; flatten them")


async def rewritten_submodules(ctx: StepContext) -> list[str]:
    """Files of submodules, by their paths from the root of the repository, that are not as they were checked out.

    Ask once the tree is known to have its submodules where they were, and plain files in them.
    """
    there = [git for git in ctx.submodules if git.tree.is_dir()]
    return [str(git.tree.relative_to(ctx.git.tree) / path) for git in there for path in await git.rewritten_paths()]


async def _fill(ctx: StepContext, git: Git, commit: str) -> list[tuple[Git, str]]:
    made: list[tuple[Git, str]] = []
    for found in await submodules_at(git, commit):
        if len(ctx.submodules) >= _MOST:
            raise GitFailed(f"there are more than {_MOST} submodules; take the policy's checkout.submodules back")
        place = sha256(f"{found.url}\0{git.tree / found.path}".encode()).hexdigest()[:16]
        below = for_submodule(git, found, ctx.workspace.private / "submodules" / place)
        try:
            await below.open()
            _make_folder(git.tree, found.path)
            await fetch_commit(below, found.commit)
            await lfs.check_out(below, ctx.settings.git_lfs, found.commit)
        except GitFailed as error:
            raise GitFailed(f"submodule {found.path} at {found.commit[:12]}: {error}") from error
        ctx.log(f"checked out submodule {found.path} at {found.commit}")
        ctx.submodules.append(below)
        made.append((below, found.commit))
    return made


def _make_folder(tree: Path, path: str) -> None:
    """The folder of a submodule, reached by no link. Raises `GitFailed`.

    Git checks out a tree that has one submodule inside of another one, whose files may be links out of the workspace.
    """
    place = tree
    for part in path.split("/"):
        place = place / part
        if part in ("", ".", "..") or place.is_symlink():
            raise GitFailed("its path leads over a link or out of the repository; move it")
        place.mkdir(exist_ok=True)


def for_submodule(git: Git, found: Submodule, folder: Path) -> Git:
    """A git for a submodule, with the credential if it is at the same origin, else without any key of this machine."""
    same = origin_of(found.url) == origin_of(git.url)
    return replace(
        git,
        folder=folder,
        tree=git.tree / found.path,
        url=found.url,
        credential=git.credential if same else None,
        network=git.network if same else {**git.network, "GIT_SSH_COMMAND": _NO_KEYS},
    )


async def fetch_commit(git: Git, commit: str) -> None:
    """Fetch one commit, alone where the server gives it by its id. Raises `GitFailed`."""
    try:
        await git.fetch(commit, depth=1)
    except GitFailed:
        await git.fetch()
    if not await git.exists(commit):
        raise GitFailed(f"{git.url} has no such commit on any branch; push it there")


def origin_of(url: str) -> tuple[str, str]:
    """Protocol, and host with port."""
    if "://" in url:
        parts = urlsplit(url)
        return parts.scheme.lower(), parts.netloc.rpartition("@")[2].lower()
    scheme = scheme_of(url)
    return scheme, "" if scheme == "file" else url.partition(":")[0].rpartition("@")[2].lower()


def resolved(base: str, url: str) -> str:
    """A submodule's address as git reads it: `./` and `../` start at the address of the repository that names it."""
    if not url.startswith(("./", "../")):
        return url
    place = base.rstrip("/")
    while True:
        if url.startswith("./"):
            url = url[2:]
        elif url.startswith("../"):
            url = url[3:]
            cut = max(place.rfind("/"), place.rfind(":"))
            separator = place[cut] if cut >= 0 else "/"
            place = place[:cut] if cut >= 0 else ""
            if separator == ":" and "://" not in place:
                return f"{place}:{url}"
        else:
            return f"{place}/{url}"


async def _urls(git: Git, commit: str) -> dict[str, str]:
    """Addresses by path, as `.gitmodules` of the commit says; that file of the working tree is never read."""
    wanted = ("-z", "--get-regexp", r"^submodule\..*\.(path|url)$")
    said = await git.git("config", "--blob", f"{commit}:{GITMODULES}", *wanted, check=False)
    names: dict[str, dict[str, str]] = {}
    for entry in said.stdout.decode("utf-8", "surrogateescape").split("\0"):
        key, _, value = entry.partition("\n")
        name, _, field = key.rpartition(".")
        names.setdefault(name, {})[field] = value
    return {one["path"]: one["url"] for one in names.values() if one.keys() >= {"path", "url"}}


def _address(base: str, path: str, url: str) -> str:
    if not url:
        raise GitFailed(f"submodule {path} has no url in {GITMODULES}; add it there")
    address = resolved(base, url)
    try:
        check_url(address, f"{GITMODULES} {path}")
    except InvalidArgument as error:
        raise GitFailed(str(error)) from error
    if scheme_of(address) == "file" and scheme_of(base) != "file":
        raise GitFailed(f"submodule {path} lies on this machine, the repository does not; give it an address of a host")
    return address
