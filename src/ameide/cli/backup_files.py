"""The files of a backup: what it is made of, how it is verified, and that a half-made one never looks whole.

A backup is a folder: `manifest.json`, `state.tar.gz`, the snapshot of the engines, and `SHA256SUMS` over all of them,
which `sha256sum -c` can check as well. It is made beside its place and moved there when everything is on the disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

from ameide.engine.files import read_json, write_whole
from ameide.engine.snapshot import BASE, LOG
from ameide.errors import InvalidArgument, Refused

FORMAT = 1
STATE = "state.tar.gz"
_MANIFEST, _SUMS = "manifest.json", "SHA256SUMS"
# Without one of these there is nothing to go on with, whatever the sums say of the others.
_NEEDED = frozenset({_MANIFEST, STATE, BASE, LOG})
# What refers comes before what it refers to: a ref before the commit, an index before the blob. Then a file that is
# added meanwhile is one too many, and none is missing. A ref that is packed meanwhile is found in packed-refs.
_ORDER = {"refs": 1, "packed-refs": 2, "objects": 3, "blobs": 3, "pack": 3}
_REMOTES = "remotes"
_PASSES = 5
# Links are judged as if they were restored here; nothing is there that could lead them elsewhere.
_NOWHERE = "/nowhere/ameide"


@dataclass(frozen=True)
class Manifest:
    """What a backup is of. `left_out` names what belongs to the installation and lies elsewhere."""

    ameide: str
    taken_at: str
    schema: int
    postgres: str
    temporal: str
    state_dir: str
    left_out: list[str]
    format: int = FORMAT


def partial(target: Path) -> Path:
    """Where a backup is made, empty. Raises InvalidArgument when its place is taken."""
    if target.exists():
        raise InvalidArgument(f"{target} is there already", field="DIR", remedy="Name a folder that is not there yet")
    beside = target.with_name(f"{target.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True, mode=0o700)
    return beside


def complete(beside: Path, target: Path, manifest: Manifest) -> None:
    """Write manifest and sums, and move the whole to its place."""
    write_whole(beside / _MANIFEST, json.dumps(asdict(manifest), indent=2) + "\n", mode=0o600)
    sums = "".join(f"{_digest(beside / name)}  {name}\n" for name in _names(beside))
    write_whole(beside / _SUMS, sums, mode=0o600)
    for folder, _, names in os.walk(beside):
        for path in (Path(folder), *(Path(folder) / name for name in names)):
            _sync(path)
    beside.rename(target)
    _sync(target.parent)


def verified(folder: Path) -> Manifest:
    """The manifest, after every file was compared with its sum. Raises Refused naming what is wrong."""
    whole = "Use another backup; an interrupted or altered one is not restored"
    if not (folder / _SUMS).is_file():
        raise Refused(f"{folder} is no complete backup: it has no {_SUMS}", field="DIR", remedy=whole)
    lines = (folder / _SUMS).read_text(encoding="utf-8", errors="replace").splitlines()
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    if lacking := sorted(_NEEDED - listed.keys()):
        raise Refused(f"{folder} is no complete backup: it has no {', '.join(lacking)}", field="DIR", remedy=whole)
    present = set(_names(folder)) - {_SUMS}
    if missing := sorted(present ^ set(listed)):
        raise Refused(f"{folder} and its {_SUMS} differ in {', '.join(missing)}", field="DIR", remedy=whole)
    for name, digest in listed.items():
        if _digest(folder / name) != digest:
            raise Refused(f"{folder / name} is not what was backed up", field="DIR", remedy=whole)
    return _manifest(folder)


def _manifest(folder: Path) -> Manifest:
    found = cast("dict[str, Any]", read_json(folder / _MANIFEST))
    known = {field.name for field in fields(Manifest)}
    if found.get("format") != FORMAT or known != found.keys():
        raise Refused(
            f"{folder} was made by ameide {found.get('ameide')} in a format that this one does not know",
            field="DIR",
            remedy="Restore it with that version",
        )
    return Manifest(**found)


def pack(root: Path, names: Sequence[str], target: Path) -> None:
    """Put files and folders of `root` into an archive while they are used; one that is a link is followed.

    Raises Refused if they never stand still, or for a link below them that could not be restored.
    """
    target.touch(mode=0o600)
    with tarfile.open(target, "w:gz", compresslevel=3) as tar:
        for name in names:
            top = root / name
            if top.exists():
                _add(tar, top.resolve(), name)
            elif top.is_symlink():
                raise Refused(
                    f"{top} leads to {top.readlink()}, where nothing is",
                    remedy="Mount or make that place, or delete the link",
                )


def unpack(archive: Path, root: Path) -> None:
    """Put them back with their modes, as this user's."""
    with tarfile.open(archive) as tar:
        tar.extractall(root, filter=_placed)  # noqa: S202 -- filtered


def _placed(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo:
    # The filter forgets how a folder was closed.
    found = tarfile.data_filter(member, path).replace(mode=member.mode & 0o755, deep=False)
    place = Path(path, found.name)
    if place.is_symlink() or (place.exists() and not place.is_dir()):
        # It came with a former pass as well, and a file that nobody may write cannot be written again.
        place.unlink()
    return found


def _add(tar: tarfile.TarFile, top: Path, name: str) -> None:
    for _ in range(_PASSES):
        if _pass(tar, top, name):
            return
    raise Refused(f"{top} did not stand still", remedy="Back up when less is going on, or after `ameide down`")


def _pass(tar: tarfile.TarFile, top: Path, name: str) -> bool:
    """Whether everything that was seen could be read; else it was packed or replaced, and comes with the next pass."""
    whole = True
    try:
        for path in (top, *_below(top, _passing if name == _REMOTES else _staying)):
            place = Path(name, path.relative_to(top)).as_posix()
            try:
                _need_restorable(path, place)
                tar.add(path, place, recursive=False)
            except FileNotFoundError:
                whole = False
    except FileNotFoundError:
        return False
    return whole


def _need_restorable(path: Path, place: str) -> None:
    """Refuse a link that `unpack` would refuse, while its owner can still do something about it."""
    if not path.is_symlink():
        return
    link = tarfile.TarInfo(place)
    link.type, link.linkname = tarfile.SYMTYPE, str(path.readlink())
    try:
        tarfile.data_filter(link, _NOWHERE)
    except tarfile.FilterError as error:
        raise Refused(
            f"{path} is a link to {link.linkname}, out of what is backed up",
            remedy="Put the files themselves in its place, or make it a relative link within the state folder",
        ) from error


def _below(folder: Path, passes: Callable[[Path], bool]) -> Iterator[Path]:
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in sorted(folder.iterdir(), key=lambda path: (_ORDER.get(path.name, 0), path.name)):
        if not passes(path) and (path.is_symlink() or path.is_dir() or path.is_file()):
            yield path
            yield from _below(path, passes)


def _staying(_path: Path) -> bool:
    return False


def _passing(path: Path) -> bool:
    """What git makes for a moment: a lock, which would close a restored remote for good, or a push that comes in."""
    if path.suffix == ".lock":
        return not path.is_dir()
    stores = (folder for folder in path.parents if folder.name == "objects" and folder.parent.suffix == ".git")
    return path.name.startswith(("tmp_", "incoming-")) and next(stores, None) is not None


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
