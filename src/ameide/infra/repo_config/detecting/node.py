"""A Node package: its dependencies by npm, and the runner that its script `test` names, made to write a report."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, cast

from ameide.infra.repo_config.detecting.found import Found, Read
from ameide.infra.repo_config.detecting.node_runner import RUNNERS, Part, runner_of
from ameide.infra.repo_config.load import ConfigError
from ameide.infra.repo_config.model import Argv, RepoConfig, Suite

INSTALL_OPTIONS = ("--no-audit", "--no-fund", "--loglevel=error")
DEPENDENCIES = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
OTHER_MANAGERS = {"yarn.lock": "yarn", "pnpm-lock.yaml": "pnpm", "bun.lockb": "bun", "bun.lock": "bun"}

_RUN = re.compile(r"(?:npm|yarn|pnpm)\s+(?:run(?:-script)?\s+)?([\w:.-]+)(?:\s.*)?")
_NOT_A_TEST = re.compile(r"lint|format|prettier|standard|typecheck|types\b|typescript|tsd\b|audit|aud\b|coverage")
_DEPTH = 5


async def detect(paths: Sequence[str], read: Read) -> Found | None:
    """The configuration of a package with a script `test`; None for anything else.

    Raises `ConfigError` when that script, or the package manager, is none that can be run and read.
    """
    if "package.json" not in paths:
        return None
    package = _package(await read("package.json"))
    scripts = cast(dict[str, str], package.get("scripts") or {})
    if not scripts.get("test") or "no test specified" in scripts["test"]:
        return None
    before, part, after = _parts(scripts)
    config = RepoConfig(
        suites={"default": Suite("default", part.run, part.junit, output=part.output)},
        setup=(*_install(paths, package), *before, *((("mkdir", "-p", ".ameide"),) if part.junit else ())),
        detected=True,
    )
    return Found(
        "Node",
        config,
        [f"package.json, whose script `test` runs {part.runner}"],
        [
            *([f"Of the script, this is left out: {'; '.join(f'`{text}`' for text in after)}."] if after else []),
            *([f"Before the tests: {'; '.join('`' + ' '.join(argv) + '`' for argv in before)}."] if before else []),
            *(["No lock file: each set-up takes the newest versions."] if not _locked(paths) else []),
        ],
    )


def _package(data: bytes | None) -> dict[str, Any]:
    try:
        package: object = json.loads((data or b"{}").decode("utf-8-sig"))
    except ValueError as error:
        raise ConfigError(
            f"is no JSON ({error})", field="package.json", remedy="Correct it, or add an ameide.yaml."
        ) from error
    return cast(dict[str, Any], package) if isinstance(package, dict) else {}


def _locked(paths: Sequence[str]) -> bool:
    return "package-lock.json" in paths or "npm-shrinkwrap.json" in paths


def _install(paths: Sequence[str], package: dict[str, Any]) -> list[Argv]:
    if _locked(paths):
        return [("npm", "ci", *INSTALL_OPTIONS)]
    for lock, manager in OTHER_MANAGERS.items():
        if lock in paths:
            raise ConfigError(
                f"the dependencies are locked for {manager}, which is not recognised by itself",
                field=lock,
                remedy=f"Add an ameide.yaml whose `verify.setup` installs them by {manager}.",
            )
    return [("npm", "install", *INSTALL_OPTIONS)] if any(package.get(name) for name in DEPENDENCIES) else []


def _parts(scripts: dict[str, str]) -> tuple[list[Argv], Part, list[str]]:
    """What comes before the tests, the runner, and what of the script is left out."""
    before: list[Argv] = []
    left_out: list[str] = []
    found: Part | None = None
    for text in [*_flat(scripts, "pretest", _DEPTH), *_flat(scripts, "test", _DEPTH)]:
        part = runner_of(text)
        if part is not None and found is None:
            found = part
        elif found is None and part is None and not _NOT_A_TEST.search(text):
            before.append(("npm", "exec", "-c", text))
        else:
            left_out.append(text)
    if found is None:
        raise ConfigError(
            f"its runner is not recognised: {scripts['test'][:200]}",
            field="package.json scripts.test",
            remedy=f"Recognised are {', '.join(RUNNERS)}. For others add an ameide.yaml whose suite writes JUnit XML.",
        )
    return before, found, left_out


def _flat(scripts: dict[str, str], name: str, depth: int) -> list[str]:
    """The commands of a script, with those of the scripts that it runs in their place."""
    commands: list[str] = []
    for text in filter(None, (part.strip() for part in scripts.get(name, "").split("&&"))):
        inner = _RUN.fullmatch(text)
        if (
            inner is None
            or inner[1] not in scripts
            or not depth
            or (_NOT_A_TEST.search(inner[1]) and not any(map(runner_of, _flat(scripts, inner[1], depth - 1))))
        ):
            commands.append(text)
        else:
            commands += _flat(scripts, inner[1], depth - 1)
    return commands
