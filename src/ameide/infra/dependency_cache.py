"""What set-ups downloaded and built, kept by repository, lock files and commands, and lent to works.

An entry is filled from nothing but a green default branch, so no change under way can write what others will read. A
work gets a copy in its own HOME, where the package managers look by themselves: large files are links to inodes that
the children's user cannot write, the rest is copied. Entries appear whole, by a rename; the longest unused go first.

::

    <root>/<key>/files/.cache/uv …   as below HOME          <root>/<key>/bytes   its size
    <root>/.partial-…, .gone-…       on their way in or out
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from ameide.infra.settings import UnprivilegedUser
from ameide.infra.workspace import delete

logger = logging.getLogger(__name__)

FOLDERS = (".cache/uv", ".cache/pip", ".cache/go-build", "go/pkg/mod", ".npm/_cacache", ".m2/repository")
"""Where package managers keep what they fetch and build, below HOME."""

LINKED = 32 * 1024
"""Bytes from which a file is linked: indexes and marks, which managers write again, are smaller."""

_COPIED = frozenset({".cache/uv"})
"""uv links its files into environments itself, which the system allows to the owner of a file alone."""

_STALE = 3600.0


@dataclass(frozen=True)
class DependencyCache:
    """A folder of entries, at most `limit` bytes in all; any number of executors share it."""

    root: Path
    limit: int

    def lend(self, key: str, home: Path, user: UnprivilegedUser | None) -> int | None:
        """Lay an entry below `home` for `user`; its bytes, None when there is none."""
        entry = self.root / key
        try:
            size = int((entry / "bytes").read_text(encoding="ascii"))
            os.utime(entry)
            for folder in FOLDERS:
                if (entry / "files" / folder).is_dir():
                    _lay(entry / "files" / folder, home, folder, user)
        except (OSError, ValueError) as error:
            # Evicted meanwhile, or never there.
            if entry.exists():
                logger.warning("a cache entry could not be lent", extra={"key": key, "error": str(error)})
            for folder in FOLDERS:
                delete(home / folder)
            return None
        return size

    def keep(self, key: str, home: Path) -> int | None:
        """Take the folders below `home` as a new entry; its bytes, None when it is there or too large.

        Nothing may write below `home` any more.
        """
        if (self.root / key).exists():
            return None
        self.root.mkdir(parents=True, exist_ok=True, mode=0o711)
        self._sweep()
        partial = self.root / f".partial-{secrets.token_hex(6)}"
        # Nobody else gets to it by its path: what is lent is linked or copied.
        partial.mkdir(mode=0o700)
        (partial / "files").mkdir()
        try:
            size = 0
            for folder in FOLDERS:
                if _is_plain(home, folder):
                    target = partial / "files" / folder
                    target.parent.mkdir(parents=True, exist_ok=True)
                    _move(home / folder, target)
                    size += _own(target)
            if size > self.limit or not size:
                return None
            (partial / "bytes").write_text(str(size), encoding="ascii")
            # Fails when another was quicker: theirs is as good.
            partial.rename(self.root / key)
        except OSError as error:
            logger.warning("a cache entry could not be kept", extra={"key": key, "error": str(error)})
            return None
        finally:
            delete(partial)
        self._evict()
        return size

    def _evict(self) -> None:
        """Remove the longest unused entries until what is left fits."""
        entries = sorted(self._entries(), key=lambda entry: entry[1], reverse=True)
        total = 0
        for path, _used, size in entries:
            total += size
            if total > self.limit:
                gone = self.root / f".gone-{secrets.token_hex(6)}"
                with contextlib.suppress(OSError):
                    path.rename(gone)
                    delete(gone)

    def _entries(self) -> list[tuple[Path, float, int]]:
        found: list[tuple[Path, float, int]] = []
        for path in self.root.iterdir():
            if not path.name.startswith("."):
                with contextlib.suppress(OSError, ValueError):
                    size = int((path / "bytes").read_text(encoding="ascii"))
                    found.append((path, path.stat().st_mtime, size))
        return found

    def _sweep(self) -> None:
        """Remove what killed executors left on its way in or out."""
        for path in self.root.iterdir():
            with contextlib.suppress(OSError):
                if path.name.startswith(".") and time.time() - path.stat().st_mtime > _STALE:
                    delete(path)


def _is_plain(home: Path, folder: str) -> bool:
    """Whether it is a folder that no link leads to."""
    place = home
    for part in Path(folder).parts:
        place = place / part
        if place.is_symlink() or not place.is_dir():
            return False
    return True


def _move(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError:
        # Another file system.
        shutil.copytree(source, target, symlinks=True)


def _own(folder: Path) -> int:
    """Make all of it ours and read-only to others, and drop what is no plain file or inner link; the bytes."""
    total = 0
    ours = (os.geteuid(), os.getegid())
    for where, folders, names, descriptor in os.fwalk(folder, follow_symlinks=False):
        os.fchown(descriptor, *ours)
        os.fchmod(descriptor, 0o755)
        for name in [*names, *(name for name in folders if os.path.islink(Path(where) / name))]:
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                os.chown(name, *ours, dir_fd=descriptor, follow_symlinks=False)
                os.chmod(name, 0o555 if status.st_mode & 0o111 else 0o444, dir_fd=descriptor)
                total += status.st_size
            elif not stat.S_ISLNK(status.st_mode) or not _stays(Path(where), name, folder):
                os.unlink(name, dir_fd=descriptor)
    return total


def _stays(where: Path, name: str, folder: Path) -> bool:
    target = os.readlink(where / name)
    return not os.path.isabs(target) and Path(os.path.normpath(where / target)).is_relative_to(folder)


def _lay(source: Path, home: Path, folder: str, user: UnprivilegedUser | None) -> None:
    """A copy of a folder of ours at the same place below `home`, its folders and small files the user's own."""
    place = home
    for part in Path(folder).parts:
        place = place / part
        if not place.is_dir():
            place.mkdir(mode=0o700)
            _give(place, user)
    for where, folders, names in os.walk(source, followlinks=False):
        target = home / folder / Path(where).relative_to(source)
        for name in folders:
            inner = target / name
            if (Path(where) / name).is_symlink():
                inner.symlink_to(os.readlink(Path(where) / name))
            else:
                inner.mkdir(mode=0o700)
            _give(inner, user)
        for name in names:
            _lay_file(Path(where) / name, target / name, user, linked=folder not in _COPIED)


def _lay_file(source: Path, target: Path, user: UnprivilegedUser | None, *, linked: bool) -> None:
    status = source.lstat()
    if stat.S_ISLNK(status.st_mode):
        target.symlink_to(os.readlink(source))
    elif linked and user is not None and status.st_size >= LINKED:
        # Its inode stays ours: the user may read it and take it out of its folder, and no more.
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)
        else:
            return
    else:
        shutil.copyfile(source, target)
        target.chmod(stat.S_IMODE(status.st_mode) | 0o200)
    _give(target, user)


def _give(path: Path, user: UnprivilegedUser | None) -> None:
    if user is not None:
        os.chown(path, user.uid, user.gid, follow_symlinks=False)
