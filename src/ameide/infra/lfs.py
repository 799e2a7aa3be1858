"""Files that a repository keeps in Git LFS: fetched by the executor for a checkout, and stored before a push.

Whether a path is kept there is said by `.gitattributes` of the commit that is checked out, and no coder may change
that: a reader of the patch would see pointers instead of code. The address of the store is the repository's own,
whatever `.lfsconfig` says, so that nothing in the repository leads its objects elsewhere.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from ameide.infra.git import Git, PathChange
from ameide.infra.git_command import PATH
from ameide.infra.git_login import scheme_of
from ameide.infra.steps import StepFailed
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode

ATTRIBUTES = ".gitattributes"
_KEPT, _FILTERED = re.compile(rb"(?m)^[^#\n]*filter=lfs"), re.compile(rb"(?m)^[^#\n]*(?:filter=lfs|[-!]filter).*$")
_POINTER = re.compile(rb"\Aversion https://git-lfs\.github\.com/spec/v1\n(?:[^\n]*\n)*?oid sha256:([0-9a-f]{64})\n")
_POINTER_BYTES = 1024
# A setting of our own in the private configuration: which program was found.
_PROGRAM = "ameide.lfs"
# Not `origin`: a clone of ours would take its address for its own.
_REMOTE = "store"


async def uses_lfs(git: Git, commit: str) -> bool:
    """Whether any `.gitattributes` of the commit keeps files in LFS."""
    paths = await git.entries("ls-tree", "-r", "-z", "--name-only", "--full-tree", commit)
    return any([_KEPT.search(await git.show(commit, path) or b"") for path in paths if _is_attributes(path)])


async def prepare(git: Git, program: Path | None, commit: str) -> bool:
    """Let this git read and write LFS files, if the commit has any; whether it has.

    `program` is git-lfs, None to look for it in the system's folders. Raises `StepFailed(TOOL_FAILED)` without one.
    """
    if not await uses_lfs(git, commit):
        return False
    found = program or found_program()
    if found is None:
        raise StepFailed(
            FailureCode.TOOL_FAILED,
            f"git-lfs: the repository keeps files in Git LFS, and this executor has no git-lfs in {PATH}. Install it"
            " (`apt-get install git-lfs`, `brew install git-lfs`), or name it by AMEIDE_GIT_LFS.",
        )
    values = {
        "filter.lfs.clean": f"'{found}' clean -- %f",
        "filter.lfs.smudge": f"'{found}' smudge -- %f",
        "filter.lfs.process": f"'{found}' filter-process",
        "filter.lfs.required": "true",
        "lfs.url": store_of(git.url),
        # Where it is stored has a setting of its own, which the repository's file may have as well.
        "lfs.pushurl": store_of(git.url),
        "lfs.locksverify": "false",
        f"remote.{_REMOTE}.url": git.url,
        _PROGRAM: str(found),
    }
    for name, value in values.items():
        await git.git("config", "--file", str(git.folder / "config.global"), name, value)
    return True


async def check_out(git: Git, program: Path | None, commit: str) -> None:
    """Make the working tree that commit, with the contents of its LFS files. Raises `GitFailed`, and as `prepare`."""
    if not await prepare(git, program, commit):
        await git.checkout(commit)
        return
    used = (await git.git("config", "--get", _PROGRAM)).text
    with git.with_credential() as env:
        await git.checkout(commit, {**env, **_path_to(used)})


async def upload(git: Git, base: str, commit: str) -> None:
    """Store the contents of the LFS files that differ between two commits. Raises `GitFailed`."""
    program = (await git.git("config", "--get", _PROGRAM, check=False)).text
    if not program:
        return
    oids = sorted({oid for _, oid in await _pointers(git, commit, await git.changed_paths(base, commit))})
    with git.with_credential() as env:
        for start in range(0, len(oids), 100):
            await git.git(
                "lfs", "push", "--object-id", _REMOTE, *oids[start : start + 100], env={**env, **_path_to(program)}
            )


async def broken_rules(git: Git, base: str, head: str, changes: Sequence[PathChange]) -> list[tuple[str, str]]:
    """Changed paths, with what is wrong about each: rules of LFS that changed, and pointers to nothing known."""
    wrong: list[tuple[str, str]] = []
    for change in changes:
        if _is_attributes(change.path) and await _rules(git, base, change.path) != await _rules(git, head, change.path):
            wrong.append((change.path, "it changes which files are kept in Git LFS, where no reader sees them"))
    known = {oid for _, oid in await _pointers(git, base, changes)}
    for path, oid in await _pointers(git, head, changes):
        if oid not in known and not (git.folder / "lfs" / "objects" / oid[:2] / oid[2:4] / oid).is_file():
            wrong.append((path, "it is a Git LFS pointer to contents that are not here"))
    return wrong


def store_of(url: str) -> str:
    """The address of a repository's LFS store."""
    match scheme_of(url):
        case "http" | "https":
            whole = url.rstrip("/")
            return f"{whole}{'' if whole.endswith('.git') else '.git'}/info/lfs"
        case "file" if "://" not in url:
            return Path(url).as_uri()
        case _:
            return url


def _path_to(program: str) -> dict[str, str]:
    """It calls itself by name. Its folder stands behind those in which git is looked for."""
    return {"PATH": f"{PATH}:{Path(program).parent}"}


def found_program() -> Path | None:
    """git-lfs in the system's folders."""
    found = shutil.which("git-lfs", path=PATH)
    return Path(found) if found else None


def _is_attributes(path: str) -> bool:
    return path.rpartition("/")[2].casefold() == ATTRIBUTES


async def _rules(git: Git, revision: str, path: str) -> list[bytes]:
    return _FILTERED.findall(await git.show(revision, path) or b"")


async def _pointers(git: Git, revision: str, changes: Iterable[PathChange]) -> list[tuple[str, str]]:
    """Path and object id of those changed files that are pointers at a revision."""
    wanted = {change.path for change in changes}
    found: list[tuple[str, str]] = []
    for entry in await git.entries("ls-tree", "-r", "-l", "-z", "--full-tree", revision):
        head, _, path = entry.partition("\t")
        size = head.split()[-1]
        if path in wanted and size.isdigit() and int(size) <= _POINTER_BYTES:
            pointer = _POINTER.match(await git.show(revision, path) or b"")
            if pointer:
                found.append((path, pointer[1].decode()))
    return found
