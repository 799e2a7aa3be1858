"""A forge on one machine: bare repositories.

And pull requests as JSON records in their git folders (`ameide/pulls/<n>.json`).

The target branch moves by a push with a lease into the repository, so its hooks decide as for everybody. A branch
listed in the repository's git setting `ameide.protectedBranch` is merged by people only (`git config --add
ameide.protectedBranch main`).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Generator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ameide.delivery.forge.port import ForgeError, MergeRefused, PullRequest, PullState
from ameide.delivery.git_process import run_git

_IDENTITY = {
    "GIT_AUTHOR_NAME": "ameide",
    "GIT_AUTHOR_EMAIL": "ameide@ameide.invalid",
    "GIT_COMMITTER_NAME": "ameide",
    "GIT_COMMITTER_EMAIL": "ameide@ameide.invalid",
}
PROTECTED = "ameide.protectedBranch"


class LocalForge:
    """See `Forge`. `as_person` merges into protected branches too: what a person does with the button of a forge."""

    def __init__(self, *, as_person: bool = False) -> None:
        self._as_person = as_person

    async def open_pull(self, repository: str, *, head: str, target: str, title: str, body: str) -> PullRequest:
        """The open pull request from `head` into `target`; its head commit is that of the branch now."""
        folder = await _git_folder(repository)
        head_sha = await _commit(folder, head)
        if not head_sha:
            raise ForgeError(f"{repository} has no branch {head}", field="head", remedy="Push it first.")
        with _locked(folder):
            known = next(
                (
                    pull
                    for pull in _records(folder)
                    if (pull.head, pull.target, pull.state) == (head, target, PullState.OPEN)
                ),
                None,
            )
            if known is None:
                number = max((pull.number for pull in _records(folder)), default=0) + 1
                known = PullRequest(number, f"{repository}#pull-{number}", title, body, head, head_sha, target)
            return _record(folder, replace(known, head_sha=head_sha, title=title, body=body))

    async def get_pull(self, repository: str, number: int) -> PullRequest:
        """A pull request as it is now; one whose commit reached the target by another way counts as merged."""
        folder = await _git_folder(repository)
        found = next((pull for pull in _records(folder) if pull.number == number), None)
        if found is None:
            raise ForgeError(
                f"{repository} has no pull request {number}", field="number", remedy="List them with find_pulls."
            )
        if found.state is PullState.OPEN and await _is_ancestor(
            folder, found.head_sha, await _commit(folder, found.target)
        ):
            return _record(folder, replace(found, state=PullState.MERGED, merge_commit_sha=found.head_sha))
        return found

    async def find_pulls(self, repository: str, *, head: str = "") -> Sequence[PullRequest]:
        """The pull requests (of branch `head`), newest first."""
        folder = await _git_folder(repository)
        return sorted((pull for pull in _records(folder) if head in {"", pull.head}), key=lambda pull: -pull.number)

    async def merge_pull(self, repository: str, number: int, *, head_sha: str) -> PullRequest:
        """Fast-forward the target to the head, or merge it in when the target went on."""
        folder, pull = await _git_folder(repository), await self.get_pull(repository, number)
        if pull.state is PullState.MERGED:
            return pull
        if pull.state is PullState.CLOSED or pull.head_sha != head_sha:
            what = (
                "is closed" if pull.state is PullState.CLOSED else f"proposes {pull.head_sha[:12]}, not {head_sha[:12]}"
            )
            raise MergeRefused(f"{pull.url} {what}", remedy="Look at it again, then decide.", reason="MOVED")
        if (
            not self._as_person
            and pull.target in (await _git(folder, "config", "--get-all", PROTECTED))[1].splitlines()
        ):
            raise MergeRefused(
                f"{pull.target} is protected", field=pull.url, remedy="Have a person merge it.", reason="PROTECTED"
            )
        target = await _commit(folder, pull.target)
        merged = head_sha if await _is_ancestor(folder, target, head_sha) else await _merge(folder, pull, target)
        await _move(folder, pull, target, merged)
        return _record(folder, replace(pull, state=PullState.MERGED, merge_commit_sha=merged))

    async def close_pull(self, repository: str, number: int) -> PullRequest:
        """Close it without merging."""
        pull = await self.get_pull(repository, number)
        if pull.state is PullState.MERGED:
            raise ForgeError(f"{pull.url} is merged", field="number", remedy="Revert its commit instead.")
        return _record(await _git_folder(repository), replace(pull, state=PullState.CLOSED))


async def _merge(folder: Path, pull: PullRequest, target: str) -> str:
    code, out, _ = await _git(folder, "merge-tree", "--write-tree", "--no-messages", target, pull.head_sha)
    if code:
        raise MergeRefused(
            f"{pull.url} conflicts with {pull.target}",
            remedy="Propose it again on the current commit.",
            reason="CONFLICT",
        )
    code, commit, error = await _git(
        folder, "commit-tree", "-p", target, "-p", pull.head_sha, "-m", f"Merge {pull.title}", out.split()[0]
    )
    if code:
        raise ForgeError(f"{pull.url}: {error}", remedy="Look at the repository with `git fsck`.")
    return commit


async def _move(folder: Path, pull: PullRequest, target: str, merged: str) -> None:
    lease = f"--force-with-lease=refs/heads/{pull.target}:{target}"
    code, _, error = await _git(folder, "push", "--quiet", lease, str(folder), f"{merged}:refs/heads/{pull.target}")
    if code == 0:
        return
    if await _commit(folder, pull.target) != target:
        raise MergeRefused(f"{pull.target} moved meanwhile", field=pull.url, remedy="Try again.", reason="MOVED")
    raise MergeRefused(
        f"the repository refuses the push to {pull.target}: {error}",
        field=pull.url,
        remedy="Have a person merge it.",
        reason="PROTECTED",
    )


async def _git_folder(repository: str) -> Path:
    path = Path(unquote(urlsplit(repository).path) if repository.startswith("file://") else repository)
    code, out, _ = await _git(path, "rev-parse", "--absolute-git-dir")
    if code == 0:
        return Path(out)
    raise ForgeError(
        f"{repository} is no git repository on this machine",
        field="repository",
        remedy="Create it with `git init --bare`.",
    )


async def _commit(folder: Path, branch: str) -> str:
    return (await _git(folder, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{commit}}"))[1]


async def _is_ancestor(folder: Path, ancestor: str, descendant: str) -> bool:
    return bool(descendant) and (await _git(folder, "merge-base", "--is-ancestor", ancestor, descendant))[0] == 0


async def _git(folder: Path, *args: str) -> tuple[int, str, str]:
    """Exit code, standard output and the end of standard error."""
    code, out, err = await run_git(
        "-c",
        "safe.directory=*",
        "-C",
        str(folder),
        *args,
        env={
            "PATH": os.defpath,
            "HOME": str(folder),
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            **_IDENTITY,
        },
    )
    return code, out.decode("utf-8", "replace").strip(), err.decode("utf-8", "replace").strip()[-400:]


def _records(folder: Path) -> list[PullRequest]:
    pulls = (json.loads(path.read_bytes()) for path in (folder / "ameide" / "pulls").glob("*.json"))
    return [replace(PullRequest(**pull), state=PullState(pull["state"])) for pull in pulls]


def _record(folder: Path, pull: PullRequest) -> PullRequest:
    path = folder / "ameide" / "pulls" / f"{pull.number}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    partial.write_text(json.dumps({**asdict(pull), "state": pull.state.value}, indent=2) + "\n")
    partial.rename(path)
    return pull


@contextlib.contextmanager
def _locked(folder: Path) -> Generator[None]:
    (folder / "ameide").mkdir(exist_ok=True)
    with (folder / "ameide" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
