"""Paths within a repository, as a reader may name them and as git tells them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from ameide.errors import InvalidArgument

_MOST = 1024
_FILES = ("100644", "100755", "100664")
_LINK, _SUBMODULE, _FOLDER = "120000", "160000", "040000"


@dataclass(frozen=True)
class Entry:
    """One thing in a tree. `size` is in bytes, 0 where git told none."""

    mode: str
    oid: str
    size: int
    path: str

    @property
    def is_file(self) -> bool:
        """Whether it has lines to read; links, submodules and folders have none."""
        return self.mode in _FILES

    @property
    def what(self) -> str:
        """In words that fit after "is"."""
        names = {_LINK: "a symbolic link", _SUBMODULE: "a submodule, whose files are elsewhere", _FOLDER: "a folder"}
        return names.get(self.mode, "a file")


def clean(path: str, field: str = "path") -> str:
    """A path from the root of the repository, without slashes at its ends; empty is the root.

    Raises `InvalidArgument` for one that leaves it, or that git could not keep.
    """
    if len(path.encode("utf-8", "surrogatepass")) > _MOST or not nameable(path):
        raise InvalidArgument("is no path on one line", field=field, remedy="Name one that list_files told")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise InvalidArgument(
            f"{path!r} leaves the repository", field=field, remedy="Name a path from its root, without `..`"
        )
    return "/".join(parts)


def local_path(url: str) -> Path | None:
    """Where git looks on this machine for a repository of that address; None for one elsewhere."""
    scheme, found, rest = url.partition("://")
    if found:
        return Path("/", unquote(rest).lstrip("/")) if scheme.lower() == "file" else None
    return None if ":" in url.partition("/")[0] else Path(url)


def nameable(path: str) -> bool:
    """Whether a path is text on one line, so that it can be told, cited and asked for."""
    return all(each.isprintable() for each in path) and len(path) <= _MOST


def entries(listed: bytes, *, cut: bool = False) -> Iterator[Entry]:
    """What `git ls-tree -z` said, with or without `-l`. Of a listing that was cut, the last entry is left out."""
    parts = listed.split(b"\0")
    for part in parts[:-1] if cut or parts[-1] == b"" else parts:
        told, _, path = part.partition(b"\t")
        words = told.decode("ascii", "replace").split()
        size = int(words[3]) if len(words) > 3 and words[3].isdigit() else 0
        yield Entry(words[0], words[2], size, path.decode("utf-8", "surrogateescape"))
