"""Unpacks layers that nobody has vouched for: no absolute names, no `..`, no devices, no link that leads out.

Bounded in size.
"""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import IO, cast

from ameide.delivery.registry.port import RegistryError, digest_of

MAX_BYTES = 4 << 30
MAX_ENTRIES = 200_000
_WHITEOUT = ".wh."


class LayerRefused(RegistryError):
    """A layer holds what must not be unpacked. The message names the entry."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"layer entry {name!r} {why}", field="image_ref", remedy="Build the image from its commit again."
        )


def unpack_layers(layers: Iterable[bytes], diff_ids: Iterable[str], target: Path) -> None:
    """Unpack gzip-compressed layers in order into the empty folder `target`.

    Raises `LayerRefused` before writing a bad entry.
    """
    budget = [MAX_BYTES, MAX_ENTRIES]
    for data, diff_id in zip(layers, diff_ids, strict=True):
        plain = _inflated(data, budget[0])
        if digest_of(plain) != diff_id:
            raise LayerRefused(diff_id, "is named by the config, but the layer inflates to something else")
        try:
            with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as tar:
                for member in tar:
                    budget[0] -= member.size
                    budget[1] -= 1
                    if min(budget) < 0:
                        raise LayerRefused(
                            member.name, f"is too much: more than {MAX_BYTES} bytes or {MAX_ENTRIES} entries"
                        )
                    _unpack(tar, member, target)
        except tarfile.TarError as error:
            raise LayerRefused(diff_id, f"is no tar ({error})") from error


def _inflated(data: bytes, limit: int) -> bytes:
    try:
        with gzip.open(io.BytesIO(data)) as stream:
            plain = stream.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise LayerRefused(digest_of(data), f"is no gzip ({error})") from error
    if len(plain) > limit:
        raise LayerRefused(digest_of(data), f"inflates to more than {limit} bytes")
    return plain


def _unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    name = PurePosixPath(member.name.removeprefix("./"))
    if name.is_absolute() or ".." in name.parts or "\0" in member.name:
        raise LayerRefused(member.name, "leaves the image")
    if name == PurePosixPath("."):
        return
    if any(part.startswith(_WHITEOUT) for part in name.parts):
        raise LayerRefused(member.name, "deletes from a layer below, which our images never do")
    path = target / name
    _real_folder(target, name.parent, member.name)
    if member.isdir():
        _real_folder(target, name, member.name)
    elif path.is_symlink() or path.exists():
        raise LayerRefused(member.name, "is there twice")
    elif member.issym():
        _symlink(member, name, path)
    elif member.isreg():
        source = cast(IO[bytes], tar.extractfile(member))
        path.write_bytes(source.read())
        path.chmod(0o755 if member.mode & 0o111 else 0o644)
    else:
        raise LayerRefused(member.name, "is a device, a pipe or a hard link")


def _real_folder(target: Path, folder: PurePosixPath, entry: str) -> None:
    """Every part is a folder of ours, never a link that an entry before left there."""
    path = target
    for part in folder.parts:
        path = path / part
        try:
            if not stat.S_ISDIR(path.lstat().st_mode):
                raise LayerRefused(entry, f"lies below {part}, which is no folder")
        except FileNotFoundError:
            path.mkdir(mode=0o755)


def _symlink(member: tarfile.TarInfo, name: PurePosixPath, path: Path) -> None:
    link = PurePosixPath(member.linkname)
    depth = len(name.parent.parts)
    for part in link.parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            break
    if link.is_absolute() or depth < 0:
        raise LayerRefused(member.name, f"is a link that leaves the image ({member.linkname})")
    path.symlink_to(member.linkname)
