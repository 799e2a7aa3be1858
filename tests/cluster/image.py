"""The image of every container: this machine's programs and this checkout, as an installed product has it.

A folder that becomes a container's root. What is large is mounted into it. The Dockerfiles of the chart are not built
here: there is no engine for them.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PREFIX = "/opt/ameide"
PATH = f"{PREFIX}/bin:/usr/local/bin:/usr/bin:/bin"
USER = 64100
_TOP = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_EMPTY = ("proc", "dev", "sys", "usr", "tmp", "var/tmp", "run", "root")


@dataclass(frozen=True)
class Mount:
    """A folder or file of this machine at a place in a container."""

    source: Path
    target: str
    read_only: bool = True


@dataclass(frozen=True)
class Image:
    """`folder` is the root; `mounts` belong to it."""

    folder: Path
    mounts: tuple[Mount, ...]


def build_image(folder: Path) -> Image:
    """Make the root of all containers in a new folder; takes no second."""
    for name in _EMPTY:
        (folder / name).mkdir(parents=True)
    for path in (Path("/", name) for name in _TOP):
        if path.is_symlink():
            (folder / path.name).symlink_to(path.readlink())
    shutil.copytree("/etc", folder / "etc", symlinks=True, ignore=_unreadable, ignore_dangling_symlinks=True)
    with (folder / "etc" / "passwd").open("a", encoding="utf-8") as file:
        file.write(f"ameide:x:{USER}:{USER}::/state:/bin/sh\n")
    with (folder / "etc" / "group").open("a", encoding="utf-8") as file:
        file.write(f"ameide:x:{USER}:\n")
    _install(folder / PREFIX.lstrip("/"))
    return Image(folder, tuple(_mounts()))


def _mounts() -> Iterator[Mount]:
    base = Path(sys.base_prefix).resolve()
    yield Mount(Path("/usr"), "/usr")
    yield Mount(Path("/dev"), "/dev", read_only=False)
    yield Mount(Path("/sys"), "/sys")
    yield from (Mount(path, str(path)) for name in _TOP if (path := Path("/", name)).is_dir() and not path.is_symlink())
    if not base.is_relative_to("/usr"):
        yield Mount(base, str(base))
    yield Mount(ROOT / "src", f"{PREFIX}/src")
    yield Mount(_packages(), f"{PREFIX}/packages")


def _install(prefix: Path) -> None:
    """The checkout's virtual environment at another place: a pod may have a volume where the checkout lies."""
    (prefix / "bin").mkdir(parents=True)
    (prefix / "pyvenv.cfg").write_text(f"home = {Path(sys.base_prefix).resolve()}/bin\n", encoding="utf-8")
    python = Path(sys.executable).resolve()
    names = ("python", "python3", python.name)
    for name in names:
        (prefix / "bin" / name).symlink_to(python)
    library = prefix / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    library.mkdir(parents=True)
    (library / "image.pth").write_text(f"{PREFIX}/src\n{PREFIX}/packages\n", encoding="utf-8")
    for program in Path(sys.executable).parent.iterdir():
        if program.is_file() and program.name not in names and not program.is_symlink():
            _copy_program(program, prefix / "bin" / program.name)


def _copy_program(program: Path, target: Path) -> None:
    own = f"#!{Path(sys.executable).parent}/".encode()
    content = program.read_bytes()
    if content.startswith(own):
        content = f"#!{PREFIX}/bin/".encode() + content.removeprefix(own)
    target.write_bytes(content)
    target.chmod(0o755)


def _packages() -> Path:
    [found] = (Path(sys.prefix) / "lib").glob("python*/site-packages")
    return found


def _unreadable(folder: str, names: list[str]) -> list[str]:
    """Sockets and pipes are of no use elsewhere, and secrets of this machine are none of a container's."""
    places = {name: Path(folder, name) for name in names}
    return [
        name
        for name, place in places.items()
        if not place.is_symlink() and not ((place.is_file() or place.is_dir()) and place.stat().st_mode & 0o004)
    ]
