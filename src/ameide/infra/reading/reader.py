"""Files of a repository at a commit: which there are, where a text stands, and their lines."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ameide.errors import InvalidArgument, LimitReached, NotFound, Refused
from ameide.infra.credentials import Credentials
from ameide.infra.reading.limits import ReadingLimits
from ameide.infra.reading.lines import lines_of
from ameide.infra.reading.mirror import Mirror
from ameide.infra.reading.paths import Entry, clean, entries, local_path, nameable
from ameide.infra.reading.plumbing import Plumbing
from ameide.infra.reading.searching import excluded, found_lines
from ameide_core_proto.agent.transformation.v1.architect_service_pb import FileLines
from ameide_core_proto.transformation.governance.v1.governance_pb import Repository

_TERM = 200
_GREP = ("-I", "-i", "-n", "-z", "-F", "--full-name", "--no-color", "--no-textconv", "--no-recurse-submodules")


@dataclass(frozen=True, slots=True)
class Listing:
    """See `ameide.architect.ports.Listing`."""

    paths: Sequence[str]
    folders: Mapping[str, int]
    left_out: int
    unreadable: int


@dataclass(frozen=True, slots=True)
class Found:
    """See `ameide.architect.ports.Found`."""

    lines: Sequence[FileLines]
    more: bool


@dataclass
class MirrorReader:
    """A `RepositoryReader` over mirrors below `folder`; see `ameide.architect.ports`.

    `network` are git's variables for proxies and certificates. With `apart` several tenants are served, each of which
    may register any address with any name of a credential: so each has its own ones, and none has this machine's files.
    """

    folder: Path
    credentials: Credentials
    network: Mapping[str, str]
    plumbing: Plumbing
    apart: bool = False
    _mirrors: dict[str, Mirror] = field(default_factory=dict[str, Mirror], init=False)

    @property
    def limits(self) -> ReadingLimits:
        """What reading may take."""
        return self.plumbing.limits

    async def head(self, repository: Repository) -> str:
        """The commit of the default branch, some seconds old at most."""
        return await (await self._mirror(repository)).head()

    async def list_files(self, repository: Repository, commit_sha: str, folder: str = "", name: str = "") -> Listing:
        """Files below a folder whose path holds `name`, letter case aside."""
        place, wanted = clean(folder, "folder"), name.casefold()
        mirror = await self._mirror(repository)
        await mirror.need(commit_sha)
        async with mirror.in_use() as objects:
            asked = ("ls-tree", "-r", "-z", "--full-tree", "--", commit_sha, *([place] if place else []))
            output = await self.plumbing.run(objects, *asked)
        if output.cut:
            raise LimitReached("there are too many files to list", remedy="Name a folder")
        found = list(entries(output.stdout))
        if place and not found:
            raise NotFound(f"there is no folder {place} at {commit_sha}")
        files = [entry.path for entry in found if entry.is_file and nameable(entry.path)]
        matching = [path for path in files if wanted in path.casefold()]
        below = len(place) + 1 if place else 0
        folders = Counter(path[below:].partition("/")[0] + "/" for path in matching if "/" in path[below:])
        kept = matching[: self.limits.paths]
        return Listing(kept, folders, len(matching) - len(kept), len(found) - len(files))

    async def search(self, repository: Repository, commit_sha: str, text: str, folder: str = "") -> Found:
        """Lines of text files that hold the text, letter case aside, with those around them."""
        place = clean(folder, "folder")
        if not text.strip() or len(text) > _TERM or not text.replace("\t", " ").isprintable():
            raise InvalidArgument(
                f"must be 1 to {_TERM} characters on one line", field="text", remedy="Search for a word or a name"
            )
        mirror = await self._mirror(repository)
        await mirror.need(commit_sha)
        async with mirror.in_use() as objects:
            sized = ("ls-tree", "-r", "-l", "-z", "--full-tree", "--", commit_sha, *([place] if place else []))
            listed = await self.plumbing.run(objects, *sized)
            if place and not listed.stdout:
                raise NotFound(f"there is no folder {place} at {commit_sha}")
            if listed.cut:
                raise LimitReached("there are too many files to search", remedy="Name a folder")
            too_large = excluded(entries(listed.stdout), self.limits)
            options = (
                "-I",
                "-i",
                "-n",
                "-z",
                "-F",
                "--full-name",
                "--no-color",
                "--no-textconv",
                "--no-recurse-submodules",
            )
            around = f"-C{self.limits.around}"
            paths = [f":(top,literal){place}" if place else ":(top)", *too_large]
            asked = ("grep", *options, around, "-e", text, commit_sha, "--", *paths)
            output = await self.plumbing.run(objects, *asked, literal=False, check=False)
        if output.exit_code > 1 and not output.cut:
            raise self.plumbing.failure("grep", output)
        spans, more = found_lines(output.stdout, commit_sha, text, self.limits)
        lines = [
            FileLines(
                repository_id=repository.repository_id,
                commit_sha=commit_sha,
                path=span.path,
                first_line=span.first,
                last_line=span.first + len(span.lines) - 1,
                text="\n".join(span.lines),
            )
            for span in spans
        ]
        return Found(lines, more or output.cut)

    async def read(
        self, repository: Repository, commit_sha: str, path: str, first_line: int = 1, last_line: int = 0
    ) -> FileLines:
        """Lines of a text file, counted from 1; `last_line` 0 is the last one that the limit allows."""
        place = clean(path)
        if not place:
            raise InvalidArgument("is empty", field="path", remedy="Name a file that list_files told")
        if first_line < 1 or (last_line and last_line < first_line):
            raise InvalidArgument(
                f"{first_line} to {last_line} are no lines", field="first_line", remedy="Count from 1"
            )
        mirror = await self._mirror(repository)
        await mirror.need(commit_sha)
        async with mirror.in_use() as objects:
            listed = await self.plumbing.run(objects, "ls-tree", "-l", "-z", "--full-tree", "--", commit_sha, place)
            entry = next((one for one in entries(listed.stdout) if one.path == place), None)
            if entry is None:
                raise NotFound(f"there is no file {place} at {commit_sha}")
            self._check(entry)
            data = (await self.plumbing.run(objects, "cat-file", "blob", entry.oid)).stdout
        text, last = lines_of(entry, data, first_line, last_line, self.limits)
        return FileLines(
            repository_id=repository.repository_id,
            commit_sha=commit_sha,
            path=place,
            first_line=first_line,
            last_line=last,
            text=text,
        )

    def _check(self, entry: Entry) -> None:
        if not entry.is_file:
            raise InvalidArgument(f"{entry.path} is {entry.what}", field="path", remedy="Name a file")
        if entry.size > self.limits.file_bytes:
            raise LimitReached(
                f"{entry.path} has {entry.size} bytes, at most {self.limits.file_bytes} are read",
                remedy="Ask for an analysis, which an executor makes",
            )

    async def _mirror(self, repository: Repository) -> Mirror:
        self._check_address(repository.url)
        tenant = repository.scope.tenant_id if repository.scope else ""
        branch = repository.default_branch or "main"
        words = "\0".join((tenant, repository.repository_id, repository.url, branch, repository.credential_ref))
        name = hashlib.sha256(words.encode()).hexdigest()[:32]
        if name not in self._mirrors:
            reference = repository.credential_ref
            credentials = self.credentials.of_tenant(tenant) if self.apart else self.credentials
            self._mirrors[name] = Mirror(
                self.folder / name,
                repository.url,
                branch,
                lambda: credentials.find(reference) if reference else None,
                self.network,
                self.plumbing,
                self.limits,
            )
        mirror = self._mirrors[name]
        if not mirror.objects.is_dir():
            await self._make_room()
        return mirror

    def _check_address(self, url: str) -> None:
        """A mirror is no remote: it may be one of a repository that another tenant registered."""
        if (path := local_path(url)) is None:
            return
        if self.apart or not path.is_absolute() or path.resolve().is_relative_to(self.folder.resolve()):
            raise Refused(
                "its address is a path that is not read here",
                field="url",
                remedy="Register the repository by a URL, or by a whole path of its own",
                reason="REPOSITORY_UNREADABLE",
            )

    async def _make_room(self) -> None:
        """Delete what has not been asked for the longest, until a further repository has room."""
        kept = [Mirror(one, "", "", lambda: None, {}, self.plumbing, self.limits) for one in await self._by_use()]
        sizes = [await asyncio.to_thread(mirror.size) for mirror in kept]
        over = sum(sizes) + self.limits.mirror_bytes - self.limits.all_bytes
        for mirror, size in zip(kept, sizes, strict=True):
            if over <= 0:
                return
            if size and await mirror.delete():
                over -= size

    async def _by_use(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        with os.scandir(self.folder) as found:
            folders = [(one.stat().st_mtime, Path(one.path)) for one in found if one.is_dir(follow_symlinks=False)]
        return [path for _, path in sorted(folders)]
