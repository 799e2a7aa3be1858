"""The objects of one repository's default branch, fetched with its credential and kept until room is needed."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import math
import os
import re
import shutil
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ameide.errors import AmeideError, InvalidArgument, LimitReached, NotFound, Refused, Unreachable
from ameide.infra.credentials import Credential
from ameide.infra.git_command import GitCommand, GitFailed
from ameide.infra.git_login import logged_in
from ameide.infra.reading.limits import ReadingLimits
from ameide.infra.reading.plumbing import Plumbing
from ameide.infra.redaction import Redactor

T = TypeVar("T")
_BRANCH = re.compile(r"(?!-)(?!.*(?:\.\.|//|@\{|\.lock(?:/|\Z)))[^\x00-\x20\x7f~^:?*\[\\]+(?<![./])\Z")
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")
_TRIES = 0.05
_PACKS = 40
_DEEPER = (500, 0)


class _TooLarge(LimitReached):
    """It is not kept."""


@dataclass
class Mirror:
    """One folder: `objects` is git's, `private` holds a credential while git fetches. Safe for several processes."""

    folder: Path
    url: str
    branch: str
    credential: Callable[[], Credential | None]
    network: Mapping[str, str]
    plumbing: Plumbing
    limits: ReadingLimits
    _had: set[str] = field(default_factory=set[str])
    _sought: dict[str, float] = field(default_factory=dict[str, float])
    _head: tuple[str, float] = ("", -math.inf)
    _trouble: tuple[AmeideError | None, float] = (None, -math.inf)

    @property
    def objects(self) -> Path:
        """A git folder without a working tree."""
        return self.folder / "objects.git"

    @property
    def _ref(self) -> str:
        return f"refs/remotes/origin/{self.branch}"

    async def head(self) -> str:
        """The commit of the branch at the remote, some seconds old at most. Raises `NotFound` without such a branch."""
        self._check_branch()
        if sha := self._seen():
            return sha
        async with self._locked("fetch"):
            # Those who waited take what the first of them saw.
            if sha := self._seen():
                return sha
            try:
                sha = await self._look()
            except (Unreachable, LimitReached, Refused) as error:
                self._trouble = (error, time.monotonic())
                raise
            self._head = (sha, time.monotonic())
        return sha

    async def need(self, commit_sha: str) -> None:
        """Have a commit of the branch's history. Raises `NotFound` for any other, also when the remote would give it.

        Raises `InvalidArgument` for what is no commit id.
        """
        if not _COMMIT.match(commit_sha):
            raise InvalidArgument(
                f"{commit_sha[:60]!r} is no commit id", field="commit_sha", remedy="Give all 40 lower-case hex digits"
            )
        self._check_branch()
        if commit_sha in self._had and self.objects.is_dir():
            return
        if await self._reaches(commit_sha):
            return
        if time.monotonic() - self._sought.get(commit_sha, -1e9) > self.limits.head_seconds:
            async with self._locked("fetch"):
                await self._open()
                if await self._reaches(commit_sha) or await self._found_by_fetching(commit_sha):
                    return
            self._sought = dict(list(self._sought.items())[-100:]) | {commit_sha: time.monotonic()}
        raise NotFound(f"{commit_sha} is no commit in the history of {self.branch} of this repository")

    @asynccontextmanager
    async def in_use(self) -> AsyncGenerator[Path]:
        """The git folder, which nobody deletes meanwhile."""
        async with self._locked("use", shared=True):
            yield self.objects

    async def delete(self) -> bool:
        """Delete it all, unless somebody uses it now."""
        try:
            async with self._locked("fetch", wait=0.0), self._locked("use", wait=0.0):
                await self._remove()
        except LimitReached:
            return False
        return True

    async def _remove(self) -> None:
        self._had.clear()
        self._head = ("", -math.inf)
        (self.folder / "made").unlink(missing_ok=True)
        await asyncio.to_thread(shutil.rmtree, self.objects, ignore_errors=True)

    def size(self) -> int:
        """Bytes on disk."""
        return sum(_sizes(self.objects))

    def _seen(self) -> str:
        """The head as it was seen a moment ago, or empty. Raises what went wrong a moment ago."""
        error, failed_at = self._trouble
        if error is not None and time.monotonic() - failed_at < self.limits.head_seconds:
            raise error
        sha, seen_at = self._head
        return sha if time.monotonic() - seen_at < self.limits.head_seconds else ""

    async def _look(self) -> str:
        await self._open()
        looking = ("ls-remote", "--", self.url, f"refs/heads/{self.branch}")
        said = await self._network(*looking, seconds=self.limits.look_seconds)
        sha = said.split("\t")[0].strip()
        if not _COMMIT.match(sha):
            raise NotFound(f"the repository has no branch {self.branch}", remedy="Push a first commit to it")
        if not await self._reaches(sha):
            await self._fetch()
            if not await self._reaches(sha):
                raise Unreachable("the branch moved while it was fetched", remedy="Ask again")
        return sha

    async def _reaches(self, sha: str) -> bool:
        """Whether the branch, as it was fetched, has the commit in its history."""
        if not self.objects.is_dir():
            return False
        os.utime(self.folder)
        async with self.in_use() as objects:
            asked = ("merge-base", "--is-ancestor", sha, self._ref)
            reached = not (await self.plumbing.run(objects, *asked, check=False)).exit_code
        if reached:
            self._had.add(sha)
        return reached

    async def _found_by_fetching(self, sha: str) -> bool:
        await self._fetch()
        for further in _DEEPER:
            if await self._reaches(sha):
                return True
            if not (self.objects / "shallow").exists():
                return False
            await self._fetch(f"--deepen={further}" if further else "--unshallow")
        return await self._reaches(sha)

    async def _open(self) -> None:
        for folder in (self.folder, self._private):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = self.folder / "made"
        if not (made.exists() and self.objects.is_dir()):
            await self._remove()
            await self._git.open()
            # There is no working tree, and none is to be looked for.
            await self._git.git("config", "core.bare", "true")
            await self._git.git("config", "--unset", "core.worktree", check=False)
            # Last: whoever was stopped in the middle of it begins anew.
            made.touch(mode=0o600)
        # What a git left that was killed.
        for left in (*(self.objects / "objects" / "pack").glob("tmp_*"), *self.objects.rglob("*.lock")):
            left.unlink(missing_ok=True)

    async def _fetch(self, how: str = "") -> None:
        """The branch; at first its newest commit alone, older ones when they are asked for."""
        known = (self.objects / self._ref).exists()
        options = ["--quiet", "--no-tags", "--no-write-fetch-head", "--force", "--no-auto-maintenance"]
        options += [how] if how else [] if known else ["--depth=1"]
        try:
            await self._network("fetch", *options, "--", self.url, f"+refs/heads/{self.branch}:{self._ref}")
        except _TooLarge:
            async with self._locked("use"):
                await self._remove()
            raise
        packs = len(list((self.objects / "objects" / "pack").glob("*.pack")))
        if packs > _PACKS:
            await self._bounded(self._git.git("repack", "-a", "-d", "--quiet"), self.limits.fetch_seconds)

    async def _network(self, *args: str, seconds: float = 0.0) -> str:
        redactor = Redactor()
        try:
            # Looked up anew, so that one that was exchanged counts at once.
            if credential := self.credential():
                redactor.learn(credential.secrets())
            with logged_in(credential, self.url, self._private) as env:
                running = self._git.git(*args, env={**env, "GIT_NO_LAZY_FETCH": "1"})
                return (await self._bounded(running, seconds or self.limits.fetch_seconds)).text
        except GitFailed as error:
            raise Unreachable(
                f"the repository cannot be fetched: {redactor.text(str(error))}",
                remedy="`ameide repo check` tries it and tells what is missing",
            ) from error
        except InvalidArgument as error:
            raise Refused(str(error), reason="MISSING_CREDENTIALS") from error

    async def _bounded(self, running: Coroutine[Any, Any, T], seconds: float) -> T:
        """The end of a git command, which is killed when it takes too long or its repository grows too large."""
        task = asyncio.ensure_future(running)
        watch = asyncio.create_task(self._grown())
        try:
            async with asyncio.timeout(seconds):
                await asyncio.wait([task, watch], return_when=asyncio.FIRST_COMPLETED)
                if not task.done():
                    await watch
                done = await task
            # What came quickly was not seen to grow.
            self._check_size(await asyncio.to_thread(self.size))
            return done
        except TimeoutError as error:
            raise LimitReached(
                f"the repository did not answer to the end in {seconds:.0f} seconds",
                remedy="Ask again later, or for a newer commit",
            ) from error
        finally:
            for one in (task, watch):
                one.cancel()
            await asyncio.wait([task, watch])

    async def _grown(self) -> None:
        while True:
            self._check_size(await asyncio.to_thread(self.size))
            await asyncio.sleep(0.5)

    def _check_size(self, size: int) -> None:
        if size > self.limits.mirror_bytes:
            raise _TooLarge(
                f"the repository is larger than {self.limits.mirror_bytes >> 20} MiB",
                remedy="Ask for an analysis of it, which an executor makes",
            )

    @asynccontextmanager
    async def _locked(self, name: str, *, shared: bool = False, wait: float | None = None) -> AsyncGenerator[None]:
        """A lock between all that use the folder, in this process and in others."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(self.folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        until = time.monotonic() + (self.limits.fetch_seconds if wait is None else wait)
        try:
            while not _taken(lock, fcntl.LOCK_SH if shared else fcntl.LOCK_EX):
                if time.monotonic() >= until:
                    raise LimitReached("the repository is being fetched by others", remedy="Ask again in a minute")
                await asyncio.sleep(_TRIES)
            yield
        finally:
            os.close(lock)

    def _check_branch(self) -> None:
        if not _BRANCH.match(self.branch):
            raise Refused(f"{self.branch[:80]!r} is no name of a branch", reason="REPOSITORY_UNREADABLE")

    @property
    def _private(self) -> Path:
        return self.folder / "private"

    @property
    def _git(self) -> GitCommand:
        return GitCommand(self.objects, self._private, self.url, None, self.network)


def _taken(lock: int, how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sizes(folder: Path) -> list[int]:
    found: list[int] = []
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                found.append(os.lstat(os.path.join(place, name)).st_size)
    return found
