"""One folder per work. What a child can write is hostile afterwards; what decides lies where it cannot reach.

::

    <work_root>/<work>-<attempt>-<random>/   ours, others may pass through
        private/   ours, 0700: the trusted git folders, logs, the child's standard input
        box/       ours, readable by all: files that are made for the sandbox of the children
        tree/      the child's: working tree           home/  tmp/  out/   the child's: HOME, TMPDIR, results
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ameide.errors import AmeideError
from ameide.infra.settings import UnprivilegedUser

logger = logging.getLogger(__name__)

_LIMIT = 64 * 1024 * 1024
_DEPTH = 200


class WorkspaceRefused(AmeideError):
    """A file that a child left is not a plain file of its own inside the workspace.

    Have the tool write a plain file.
    """


@dataclass(frozen=True)
class Workspace:
    """The folders of one work; `user` is whom its children run as (None: as ourselves)."""

    root: Path
    user: UnprivilegedUser | None

    @property
    def tree(self) -> Path:
        """The working tree."""
        return self.root / "tree"

    @property
    def home(self) -> Path:
        """HOME of the children."""
        return self.root / "home"

    @property
    def tmp(self) -> Path:
        """TMPDIR of the children."""
        return self.root / "tmp"

    @property
    def out(self) -> Path:
        """Where children leave results, such as a JUnit file."""
        return self.root / "out"

    @property
    def private(self) -> Path:
        """Ours alone."""
        return self.root / "private"

    @property
    def box(self) -> Path:
        """Files that are made for the sandbox; there once a child ran in one."""
        return self.root / "box"

    def read_file(self, path: Path, limit: int = _LIMIT, start: int = 0) -> bytes:
        """The bytes of a plain file in the workspace from `start` on, reached without following any link.

        Raises `FileNotFoundError`, and `WorkspaceRefused` for links, devices, other owners' files, and more than
        `limit` bytes.
        """
        relative = self._inside(path)
        folder = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for part in relative.parts[:-1]:
                inner = _open(part, os.O_DIRECTORY, folder, path)
                os.close(folder)
                folder = inner
            file = _open(relative.name, os.O_NONBLOCK, folder, path)
        finally:
            os.close(folder)
        try:
            self._check(os.fstat(file), path, start + limit, owned=relative.parts[0] != "private")
        except WorkspaceRefused:
            os.close(file)
            raise
        with os.fdopen(file, "rb") as opened:
            opened.seek(start)
            return opened.read(limit)

    def files(self, path: Path) -> Iterator[tuple[str, Path]]:
        """Every plain file below a folder of the workspace.

        Its path relative to it, and its whole path, sorted by folder.
        """
        self._inside(path)
        for folder, folders, names in os.walk(path, followlinks=False):
            folders.sort()
            for name in sorted(names):
                found = Path(folder) / name
                if stat.S_ISREG(found.lstat().st_mode):
                    yield found.relative_to(path).as_posix(), found

    def give_to_child(self, path: Path | None = None) -> None:
        """Hand a folder (default: the working tree) and all below it to the children's user; links are not followed."""
        if self.user is None:
            return
        for _folder, _folders, names, descriptor in os.fwalk(path or self.tree, follow_symlinks=False):
            os.fchown(descriptor, self.user.uid, self.user.gid)
            for name in (*names, *_folders):
                os.chown(name, self.user.uid, self.user.gid, dir_fd=descriptor, follow_symlinks=False)

    def write_for_child(self, name: str, data: bytes) -> Path:
        """A new file for the children in their TMPDIR; whatever lay there under that name is replaced, not followed."""
        folder = os.open(self.tmp, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
            file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
            with os.fdopen(file, "wb") as opened:
                opened.write(data)
                if self.user is not None:
                    os.fchown(file, self.user.uid, self.user.gid)
        finally:
            os.close(folder)
        return self.tmp / name

    def inspect_tree(self) -> list[str]:
        """Paths in the working tree that must not be read back.

        Devices, sockets, pipes, files of another owner, programs that run as their owner, folders nested deeper than
        200, and folders that are repositories of their own: git would follow their configuration, which names programs.
        """
        strange: list[str] = []
        pending = [self.tree]
        while pending:
            folder = pending.pop()
            relative = PurePosixPath(folder.relative_to(self.tree).as_posix())
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError:
                # Closed to us, or its path is longer than the system takes.
                strange.append(str(relative))
                continue
            for entry in entries:
                is_folder, path = entry.is_dir(follow_symlinks=False), str(relative / entry.name)
                if entry.name == ".git" and folder == self.tree and is_folder:
                    continue
                if entry.name.casefold() == ".git" and folder != self.tree:
                    strange.append(str(relative))
                if not is_folder:
                    status = entry.stat(follow_symlinks=False)
                    plain = stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)
                    plain = plain and not status.st_mode & (stat.S_ISUID | stat.S_ISGID)
                    if not plain or (self.user is not None and status.st_uid != self.user.uid):
                        strange.append(path)
                elif len(relative.parts) < _DEPTH:
                    pending.append(Path(entry.path))
                else:
                    strange.append(path)
        return strange

    def own_refs(self) -> list[str]:
        """Names of the branches and tags that the child's own git folder has, sorted; nothing of it is followed."""
        own = self.tree / ".git"
        folders = [own / "refs" / kind for kind in ("heads", "tags")]
        if any(folder.is_symlink() for folder in (own, own / "refs", *folders)):
            return []
        loose = [name for folder in folders for name, _ in self.files(folder)]
        with contextlib.suppress(OSError, WorkspaceRefused):
            packed = self.read_file(own / "packed-refs").decode("utf-8", "replace").splitlines()
            lines = [line.split(" ", 1)[-1] for line in packed if line[:1] not in ("#", "^")]
            loose += [line.removeprefix("refs/heads/") for line in lines if not line.startswith("refs/remotes/")]
        return sorted(dict.fromkeys(loose))

    def remove(self) -> None:
        """Delete everything, also folders that a child closed to itself."""
        delete(self.root)

    def _inside(self, path: Path) -> PurePosixPath:
        whole = path if path.is_absolute() else self.tree / path
        try:
            relative = PurePosixPath(whole.relative_to(self.root).as_posix())
        except ValueError:
            relative = PurePosixPath("..")
        if ".." in relative.parts or not relative.parts:
            raise WorkspaceRefused(f"{path} leaves the workspace", remedy="Name a file inside it.")
        return relative

    def _check(self, status: os.stat_result, path: Path, limit: int, *, owned: bool) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise WorkspaceRefused(f"{path} is not a plain file", remedy="Have the tool write a plain file.")
        if owned and self.user is not None and status.st_uid != self.user.uid:
            raise WorkspaceRefused(f"{path} belongs to another user", remedy="Have the tool write a file of its own.")
        if status.st_size > limit:
            raise WorkspaceRefused(
                f"{path} has {status.st_size} bytes, more than {limit}", remedy="Have the tool write less."
            )


def delete(folder: Path) -> None:
    """Delete a folder that a child wrote: folders that it closed to itself, and ones nested without end."""

    def open_up(_function: object, path: str, _error: object) -> None:
        for closed in (Path(path).parent, Path(path)):
            if closed.is_dir() and not closed.is_symlink():
                closed.chmod(0o700)
        if Path(path).is_dir() and not Path(path).is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            Path(path).unlink(missing_ok=True)

    try:
        if folder.exists():
            shutil.rmtree(folder, onerror=open_up)
    except (RecursionError, OSError):
        # Deeper than Python descends. This program has no bound, and follows no link either.
        subprocess.run(["rm", "-rf", "--", folder], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if folder.exists():
        logger.error("a workspace could not be deleted", extra={"folder": str(folder)})


def _open(name: str, flags: int, folder: int, path: Path) -> int:
    try:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | flags, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise WorkspaceRefused(
            f"{path} is a link or not a folder ({error.strerror})", remedy="Have the tool write a plain file."
        ) from error


def create(work_root: Path, name: str, user: UnprivilegedUser | None) -> Workspace:
    """A new, empty workspace below `work_root`, which is created when missing."""
    work_root.mkdir(parents=True, exist_ok=True, mode=0o711)
    workspace = Workspace(work_root / f"{name}-{secrets.token_hex(4)}", user)
    workspace.root.mkdir(mode=0o711)
    workspace.root.chmod(0o711)
    workspace.private.mkdir(mode=0o700)
    for folder in (workspace.tree, workspace.home, workspace.tmp, workspace.out):
        folder.mkdir(mode=0o700)
        if user is not None:
            os.chown(folder, user.uid, user.gid)
    return workspace
