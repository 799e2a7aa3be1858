"""The structure of a repository at a commit, found by rules: no model is asked, nothing of it is executed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from posixpath import basename, dirname

from ameide.infra.analysis import manifests
from ameide.infra.analysis.commit_files import CommitFiles
from ameide.infra.analysis.languages import language_of
from ameide.infra.analysis.manifests import Manifest
from ameide.infra.analysis.terms import Found, search
from ameide.infra.path_rules import matches
from ameide.infra.repo_config import ConfigError, RepoConfig
from ameide.infra.repo_config.model import TEST_FILES

_OWNERS = ("CODEOWNERS", ".github/CODEOWNERS", ".gitlab/CODEOWNERS", "docs/CODEOWNERS")
_LARGEST, _MANIFESTS, _RULES = 10, 100, 200


@dataclass(frozen=True)
class Language:
    """Files, bytes and lines in one language; lines of files that were not read are not among them."""

    name: str
    files: int
    bytes: int
    lines: int


@dataclass(frozen=True)
class Component:
    """A folder with a manifest of its own; ``.`` is the root. Its files are those that lie in no inner component."""

    path: str
    name: str
    ecosystems: tuple[str, ...]
    files: int
    tests: int
    protos: int


@dataclass(frozen=True)
class Owners:
    """One rule of a CODEOWNERS file."""

    pattern: str
    owners: tuple[str, ...]
    path: str
    line: int


@dataclass(frozen=True)
class Structure:
    """All that is told. `commands` is None where `no_commands` says why none are known."""

    commit: str
    files: int
    bytes: int
    languages: Sequence[Language]
    components: Sequence[Component]
    manifests: Sequence[Manifest]
    commands: RepoConfig | None
    no_commands: str
    tests: Sequence[str]
    protos: Sequence[str]
    owners: Sequence[Owners]
    largest: Sequence[tuple[str, int]]
    submodules: Sequence[str]
    links: Sequence[str]
    unread: int
    terms: Sequence[Found] = field(default=())


async def structure(
    commit: str, files: CommitFiles, commands: RepoConfig | ConfigError, terms: Sequence[str]
) -> Structure:
    """What there is at the commit, and where the terms stand. Raises `GitFailed`."""
    paths = files.paths
    await files.load([path for path in paths if language_of(path)])
    found = [manifests.read(path, await files.text(path)) for path in paths if manifests.ecosystem_of(path)]
    tests = [path for path in paths if any(matches(pattern, path) for pattern in TEST_FILES)]
    protos = [path for path in paths if path.endswith(".proto")]
    sizes = sorted(((entry.path, entry.size) for entry in files.entries.values()), key=lambda one: (-one[1], one[0]))
    return Structure(
        commit=commit,
        files=len(paths),
        bytes=sum(entry.size for entry in files.entries.values()),
        languages=await _languages(files),
        components=_components(paths, found, frozenset(tests)),
        manifests=found[:_MANIFESTS],
        commands=commands if isinstance(commands, RepoConfig) else None,
        no_commands=str(commands) if isinstance(commands, ConfigError) else "",
        tests=tests,
        protos=protos,
        owners=await _owners(files),
        largest=sizes[:_LARGEST],
        submodules=sorted(files.submodules),
        links=sorted(files.links),
        unread=files.unread,
        terms=await search(files, terms),
    )


async def _languages(files: CommitFiles) -> list[Language]:
    counted: dict[str, tuple[int, int, int]] = {}
    for path, entry in files.entries.items():
        if name := language_of(path):
            number, size, lines = counted.get(name, (0, 0, 0))
            counted[name] = (number + 1, size + entry.size, lines + (await files.lines(path) or 0))
    made = [Language(name, *numbers) for name, numbers in counted.items()]
    return sorted(made, key=lambda one: (-one.lines, one.name))


def _components(paths: Sequence[str], found: Sequence[Manifest], tests: frozenset[str]) -> list[Component]:
    made: dict[str, list[Manifest]] = {}
    for manifest in found:
        made.setdefault(dirname(manifest.path), []).append(manifest)
    owned: dict[str, list[str]] = {folder: [] for folder in made}
    for path in paths:
        above = dirname(path)
        while above and above not in owned:
            above = dirname(above)
        if above in owned:
            owned[above].append(path)
    return [
        Component(
            path=folder or ".",
            name=next((one.name for one in made[folder] if one.name), basename(folder)),
            ecosystems=tuple(sorted({one.ecosystem for one in made[folder]})),
            files=len(own),
            tests=sum(path in tests for path in own),
            protos=sum(path.endswith(".proto") for path in own),
        )
        for folder, own in sorted(owned.items())
    ]


async def _owners(files: CommitFiles) -> list[Owners]:
    """Of the first CODEOWNERS file that a forge would take."""
    for path in _OWNERS:
        text = await files.text(path)
        if text is None:
            continue
        rules: list[Owners] = []
        for number, line in enumerate(text.splitlines(), 1):
            words = line.partition("#")[0].split()
            if len(words) > 1 and not words[0].startswith("["):
                rules.append(Owners(words[0][:255], tuple(words[1:21]), path, number))
        return rules[:_RULES]
    return []
