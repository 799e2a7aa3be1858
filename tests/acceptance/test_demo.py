"""`ameide demo`, its printed commands, and the wheel: what a newcomer runs first."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.installation import ROOT, Installation, remove

COURSE = {"PhaseEntered", "GateOpened", "GateDecided"}


@pytest.fixture
def fresh() -> Iterator[Installation]:
    """An installation in which nothing was started yet."""
    made = Installation.make()
    yield made
    remove(made)


@pytest.fixture(scope="module")
def other() -> Iterator[Installation]:
    """A second one, for the whole module."""
    made = Installation.make()
    yield made
    remove(made)


def course(installation: Installation) -> list[tuple[str, str]]:
    """Phases and gates of the one change, in order."""
    [change] = installation.ameide("change", "list", "-q").split()
    rows: list[dict[str, Any]] = installation.json("change", "timeline", change)["rows"]
    return [(row["name"], re.sub(r" by .*", "", row["text"])) for row in rows if row["name"] in COURSE]


def test_the_demo_delivers_and_the_commands_it_prints_do_the_same(fresh: Installation, other: Installation) -> None:
    printed = other.ameide("demo", "--print")
    demo = fresh.ameide("demo")
    for expected in ("offline", "Deciding as approver, a second principal", "is red", "is green", "Try next"):
        assert expected in demo
    lines = [line for line in printed.splitlines() if line and not line.startswith("#")]
    assert all(re.search(r"\bameide\b", line) for line in lines), lines
    pasted = subprocess.run(
        ["bash", "-e"],
        cwd=other.state_dir,
        env=other.environment,
        input=printed,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert pasted.returncode == 0, pasted.stderr
    assert course(other) == course(fresh)
    assert ("PhaseEntered", "phase terminal") in course(fresh)


def test_up_again_changes_nothing_and_down_stops_only_its_own(fresh: Installation, other: Installation) -> None:
    fresh.ameide("up")
    pids = {name: fresh.pid_of(name) for name in ("control", "worker", "executor")}
    again = fresh.run("up")
    assert again.returncode == 0
    assert "already" in (again.stdout + again.stderr).lower()
    assert {name: fresh.pid_of(name) for name in pids} == pids
    other.ameide("up")
    theirs = {name: other.pid_of(name) for name in pids}
    fresh.ameide("down")
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())
    assert all(Path(f"/proc/{pid}").exists() for pid in theirs.values())


def test_purge_says_what_it_deletes(fresh: Installation) -> None:
    fresh.ameide("up")
    done = fresh.run("down", "--purge", "--yes")
    assert done.returncode == 0
    assert str(fresh.state_dir) in done.stdout + done.stderr
    assert not (fresh.state_dir / "engine").exists()


def test_the_wheel_alone_runs_the_demo_without_make(tmp_path: Path, fresh: Installation) -> None:
    source = tmp_path / "source"
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
    [wheel] = (source / "dist").glob("*.whl")
    empty = tmp_path / "empty"
    subprocess.run([sys.executable, "-m", "venv", empty], check=True)
    locked = ["-r", ROOT / "requirements" / "runtime.txt"]
    subprocess.run([empty / "bin" / "pip", "install", "-q", *locked], check=True, capture_output=True)
    subprocess.run([empty / "bin" / "pip", "install", "-q", "--no-deps", wheel], check=True, capture_output=True)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("git", "sh"):
        found = shutil.which(name)
        assert found is not None
        (programs / name).symlink_to(found)
    done = subprocess.run(
        [empty / "bin" / "ameide", "demo"],
        cwd=tmp_path,
        env={**fresh.environment, "PATH": str(programs)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Try next" in done.stdout
    version = subprocess.run([empty / "bin" / "ameide", "--version"], capture_output=True, text=True, check=True).stdout
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] in version
