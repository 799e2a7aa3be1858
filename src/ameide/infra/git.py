"""What the executor does with a repository, by its own trusted git; see `ameide.infra.git_command`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ameide.infra.diff_hash import DIFF_OPTIONS, READ_OPTIONS, diff_hash
from ameide.infra.git_command import LISTING_BYTES, GitCommand, GitFailed, GitResult, last_lines

__all__ = [
    "Git",
    "GitFailed",
    "GitResult",
    "Identity",
    "LeaseRefused",
    "MergeOutcome",
    "PathChange",
    "PushRefused",
]


@dataclass(frozen=True)
class Identity:
    """Who commits are by, each a name and an address. The coder is the author of what a coder wrote.

    With `sign_off` the committer signs, as `git commit --signoff` does.
    """

    committer: tuple[str, str] = ("ameide", "ameide@ameide.invalid")
    coder: tuple[str, str] = ("ameide coder", "coder@ameide.invalid")
    sign_off: bool = False

    @property
    def signature(self) -> str:
        """The line of a signed commit."""
        return f"Signed-off-by: {self.committer[0]} <{self.committer[1]}>"


class LeaseRefused(GitFailed):
    """The remote branch is not at the commit that was expected there.

    `actual` is where it is, empty for no such branch.
    """

    def __init__(self, branch: str, expected: str, actual: str) -> None:
        super().__init__(f"{branch} is at {actual or 'no commit'} and was expected at {expected or 'no commit'}")
        self.branch, self.expected, self.actual = branch, expected, actual


class PushRefused(GitFailed):
    """The remote has a rule against the push, such as a protected branch or a hook; the message ends with its words."""


@dataclass(frozen=True)
class PathChange:
    """One changed path.

    `status` is A, M, D or T; a rename is a D and an A. `mode` is the new file mode, ``000000`` when deleted; `old_mode`
    the one before, ``000000`` when added.
    """

    status: str
    path: str
    mode: str
    old_mode: str = ""


# Commits that are fetched in addition before all of them are.
_FURTHER = 200


@dataclass(frozen=True)
class MergeOutcome:
    """A merge: its tree and commit, or the paths in conflict (then both are empty)."""

    tree: str = ""
    commit: str = ""
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Git(GitCommand):
    """Git on one remote, with a private git folder and a working tree. Methods raise `GitFailed`."""

    identity: Identity = Identity()

    async def fetch(self, *refspecs: str, depth: int = 0) -> None:
        """Fetch from the remote; without refspecs all of its branches, to ``refs/remotes/origin``.

        With `depth` only so many commits of history.
        """
        wanted = refspecs or ("+refs/heads/*:refs/remotes/origin/*",)
        options = ["--quiet", "--no-tags", "--no-write-fetch-head", "--force"]
        options += [f"--depth={depth}"] if depth else []
        with self.with_credential() as env:
            await self.git("fetch", *options, "--", self.url, *wanted, env=env)

    async def deepen(self, commits: int = 0) -> bool:
        """Fetch so many further commits of history, 0 for all; False when all are here already."""
        if not (self.folder / "shallow").exists():
            return False
        by = f"--deepen={commits}" if commits else "--unshallow"
        options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--force", by)
        with self.with_credential() as env:
            await self.git("fetch", *options, "--", self.url, "+refs/heads/*:refs/remotes/origin/*", env=env)
        return True

    async def remote_heads(self) -> dict[str, str]:
        """The branches of the remote now, and their commits."""
        with self.with_credential() as env:
            listed = await self.git("ls-remote", "--heads", "--", self.url, env=env, most=LISTING_BYTES)
        pairs = (line.split("\t", 1) for line in listed.text.splitlines())
        return {ref.removeprefix("refs/heads/"): sha for sha, ref in pairs}

    async def remote_head(self, branch: str) -> str:
        """The commit of a branch at the remote now; empty when there is no such branch."""
        with self.with_credential() as env:
            listed = await self.git("ls-remote", "--", self.url, f"refs/heads/{branch}", env=env)
        return listed.text.split("\t")[0] if listed.text else ""

    async def default_branch(self) -> str:
        """The name of the remote's default branch."""
        with self.with_credential() as env:
            listed = await self.git("ls-remote", "--symref", "--", self.url, "HEAD", env=env)
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

    async def checkout(self, sha: str, env: Mapping[str, str] | None = None) -> None:
        """Make the working tree exactly that commit, detached; what was there before is gone.

        `env` are variables for filters that fetch contents.
        """
        await self.git("checkout", "--quiet", "--force", "--detach", sha, cwd=self.tree, env=env)
        await self.git("clean", "-ffdxq", "--exclude=/.git", cwd=self.tree)

    async def add_all(self) -> None:
        """Stage the whole working tree."""
        await self.git("add", "--all", "--", ".", cwd=self.tree)

    async def changed_paths(self, base: str, head: str) -> list[PathChange]:
        """What differs between two commits or trees, by path; renames show both sides."""
        fields = await self.entries("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-commit-id", base, head)
        return [
            PathChange(
                status=line.split(" ")[4][0], path=path, mode=line.split(" ")[1], old_mode=line[1:].split(" ")[0]
            )
            for line, path in zip(fields[0::2], fields[1::2], strict=False)
        ]

    async def rewritten_paths(self) -> list[str]:
        """Files of the last checkout whose bytes in the working tree are others now.

        Submodules are left alone: asking one for its state would run what its configuration names.
        """
        options = ("--name-only", "-z", "--no-ext-diff", "--no-textconv", "--no-renames", "--ignore-submodules=all")
        return await self.entries("diff", *options, cwd=self.tree)

    async def size(self, revision: str, paths: Collection[str]) -> int:
        """How many bytes these files have together at a revision; those that it lacks count nothing."""
        listed = await self.entries("ls-tree", "-r", "-l", "-z", "--full-tree", revision)
        found = ((about.split()[-1], path) for about, _, path in (entry.partition("\t") for entry in listed))
        wanted = frozenset(paths)
        return sum(int(length) for length, path in found if path in wanted and length.isdigit())

    async def diff(self, base: str, head: str) -> bytes:
        """A patch to read, with context and binary contents."""
        return (await self.git("diff", "--no-ext-diff", "--no-textconv", "--no-color", "--binary", base, head)).stdout

    async def patch(self, base: str, head: str) -> bytes:
        """A patch to read whose `patch_hash` is the `diff_hash` of the two commits."""
        return (await self.git("diff", *READ_OPTIONS, base, head)).stdout

    async def diff_hash(self, base: str, head: str) -> str:
        """The identity of the patch between two commits; see `ameide.infra.diff_hash`."""
        return diff_hash((await self.git("diff", *DIFF_OPTIONS, base, head)).stdout)

    async def commit_all(
        self,
        message: str,
        trailers: Mapping[str, str],
        *,
        by_coder: bool = False,
        date: datetime | None = None,
    ) -> str:
        """Commit the working tree on top of HEAD and move HEAD there; empty when nothing changed."""
        await self.add_all()
        tree = (await self.git("write-tree")).text
        head = await self.resolve("HEAD")
        if tree == (await self.git("rev-parse", f"{head}^{{tree}}")).text:
            return ""
        commit = await self.commit_tree(tree, [head], message, trailers, by_coder=by_coder, date=date)
        await self.git("update-ref", "--no-deref", "HEAD", commit)
        return commit

    async def commit_tree(
        self,
        tree: str,
        parents: Sequence[str],
        message: str,
        trailers: Mapping[str, str],
        *,
        by_coder: bool = False,
        date: datetime | None = None,
    ) -> str:
        """A commit of a tree. With `date` the same arguments give the same commit."""
        people = {"AUTHOR": self.identity.coder if by_coder else self.identity.committer}
        people["COMMITTER"] = self.identity.committer
        env: dict[str, str] = {}
        for role, (name, email) in people.items():
            env |= {f"GIT_{role}_NAME": name, f"GIT_{role}_EMAIL": email}
        if date is not None:
            env |= {"GIT_AUTHOR_DATE": date.isoformat(), "GIT_COMMITTER_DATE": date.isoformat()}
        lines = "".join(f"{key}: {value}\n" for key, value in trailers.items())
        if self.identity.sign_off and self.identity.signature not in message.splitlines():
            lines += f"{self.identity.signature}\n"
        text = f"{message.strip()}\n\n{lines}" if lines else f"{message.strip()}\n"
        args = [argument for parent in parents for argument in ("-p", parent)]
        return (await self.git("commit-tree", *args, "-F", "-", tree, stdin=text.encode(), env=env)).text

    async def merge_tree(self, ours: str, theirs: str) -> MergeOutcome:
        """Merge two commits without a working tree (git 2.38 or later).

        The resulting tree, or the paths in conflict. Where they part must be known: a part of the history does not do.
        """
        await self.deepen()
        merged = await self.git(
            "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, theirs, check=False
        )
        parts = [part for part in merged.stdout.decode("utf-8", "surrogateescape").split("\0") if part]
        if merged.exit_code > 1 or not parts:
            raise GitFailed(f"git merge-tree failed (git 2.38 or later is needed): {last_lines(merged.stderr)}")
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
        """Whether `ancestor` is in the history of `descendant`. A no is only believed of the whole history."""
        for further in (_FURTHER, 0):
            if not (await self.git("merge-base", "--is-ancestor", ancestor, descendant, check=False)).exit_code:
                return True
            if not await self.deepen(further):
                return False
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

    async def last_change(self, revision: str, path: str, *, since: str, trailer: str) -> tuple[str, str, str]:
        """The newest commit of `revision`, not in `since`, that changed the path.

        Its id, subject and the value of a trailer; empty ones when there is none.
        """
        form = f"--format=%H%n%s%n%(trailers:key={trailer},valueonly,separator=%x20)"
        span = ("--max-count=1", "--no-show-signature", form, f"{since}..{revision}", "--", f":(literal){path}")
        lines = (await self.git("log", *span)).text.split("\n")
        sha, subject, value = [*lines, "", "", ""][:3]
        return sha, subject, value.strip()

    async def push_with_lease(self, sha: str, branch: str, expected: str) -> None:
        """Move the remote branch from `expected` (empty: it must not exist) to `sha`, or raise `LeaseRefused`.

        A branch that is already at `sha` is a success.
        """
        lease = f"--force-with-lease=refs/heads/{branch}:{expected}"
        with self.with_credential() as env:
            pushed = await self.git(
                "push",
                "--quiet",
                "--no-verify",
                lease,
                "--",
                self.url,
                f"{sha}:refs/heads/{branch}",
                env=env,
                check=False,
            )
        if pushed.exit_code:
            actual = await self.remote_head(branch)
            if actual == sha:
                return
            if actual != expected:
                raise LeaseRefused(branch, expected, actual)
            kind = PushRefused if "[remote rejected]" in pushed.stderr else GitFailed
            raise kind(f"git push to {branch} failed: {_said(pushed.stderr)}")

    async def delete_branch(self, branch: str, expected: str) -> None:
        """Delete a branch of the remote that is at `expected`."""
        lease = f"--force-with-lease=refs/heads/{branch}:{expected}"
        with self.with_credential() as env:
            await self.git("push", "--quiet", "--no-verify", lease, "--", self.url, f":refs/heads/{branch}", env=env)


def _said(stderr: str) -> str:
    """The end of git's complaint, the remote's own words first: they tell which rule it was."""
    remote = [line.removeprefix("remote:").strip() for line in stderr.splitlines() if line.startswith("remote:")]
    own = "\n".join(line for line in stderr.splitlines() if not line.startswith(("remote:", "error: failed to push")))
    return " / ".join([*filter(None, remote), last_lines(own)])[:900]
