"""Building the Temporal server: once, whole or not at all."""

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ameide.engine.build import compile_programs
from ameide.engine.errors import InstallError
from ameide.engine.install import TemporalInstall
from tests.engine.conftest import Said


class Compiler:
    """Stands in for minutes of compiling: writes small programs, and counts how often it was asked to."""

    def __init__(self, fail: bool = False) -> None:
        self.calls = 0
        self.fail = fail

    def __call__(self, folder: Path, programs: Sequence[str], into: Path, say: Callable[[str], None]) -> None:
        self.calls += 1
        assert (folder / "module" / "go.sum").is_file()
        (folder / "cache").mkdir(exist_ok=True)
        for program in programs:
            (into / Path(program).name).write_text("#!/bin/sh\n")
            if self.fail:
                raise InstallError("interrupted")


def test_it_is_built_once(tmp_path: Path, said: Said) -> None:
    compiler = Compiler()
    for _ in range(3):
        TemporalInstall(tmp_path, said, compiler).ensure()
    assert compiler.calls == 1
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["temporal-1.32.2"]
    assert said.mentions("Building the Temporal server 1.32.2")


def test_an_interrupted_build_leaves_nothing_usable_and_goes_on(tmp_path: Path, said: Said) -> None:
    install = TemporalInstall(tmp_path, said, Compiler(fail=True))
    with pytest.raises(InstallError):
        install.ensure()
    assert not install.is_complete()
    assert not install.folder.exists()
    TemporalInstall(tmp_path, said, Compiler()).ensure()
    assert install.is_complete()
    assert said.mentions("Going on with an interrupted build")


@pytest.mark.parametrize("damage", ["server", "sql", "manifest.json"])
def test_a_damaged_installation_is_built_again(tmp_path: Path, said: Said, damage: str) -> None:
    install = TemporalInstall(tmp_path, said, Compiler())
    install.ensure()
    (install.folder / damage).write_text("")
    assert not install.is_complete()
    compiler = Compiler()
    TemporalInstall(tmp_path, said, compiler).ensure()
    assert compiler.calls == 1
    assert install.is_complete()
    assert said.mentions("incomplete or damaged")


def test_two_builds_do_not_race(tmp_path: Path, said: Said) -> None:
    compiler = Compiler()
    builders = [threading.Thread(target=TemporalInstall(tmp_path, said, compiler).ensure) for _ in range(5)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    assert compiler.calls == 1


def module(folder: Path, source: str) -> Path:
    (folder / "module").mkdir(parents=True)
    (folder / "module" / "go.mod").write_text("module hello\n\ngo 1.27\n")
    (folder / "module" / "main.go").write_text(source)
    (folder / "result").mkdir()
    return folder


def test_the_wheel_has_a_compiler_that_works(tmp_path: Path, said: Said) -> None:
    folder = module(tmp_path / "build", 'package main\n\nfunc main() { println("built") }\n')
    compile_programs(folder, ["hello"], folder / "result", said)
    done = subprocess.run([folder / "result" / "hello"], capture_output=True, text=True, check=True)
    assert done.stderr == "built\n"


def test_a_build_that_fails_says_what_to_check(tmp_path: Path, said: Said) -> None:
    folder = module(tmp_path / "build", "package main\n\nfunc main() { undefined() }\n")
    with pytest.raises(InstallError, match=r"(?s)undefined.*GOPROXY.*goes on from here"):
        compile_programs(folder, ["hello"], folder / "result", said)


def test_the_command_reports_wrong_usage() -> None:
    done = subprocess.run([sys.executable, "-m", "ameide.engine"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "CACHE_DIR" in done.stderr
