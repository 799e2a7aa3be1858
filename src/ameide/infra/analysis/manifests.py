"""Dependency manifests: what they call the component, and what it says that it needs. Read, never executed."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from posixpath import basename
from typing import Any, cast

MOST = 200
"""So many dependencies of a manifest are named."""

_NAME = re.compile(r"[A-Za-z0-9@][\w./@-]*")
_POM_NAME = re.compile(r"<artifactId>\s*([\w.-]+)\s*</artifactId>")
_GO_REQUIRE = re.compile(r"^(?:require[ \t]+)?([\w./-]+)[ \t]+v\S+", re.MULTILINE)
Table = Mapping[str, Any]


@dataclass(frozen=True)
class Manifest:
    """One manifest. `problem` says why nothing more is known of it."""

    path: str
    ecosystem: str
    name: str = ""
    dependencies: tuple[str, ...] = field(default=())
    problem: str = ""


def ecosystem_of(path: str) -> str:
    """The ecosystem whose manifest a file is by its name; empty when it is none."""
    name = basename(path)
    if name.startswith("requirements") and name.endswith(".txt"):
        return "python"
    return next((ecosystem for known, (ecosystem, _) in _READERS.items() if known == name), "")


def read(path: str, text: str | None) -> Manifest:
    """What a manifest says; one that cannot be read says so."""
    ecosystem = ecosystem_of(path)
    if text is None:
        return Manifest(path, ecosystem, problem="it is no text, or too large")
    _, reader = _READERS.get(basename(path), ("python", _requirements))
    try:
        name, needed = reader(text)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        return Manifest(path, ecosystem, problem=f"it cannot be read: {str(error)[:200]}")
    return Manifest(path, ecosystem, name[:200], tuple(dict.fromkeys(filter(None, needed)))[:MOST])


def _table(value: object) -> Table:
    return cast("Table", value) if isinstance(value, Mapping) else {}


def _names(value: object) -> list[str]:
    lines = cast("list[object]", value) if isinstance(value, list) else []
    return [match[0] for line in lines if (match := _NAME.match(str(line).strip()))]


def _pyproject(text: str) -> tuple[str, Iterable[str]]:
    stored = tomllib.loads(text)
    project, poetry = _table(stored.get("project")), _table(_table(stored.get("tool")).get("poetry"))
    optional = [name for group in _table(project.get("optional-dependencies")).values() for name in _names(group)]
    groups = [name for group in _table(stored.get("dependency-groups")).values() for name in _names(group)]
    poetrys = [name for name in _table(poetry.get("dependencies")) if name != "python"]
    name = str(project.get("name") or poetry.get("name") or "")
    return name, [*_names(project.get("dependencies")), *optional, *groups, *poetrys]


def _requirements(text: str) -> tuple[str, Iterable[str]]:
    return "", _names([line for line in text.splitlines() if not line.lstrip().startswith(("#", "-"))])


def _package_json(text: str) -> tuple[str, Iterable[str]]:
    stored = _table(json.loads(text))
    kinds = ("dependencies", "devDependencies", "peerDependencies", "optionalDependencies")
    return str(stored.get("name", "")), [name for kind in kinds for name in _table(stored.get(kind))]


def _go_mod(text: str) -> tuple[str, Iterable[str]]:
    plain = "\n".join(line.strip() for line in text.splitlines())
    module = re.search(r"^module\s+(\S+)", plain, re.MULTILINE)
    return module[1] if module else "", [name for name in _GO_REQUIRE.findall(plain) if "." in name[1:-1]]


def _cargo(text: str) -> tuple[str, Iterable[str]]:
    stored = tomllib.loads(text)
    kinds = ("dependencies", "dev-dependencies", "build-dependencies")
    needed = [name for kind in kinds for name in _table(stored.get(kind))]
    return str(_table(stored.get("package")).get("name", "")), needed


def _pom(text: str) -> tuple[str, Iterable[str]]:
    outside, _ = _apart(text, "parent")
    outside, _ = _apart(outside, "dependencies")
    own = _POM_NAME.search(outside)
    _, within = _apart(text, "dependency")
    return own[1] if own else "", [match[1] for each in within if (match := _POM_NAME.search(each))]


def _apart(text: str, tag: str) -> tuple[str, list[str]]:
    """The text without these elements, and what stands in each; found by one look, however the text is made."""
    begins, ends = f"<{tag}>", f"</{tag}>"
    outside: list[str] = []
    within: list[str] = []
    at = 0
    while (begin := text.find(begins, at)) != -1 and (end := text.find(ends, begin)) != -1:
        outside.append(text[at:begin])
        within.append(text[begin + len(begins) : end])
        at = end + len(ends)
    return "".join([*outside, text[at:]]), within


def _unread(_text: str) -> tuple[str, Iterable[str]]:
    """A program of its own; to run it would be the only way to know."""
    return "", ()


_READERS: dict[str, tuple[str, Callable[[str], tuple[str, Iterable[str]]]]] = {
    "pyproject.toml": ("python", _pyproject),
    "setup.py": ("python", _unread),
    "package.json": ("node", _package_json),
    "go.mod": ("go", _go_mod),
    "Cargo.toml": ("rust", _cargo),
    "pom.xml": ("maven", _pom),
    "build.gradle": ("gradle", _unread),
    "build.gradle.kts": ("gradle", _unread),
    "Gemfile": ("ruby", _unread),
    "composer.json": ("php", _package_json),
}
