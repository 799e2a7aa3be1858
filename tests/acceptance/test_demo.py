"""`ameide demo`, its printed commands, and the wheel: what a newcomer runs first."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.installation import ROOT, Installation, remove

COURSE = {"PhaseEntered", "GateOpened", "GateDecided"}
PROCESSES = ("control", "worker", "executor", "architect")


@dataclass(frozen=True)
class Demo:
    """An installation in which the demo of the wheel ran, the wheel's `ameide`, and what the demo said."""

    installation: Installation
    program: Path
    said: str


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """What somebody has who installed the wheel and ran the demo, without make and without a checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    program = installed(wheel(folder), folder / "empty")
    programs = folder / "programs"
    programs.mkdir()
    for name in ("git", "sh"):
        found = shutil.which(name)
        assert found is not None
        (programs / name).symlink_to(found)
    made = Installation.make()
    try:
        done = subprocess.run(
            [program, "demo"],
            cwd=folder,
            env={**made.environment, "PATH": str(programs)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        yield Demo(made, program, done.stdout)
    finally:
        remove(made)


@pytest.fixture(scope="module")
def pasted() -> Iterator[Installation]:
    """One in which the commands that the demo prints were run by hand."""
    made = Installation.make()
    try:
        printed = made.ameide("demo", "--print")
        lines = [line for line in printed.splitlines() if line and not line.startswith("#")]
        assert all(re.search(r"\bameide\b", line) for line in lines), lines
        done = subprocess.run(
            ["bash", "-e"],
            cwd=made.state_dir,
            env=made.environment,
            input=printed,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        yield made
    finally:
        remove(made)


def wheel(folder: Path) -> Path:
    """The wheel of this checkout, built in a clone that has its changes."""
    source = folder / "source"
    subprocess.run(["git", "clone", "--quiet", ROOT, source], check=True)
    for changed in ("src", "examples", "pyproject.toml", "README.md"):
        target = source / changed
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        origin = ROOT / changed
        shutil.copytree(
            origin, target, ignore=shutil.ignore_patterns("__pycache__")
        ) if origin.is_dir() else shutil.copy(origin, target)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel"]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    [built] = (source / "dist").glob("*.whl")
    return built


def installed(wheel: Path, empty: Path) -> Path:
    """The program `ameide` in a new environment with the wheel and the locked packages."""
    subprocess.run([sys.executable, "-m", "venv", empty], check=True)
    # A tenth of the time that pip takes for the same.
    install = [Path(sys.executable).with_name("uv"), "pip", "install", "-q", "--python", empty / "bin" / "python"]
    subprocess.run([*install, "-r", ROOT / "requirements" / "runtime.txt"], check=True, capture_output=True)
    subprocess.run([*install, "--no-deps", wheel], check=True, capture_output=True)
    return empty / "bin" / "ameide"


def course(installation: Installation) -> list[tuple[str, str]]:
    """Phases and gates of the one change, in order."""
    [change] = installation.ameide("change", "list", "-q").split()
    rows: list[dict[str, Any]] = installation.json("change", "timeline", change)["rows"]
    return [(row["name"], re.sub(r" by .*", "", row["text"])) for row in rows if row["name"] in COURSE]


def lives(pid: int) -> bool:
    """Whether a process has not ended; one that nobody has asked for its exit code yet has."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_wheel_alone_runs_the_demo_and_the_commands_it_prints_do_the_same(demo: Demo, pasted: Installation) -> None:
    for expected in (
        "No language model is configured",
        "offline",
        "Deciding as approver, a second principal",
        "is red",
        "is green",
        "Try next",
    ):
        assert expected in demo.said
    assert course(pasted) == course(demo.installation)
    assert ("PhaseEntered", "phase terminal") in course(pasted)
    version = subprocess.run([demo.program, "--version"], capture_output=True, text=True, check=True).stdout
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] in version


def test_up_again_changes_nothing_and_down_stops_only_its_own(demo: Demo, pasted: Installation) -> None:
    ours = {name: pasted.pid_of(name) for name in PROCESSES}
    theirs = {name: demo.installation.pid_of(name) for name in PROCESSES}
    again = pasted.run("up")
    assert again.returncode == 0
    assert "already" in (again.stdout + again.stderr).lower()
    assert {name: pasted.pid_of(name) for name in PROCESSES} == ours
    pasted.ameide("down")
    assert not any(lives(pid) for pid in ours.values())
    assert all(lives(pid) for pid in theirs.values())
    pasted.ameide("up")


def test_purge_says_what_it_deletes(pasted: Installation) -> None:
    assert all(lives(pasted.pid_of(name)) for name in PROCESSES)
    done = pasted.run("down", "--purge", "--yes")
    assert done.returncode == 0
    assert str(pasted.state_dir) in done.stdout + done.stderr
    assert not (pasted.state_dir / "engine").exists()
