"""Programs in Go for tests: compiled once, whole or not at all, from the modules that a go.mod names."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ameide.engine.errors import InstallError
from tests.engine.conftest import Said
from tests.engines.go_programs import GoPrograms


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> GoPrograms:
    """A program, and a file beside it, of a module that lies on this machine."""
    folder = tmp_path_factory.mktemp("go")
    other = folder / "other"
    (other / "cmd" / "greet" / "v3").mkdir(parents=True)
    (other / "go.mod").write_text("module example.org/other\n\ngo 1.27\n")
    (other / "cmd" / "greet" / "v3" / "main.go").write_text('package main\n\nfunc main() { println("hello") }\n')
    (other / "schemas").mkdir()
    (other / "schemas" / "greeting.yaml").write_text("kind: Greeting\n")
    source = folder / "source"
    source.mkdir()
    required = f"require example.org/other v0.0.0\n\nreplace example.org/other => {other}\n"
    (source / "go.mod").write_text(f"module example.org/tests\n\ngo 1.27\n\n{required}")
    (source / "go.sum").write_text("")
    return GoPrograms(
        "greeting", source, {"greeter": "example.org/other/cmd/greet/v3"}, {"kept": ("example.org/other", "schemas")}
    )


@pytest.fixture(scope="module")
def built(programs: GoPrograms, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder in which they are."""
    cache = tmp_path_factory.mktemp("cache")
    programs.ensure(cache, lambda line: None)
    return cache


def test_a_program_runs_under_its_own_name_and_what_it_needs_lies_beside_it(programs: GoPrograms, built: Path) -> None:
    done = subprocess.run([programs.path(built, "greeter")], capture_output=True, text=True, check=True)
    assert done.stderr == "hello\n"
    assert (programs.path(built, "kept") / "greeting.yaml").read_text() == "kind: Greeting\n"


def test_what_is_built_is_not_built_again(programs: GoPrograms, built: Path, said: Said) -> None:
    programs.ensure(built, said)
    assert not said.mentions("Building")


def test_another_go_mod_is_another_folder(programs: GoPrograms, built: Path, tmp_path: Path) -> None:
    other = replace(programs, source=shutil.copytree(programs.source, tmp_path / "source"))
    assert other.folder(built) == programs.folder(built)
    (other.source / "go.sum").write_text("\n")
    with pytest.raises(InstallError, match="make engines"):
        other.path(built, "greeter")


def _cut_short(folder: Path) -> None:
    (folder / "greeter").write_text("")


def _without_schemas(folder: Path) -> None:
    shutil.rmtree(folder / "kept")


def _without_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


@pytest.mark.parametrize("damage", [_cut_short, _without_schemas, _without_manifest])
def test_what_is_damaged_or_half_built_is_missing(
    programs: GoPrograms, built: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    folder = shutil.copytree(programs.folder(built), programs.folder(tmp_path))
    damage(folder)
    with pytest.raises(InstallError, match="not set up"):
        programs.path(tmp_path, "greeter")


def test_a_build_that_failed_leaves_nothing_usable_and_goes_on(
    programs: GoPrograms, tmp_path: Path, said: Said
) -> None:
    away = tmp_path / "away"
    source = shutil.copytree(programs.source, tmp_path / "source")
    go_mod = (source / "go.mod").read_text()
    (source / "go.mod").write_text(go_mod.replace(str(programs.source.parent / "other"), str(away)))
    schemas = replace(programs, source=source, programs={})  # compiling once more would tell no more
    cache = tmp_path / "cache"
    with pytest.raises(InstallError, match="schemas is missing"):
        schemas.ensure(cache, said)
    assert not schemas.folder(cache).exists()
    shutil.copytree(programs.source.parent / "other", away)
    schemas.ensure(cache, said)
    assert said.mentions("Going on with an interrupted build")
    assert [path.name for path in cache.iterdir() if path.is_dir()] == [schemas.folder(cache).name]


def test_the_command_reports_wrong_usage() -> None:
    done = subprocess.run([sys.executable, "-m", "tests.engines", "nonsense"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "kubernetes" in done.stderr
