"""The executor's own git. Its git folder is out of every child's reach, and no file of a working tree configures it.

No hooks, no system or user configuration, no credential prompt, only the file, https and ssh transports. A credential
is given to git by a program that reads a private file, never in a URL, an argument or a log line.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ameide.infra.diff_hash import DIFF_OPTIONS, diff_hash

_PATH = "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin"
_CONFIG = """\
[core]
\thooksPath = /dev/null
\tattributesFile = /dev/null
\texcludesFile = /dev/null
\tfsmonitor = false
\tautocrlf = false
\tquotePath = false
\tprotectHFS = true
\tprotectNTFS = true
[safe]
\tdirectory = *
[gc]
\tauto = 0
[maintenance]
\tauto = false
[submodule]
\trecurse = false
[fetch]
\trecurseSubmodules = false
[commit]
\tgpgSign = false
[credential]
\thelper =
[init]
\tdefaultBranch = main
[advice]
\tdetachedHead = false
"""
IDENTITY = ("ameide", "ameide@ameide.invalid")
CODER = ("ameide coder", "coder@ameide.invalid")


class GitFailed(Exception):
    """Git said no; the message names the command and carries its last lines."""


class LeaseRefused(GitFailed):
    """The remote branch is not at the commit that was expected there.

    `actual` is where it is, empty for no such branch.
    """

    def __init__(self, branch: str, expected: str, actual: str) -> None:
        super().__init__(f"{branch} is at {actual or 'no commit'} and was expected at {expected or 'no commit'}")
        self.branch, self.expected, self.actual = branch, expected, actual


@dataclass(frozen=True)
class GitResult:
    """The end of one git command."""

    exit_code: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """Standard output without the last line break."""
        return self.stdout.decode("utf-8", "replace").strip()


@dataclass(frozen=True)
class PathChange:
    """One changed path.

    `status` is A, M, D or T; a rename is a D and an A. `mode` is the new file mode, ``000000`` when deleted.
    """

    status: str
    path: str
    mode: str


@dataclass(frozen=True)
class MergeOutcome:
    """A merge: its tree and commit, or the paths in conflict (then both are empty)."""

    tree: str = ""
    commit: str = ""
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Git:
    """Git on one remote, with a private git folder `folder` and a working tree `tree`.

    `credential` is ``user:password`` or a token; `network` are proxy and CA variables; `guard` is called before every
    command and raises when the claim is gone. Methods raise `GitFailed`.
    """

    folder: Path
    tree: Path
    url: str = ""
    credential: str = field(default="", repr=False)
    network: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    guard: Callable[[], None] = lambda: None

    async def open(self) -> None:
        """Create the private git folder."""
        self.folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        (self.folder / "config.global").write_text(_CONFIG)
        (self.folder / "template").mkdir(exist_ok=True)
        await self.git("init", "--quiet", f"--template={self.folder / 'template'}")

    async def git(
        self,
        *args: str,
        check: bool = True,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> GitResult:
        """Run one git command. With `check`, another exit code than 0 raises."""
        self.guard()
        try:
            process = await asyncio.create_subprocess_exec(
                "git",
                *args,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**self._environment(), **(env or {})},
                cwd=cwd or self.folder,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise GitFailed(f"git was not found in {_PATH}; install git 2.38 or later there") from error
        try:
            stdout, stderr = await process.communicate(stdin)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            raise
        result = GitResult(process.returncode or 0, stdout, stderr.decode("utf-8", "replace"))
        if check and result.exit_code:
            raise GitFailed(f"git {args[0]} failed: {_last_lines(result.stderr or result.text)}")
        return result

    async def fetch(self, *refspecs: str) -> None:
        """Fetch from the remote; without refspecs all of its branches, to ``refs/remotes/origin``."""
        wanted = refspecs or ("+refs/heads/*:refs/remotes/origin/*",)
        with self._credential() as env:
            await self.git(
                "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--force", self.url, *wanted, env=env
            )

    async def remote_head(self, branch: str) -> str:
        """The commit of a branch at the remote now; empty when there is no such branch."""
        with self._credential() as env:
            listed = await self.git("ls-remote", self.url, f"refs/heads/{branch}", env=env)
        return listed.text.split("\t")[0] if listed.text else ""

    async def default_branch(self) -> str:
        """The name of the remote's default branch."""
        with self._credential() as env:
            listed = await self.git("ls-remote", "--symref", self.url, "HEAD", env=env)
        for line in listed.text.splitlines():
            if line.startswith("ref: refs/heads/"):
                return line.removeprefix("ref: refs/heads/").split("\t")[0]
        raise GitFailed("the remote names no default branch; push a first commit to it")

    async def resolve(self, revision: str) -> str:
        """The full commit id of a revision that is here."""
        return (await self.git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")).text

    async def exists(self, sha: str) -> bool:
        """Whether the commit is here."""
        return not (await self.git("cat-file", "-e", f"{sha}^{{commit}}", check=False)).exit_code

    async def show(self, revision: str, path: str) -> bytes | None:
        """The bytes of a file at a revision; None when it isn't there."""
        shown = await self.git("cat-file", "blob", f"{revision}:{path}", check=False)
        return None if shown.exit_code else shown.stdout

    async def checkout(self, sha: str) -> None:
        """Make the working tree exactly that commit, detached; what was there before is gone."""
        await self.git("checkout", "--quiet", "--force", "--detach", sha, cwd=self.tree)
        await self.git("clean", "-ffdxq", "--exclude=/.git", cwd=self.tree)

    async def add_all(self) -> None:
        """Stage the whole working tree."""
        await self.git("add", "--all", "--", ".", cwd=self.tree)

    async def changed_paths(self, base: str, head: str) -> list[PathChange]:
        """What differs between two commits or trees, by path; renames show both sides."""
        raw = (await self.git("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-commit-id", base, head)).stdout
        fields = raw.decode("utf-8", "surrogateescape").split("\0")
        return [
            PathChange(status=line.split(" ")[4][0], path=path, mode=line.split(" ")[1])
            for line, path in zip(fields[0::2], fields[1::2], strict=False)
        ]

    async def diff(self, base: str, head: str) -> bytes:
        """A patch to read, with context and binary contents."""
        return (await self.git("diff", "--no-ext-diff", "--no-textconv", "--no-color", "--binary", base, head)).stdout

    async def diff_hash(self, base: str, head: str) -> str:
        """The identity of the patch between two commits; see `ameide.infra.diff_hash`."""
        return diff_hash((await self.git("diff", *DIFF_OPTIONS, base, head)).stdout)

    async def commit_all(
        self,
        message: str,
        trailers: Mapping[str, str],
        *,
        author: tuple[str, str] = CODER,
        date: datetime | None = None,
    ) -> str:
        """Commit the working tree on top of HEAD and move HEAD there; empty when nothing changed."""
        await self.add_all()
        tree = (await self.git("write-tree")).text
        head = await self.resolve("HEAD")
        if tree == (await self.git("rev-parse", f"{head}^{{tree}}")).text:
            return ""
        commit = await self.commit_tree(tree, [head], message, trailers, author=author, date=date)
        await self.git("update-ref", "--no-deref", "HEAD", commit)
        return commit

    async def commit_tree(
        self,
        tree: str,
        parents: Sequence[str],
        message: str,
        trailers: Mapping[str, str],
        *,
        author: tuple[str, str] = IDENTITY,
        date: datetime | None = None,
    ) -> str:
        """A commit of a tree. With `date` the same arguments give the same commit."""
        name, email = author
        env = {
            "GIT_AUTHOR_NAME": name,
            "GIT_AUTHOR_EMAIL": email,
            "GIT_COMMITTER_NAME": IDENTITY[0],
            "GIT_COMMITTER_EMAIL": IDENTITY[1],
        }
        if date is not None:
            env |= {"GIT_AUTHOR_DATE": date.isoformat(), "GIT_COMMITTER_DATE": date.isoformat()}
        lines = "".join(f"{key}: {value}\n" for key, value in trailers.items())
        text = f"{message.strip()}\n\n{lines}" if lines else f"{message.strip()}\n"
        args = [argument for parent in parents for argument in ("-p", parent)]
        return (await self.git("commit-tree", *args, "-F", "-", tree, stdin=text.encode(), env=env)).text

    async def merge_tree(self, ours: str, theirs: str) -> MergeOutcome:
        """Merge two commits without a working tree (git 2.38 or later).

        The resulting tree, or the paths in conflict.
        """
        merged = await self.git(
            "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, theirs, check=False
        )
        parts = [part for part in merged.stdout.decode("utf-8", "surrogateescape").split("\0") if part]
        if merged.exit_code > 1 or not parts:
            raise GitFailed(f"git merge-tree failed (git 2.38 or later is needed): {_last_lines(merged.stderr)}")
        if merged.exit_code == 1:
            return MergeOutcome(conflicts=tuple(dict.fromkeys(parts[1:])))
        return MergeOutcome(tree=parts[0])

    async def merge(
        self, ours: str, theirs: str, message: str, trailers: Mapping[str, str], *, date: datetime | None = None
    ) -> MergeOutcome:
        """A merge commit of `theirs` into `ours`, or the paths in conflict."""
        outcome = await self.merge_tree(ours, theirs)
        if outcome.conflicts:
            return outcome
        return MergeOutcome(
            outcome.tree, await self.commit_tree(outcome.tree, [ours, theirs], message, trailers, date=date)
        )

    async def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        """Whether `ancestor` is in the history of `descendant`."""
        return not (await self.git("merge-base", "--is-ancestor", ancestor, descendant, check=False)).exit_code

    async def find_trailer(self, revision: str, key: str, value: str, since: str = "") -> str:
        """The newest commit of `revision` (after `since`) that carries the trailer; empty when none does."""
        span = f"{since}..{revision}" if since else revision
        log = await self.git("log", "-z", f"--format=%H%n%(trailers:key={key},valueonly)", span, "--")
        for entry in log.stdout.decode("utf-8", "replace").split("\0"):
            sha, _, values = entry.partition("\n")
            if value in (line.strip() for line in values.splitlines()):
                return sha
        return ""

    async def push_with_lease(self, sha: str, branch: str, expected: str) -> None:
        """Move the remote branch from `expected` (empty: it must not exist) to `sha`, or raise `LeaseRefused`.

        A branch that is already at `sha` is a success.
        """
        lease = f"--force-with-lease=refs/heads/{branch}:{expected}"
        with self._credential() as env:
            pushed = await self.git(
                "push", "--quiet", "--no-verify", lease, self.url, f"{sha}:refs/heads/{branch}", env=env, check=False
            )
        if pushed.exit_code:
            actual = await self.remote_head(branch)
            if actual == sha:
                return
            if actual != expected:
                raise LeaseRefused(branch, expected, actual)
            raise GitFailed(f"git push to {branch} failed: {_last_lines(pushed.stderr)}")

    @contextlib.contextmanager
    def _credential(self):
        if not self.credential:
            yield {}
            return
        user, _, password = self.credential.rpartition(":")
        secret, program = self.folder / "credential", self.folder / "askpass"
        name, file = shlex.quote(user or "x-access-token"), shlex.quote(str(secret))
        _write_private(secret, password)
        _write_private(program, f'#!/bin/sh\ncase "$1" in Username*) echo {name};; *) cat {file};; esac\n', 0o700)
        try:
            yield {"GIT_ASKPASS": str(program)}
        finally:
            secret.unlink(missing_ok=True)
            program.unlink(missing_ok=True)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": _PATH,
            "HOME": str(self.folder),
            "LC_ALL": "C",
            "GIT_DIR": str(self.folder),
            "GIT_WORK_TREE": str(self.tree),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(self.folder / "config.global"),
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "/bin/false",
            "GIT_ALLOW_PROTOCOL": "file:https:ssh:http",
            "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
            **self.network,
        }


def _write_private(path: Path, text: str, mode: int = 0o600) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)


def _last_lines(text: str) -> str:
    return " / ".join(line for line in text.strip().splitlines()[-3:])[:600]
