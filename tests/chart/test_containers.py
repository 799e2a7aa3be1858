"""The container files: no Docker engine is needed to know that they say what they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.chart.rendering import CHART, ROOT

FOLDER = ROOT / "deploy" / "containers"
FILES = sorted(FOLDER.glob("*.Containerfile"))
USER = "64100"


def instructions(file: Path) -> list[tuple[str, str]]:
    """Name and arguments of each instruction, with continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", file.read_text(), flags=re.M).replace("\\\n", " ")
    pairs = [line.split(None, 1) for line in text.splitlines() if line.strip()]
    return [(name, re.sub(r"\s+", " ", rest)) for name, rest in pairs]


def test_there_are_two() -> None:
    assert [file.stem for file in FILES] == ["control", "executor"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_linter_finds_nothing(file: Path) -> None:
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert program, "hadolint is missing. Install it: make setup"
    done = subprocess.run(
        [program, "--format", "json", "--no-color", file], capture_output=True, text=True, check=False
    )
    assert json.loads(done.stdout) == []
    assert done.returncode == 0


def test_the_linter_would_find_something(tmp_path: Path) -> None:
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert program
    bad = tmp_path / "bad.Containerfile"
    bad.write_text(
        FILES[0]
        .read_text()
        .replace('ENTRYPOINT ["ameide"]', "ENTRYPOINT ameide")
        .replace("USER 64100:64100", "USER root")
    )
    done = subprocess.run([program, "--format", "json", bad], capture_output=True, text=True, check=False)
    assert {found["code"] for found in json.loads(done.stdout)} >= {"DL3002", "DL3025"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_is_built_in_stages_on_what_is_pinned_by_the_caller(file: Path) -> None:
    told = instructions(file)
    # No default: a base image that nobody chose by its digest is none.
    assert [rest for name, rest in told if name == "ARG"] == ["PYTHON"]
    assert [rest for name, rest in told if name == "FROM"] == ["${PYTHON} AS build", "${PYTHON}"]
    last = told[[name for name, _ in told].index("FROM", 2) :]
    assert ("USER", f"{USER}:{USER}") in last
    assert ("ENTRYPOINT", '["ameide"]') in last
    assert [rest for name, rest in last if name == "COPY"] == ["--from=build /opt/ameide /opt/ameide"]
    assert not [rest for _, rest in told if "://" in rest], "a host is named"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_is_copied_is_there_and_sent_to_the_builder(file: Path) -> None:
    sent = file.with_name(f"{file.name}.dockerignore").read_text().splitlines()
    assert sent[1] == "*"
    for _, rest in (one for one in instructions(file) if one[0] == "COPY" and "--from" not in one[1]):
        *sources, _ = rest.split()
        for source in sources:
            assert (ROOT / source).exists(), source
            assert f"!{Path(source).parts[0]}" in sent, source


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_everything_is_installed_from_hashed_locks(file: Path) -> None:
    runs = " && ".join(rest for name, rest in instructions(file) if name == "RUN")
    installs = re.findall(r"pip install ([^&]+)", runs)
    assert len(installs) == 3
    for options in installs:
        lock = re.search(r"-r (\S+)", options)
        assert ("--require-hashes" in options) == (lock is not None)
        if lock:
            text = (ROOT / lock[1]).read_text()
            pins = re.findall(r"^[a-z0-9]\S*==", text, re.M)
            assert len(pins) == len(re.findall(r"^\S+==\S+.*\\\n +--hash=sha256:", text, re.M)), lock[1]
        else:
            # Our own wheel, built in the stage before.
            assert options.split() == ["--no-index", "--no-deps", "dist/ameide-*.whl"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_is_taken_out_again_was_installed(file: Path) -> None:
    named = re.findall(r"pip uninstall --yes ((?:[a-z-]+ ?)+)", " ".join(rest for _, rest in instructions(file)))
    taken = {name for one in named for name in one.split()} - {"pip"}
    locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements" / "runtime.txt").read_text(), re.M))
    assert taken
    assert taken <= locked


def test_the_chart_runs_them_as_their_user() -> None:
    helper = (CHART / "templates" / "_pod.tpl").read_text()
    assert f"runAsUser: {USER}\nrunAsGroup: {USER}\nfsGroup: {USER}" in helper


def test_chart_and_program_have_one_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f'appVersion: "{version}"' in (CHART / "Chart.yaml").read_text()
