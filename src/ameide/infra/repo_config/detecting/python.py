"""What a Python project without `ameide.yaml` says about its own tests.

An environment below `.ameide/`, the project installed into it with the first source of test requirements that there is
(extras, dependency groups, requirement files, tox), and `pytest`, which runs unittest cases too. Nothing is generated,
built or released.
"""

from __future__ import annotations

import configparser
import re
import tomllib
from collections.abc import Iterable, Sequence
from typing import Any, cast

from ameide.infra.repo_config.detecting.found import JUNIT, Found, Read
from ameide.infra.repo_config.load import ConfigError
from ameide.infra.repo_config.model import Argv, RepoConfig, Suite

VENV = ".ameide/venv"
TEST_NAMES = ("test", "tests", "testing")
DEV_NAMES = ("dev", "develop", "development")

_TEST_FILE = re.compile(r"(?:.*/)?(?:test_[^/]*|[^/]*_test|tests)\.py")
_TEST_REQUIREMENTS = re.compile(
    r"(?:requirements[-_.]?tests?|requirements[-_.]testing|tests?[-_.]requirements|(?:requirements|reqs|tests?|testing)/(?:requirements|tests?|testing))\.txt"
)
_DEV_REQUIREMENTS = re.compile(r"(?:requirements[-_.]?dev|dev[-_.]requirements|requirements/dev)\.txt")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[^\]]*\])?\s*(?:[<>=!~]=?[^;#{}]*)?")

Table = dict[str, Any]


async def detect(paths: Sequence[str], read: Read) -> Found | None:
    """The configuration of a Python project with tests at the root of `paths`; None for anything else."""
    root = {"pyproject.toml", "setup.py", "setup.cfg"} & set(paths)
    tests = [path for path in paths if _TEST_FILE.fullmatch(path)]
    if not root or not tests:
        return None
    project = _toml(await read("pyproject.toml"))
    setup_cfg = _ini("setup.cfg", await read("setup.cfg"))
    installable = (
        "setup.py" in root or "project" in project or "build-system" in project or setup_cfg.has_section("metadata")
    )
    needs = (
        await _test_requirements(paths, read, project, setup_cfg)
        if installable
        else _requirement_files(paths, everything=True)
    )
    target = _target(project, setup_cfg, bool(needs)) if installable else []
    install: Argv = ("uv", "pip", "install", "--quiet", "--python", VENV, "pytest", *needs, *target)
    run = (f"{VENV}/bin/python", "-m", "pytest", "-q", f"--junitxml={JUNIT}")
    config = RepoConfig(
        suites={"default": Suite("default", run, JUNIT)},
        setup=(("uv", "venv", "--quiet", "--allow-existing", VENV), install),
        detected=True,
    )
    wanted = " ".join([*needs, *target])
    return Found(
        "Python",
        config,
        [f"{', '.join(sorted(root))}, and {len(tests)} files with tests"],
        [
            "pytest runs them, which runs unittest cases too.",
            f"What the tests need is installed by `{wanted}`." if wanted else "The tests need nothing but pytest.",
            *([] if installable else ["Nothing is installed from the project itself; it names no build."]),
        ],
    )


async def _test_requirements(
    paths: Sequence[str], read: Read, project: Table, setup_cfg: configparser.RawConfigParser
) -> list[str]:
    """What beside the project itself has to be installed; empty when its extras say it all, or nothing does."""
    groups = _first(cast(Table, project.get("dependency-groups", {})))
    if groups:
        return ["--group", groups]
    if _extra(project, setup_cfg, TEST_NAMES):
        return []
    if files := _requirement_files(paths, everything=False):
        return files
    return [] if _extra(project, setup_cfg, DEV_NAMES) else _tox_requirements(await read("tox.ini"))


def _target(project: Table, setup_cfg: configparser.RawConfigParser, satisfied: bool) -> list[str]:
    extra = _extra(project, setup_cfg, TEST_NAMES) or ("" if satisfied else _extra(project, setup_cfg, DEV_NAMES))
    return ["--editable", f".[{extra}]" if extra else "."]


def _extra(project: Table, setup_cfg: configparser.RawConfigParser, names: Iterable[str]) -> str:
    declared = set(cast(Table, cast(Table, project.get("project", {})).get("optional-dependencies", {})))
    if setup_cfg.has_section("options.extras_require"):
        declared |= set(setup_cfg.options("options.extras_require"))
    return next((name for name in names if name in declared), "")


def _first(table: Table) -> str:
    return next((name for name in (*TEST_NAMES, *DEV_NAMES) if name in table), "")


def _requirement_files(paths: Sequence[str], *, everything: bool) -> list[str]:
    found = [path for path in paths if _TEST_REQUIREMENTS.fullmatch(path)] or [
        path for path in paths if _DEV_REQUIREMENTS.fullmatch(path)
    ]
    if everything and "requirements.txt" in paths:
        found = ["requirements.txt", *found]
    return [argument for path in found for argument in ("-r", path)]


def _tox_requirements(data: bytes | None) -> list[str]:
    """The plain lines of `[testenv] deps`; conditional and substituted ones need tox itself."""
    tox = _ini("tox.ini", data)
    lines = [line.strip() for line in tox.get("testenv", "deps", fallback="").splitlines()]
    files = [
        argument for line in lines if re.fullmatch(r"-r\s*[\w./-]+", line) for argument in ("-r", line[2:].strip())
    ]
    return [*files, *(line for line in lines if _PLAIN.fullmatch(line))]


def _toml(data: bytes | None) -> Table:
    try:
        return tomllib.loads((data or b"").decode())
    except ValueError as error:
        raise ConfigError(
            f"is no TOML ({error})", field="pyproject.toml", remedy="Correct it, or add an ameide.yaml."
        ) from error


def _ini(file: str, data: bytes | None) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string((data or b"").decode())
    except (configparser.Error, ValueError) as error:
        raise ConfigError(f"is malformed ({error})", field=file, remedy="Correct it, or add an ameide.yaml.") from error
    return parser
