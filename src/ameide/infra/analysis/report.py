"""The structure of a repository, told to programs and to people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from ameide.infra.analysis.structure import Structure
from ameide.infra.analysis.terms import Found
from ameide.infra.repo_config import RepoConfig

VERSION = 1
_PATHS = 500


def as_json(found: Structure) -> str:
    """The whole report; at most 500 paths of a kind, whose number is told beside them."""
    told = {
        "version": VERSION,
        "commit": found.commit,
        "files": found.files,
        "bytes": found.bytes,
        "unread_files": found.unread,
        "languages": [asdict(one) for one in found.languages],
        "components": [asdict(one) for one in found.components],
        "manifests": [asdict(one) for one in found.manifests],
        "commands": _commands(found.commands) if found.commands else {"problem": found.no_commands},
        "tests": {"files": len(found.tests), "paths": list(found.tests[:_PATHS])},
        "protos": {"files": len(found.protos), "paths": list(found.protos[:_PATHS])},
        "owners": [asdict(one) for one in found.owners],
        "largest": [{"path": path, "bytes": size} for path, size in found.largest],
        "submodules": list(found.submodules[:_PATHS]),
        "links": list(found.links[:_PATHS]),
        "terms": [asdict(one) for one in found.terms],
    }
    # Paths may be of no encoding at all; such bytes are told as escapes.
    return json.dumps(told, indent=1, ensure_ascii=True)


def as_markdown(found: Structure) -> str:
    """The same, for people; the JSON has what is left out here."""
    parts = [
        f"# Structure at {found.commit}",
        "Found by rules: no model was asked, and nothing of the repository was executed.",
        f"{found.files} files, {found.bytes} bytes. {_unread(found)}".strip(),
        _table(
            "Languages",
            ("language", "files", "lines"),
            ((one.name, one.files, one.lines) for one in found.languages),
        ),
        _table(
            "Components",
            ("folder", "name", "made with", "files", "tests", "protos"),
            (
                (one.path, one.name, ", ".join(one.ecosystems), one.files, one.tests, one.protos)
                for one in found.components
            ),
        ),
        "## Commands\n\n" + _commands_text(found),
        _table(
            "Dependencies",
            ("manifest", "names"),
            ((one.path, one.problem or ", ".join(one.dependencies[:20]) or "none") for one in found.manifests),
        ),
        _list("Contracts", found.protos[:50], len(found.protos)),
        _table("Owners", ("pattern", "owners"), ((one.pattern, ", ".join(one.owners)) for one in found.owners)),
        _table("Largest files", ("file", "bytes"), found.largest),
        _list("Submodules", found.submodules[:50], len(found.submodules)),
        *map(_term, found.terms),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def summary(found: Structure) -> str:
    """In two or three sentences."""
    main = ", ".join(one.name for one in found.languages[:3]) or "no language that is known"
    said = [
        f"{found.files} files at {found.commit[:12]}, mostly {main}; {len(found.components)} components, "
        f"{len(found.tests)} test files, {len(found.protos)} contracts."
    ]
    said += [f"'{one.term}' stands in {one.lines} lines of {one.files} files." for one in found.terms]
    if found.no_commands:
        said.append(f"How it is verified is not known: {found.no_commands}")
    return " ".join([*said, _unread(found)]).strip()


def _unread(found: Structure) -> str:
    return f"{found.unread} files were too large to be read." if found.unread else ""


def _commands(config: RepoConfig) -> dict[str, object]:
    return {
        "source": "what the project says" if config.detected else "ameide.yaml",
        "setup": [list(argv) for argv in config.setup],
        "scaffold": [list(argv) for argv in config.scaffold],
        "generate": [list(argv) for argv in config.generate.run] if config.generate else [],
        "suites": {name: list(suite.run) for name, suite in config.suites.items()},
        "build": list(config.build.entrypoint) if config.build else [],
        "smoke": config.smoke.path if config.smoke else "",
        "component": config.component,
    }


def _commands_text(found: Structure) -> str:
    config = found.commands
    if config is None:
        return f"None are known: {found.no_commands}"
    lines = [f"From {'what the project says' if config.detected else '`ameide.yaml`'}."]
    lines += [f"- set-up: `{' '.join(argv)}`" for argv in config.setup]
    lines += [f"- generate: `{' '.join(argv)}`" for argv in (config.generate.run if config.generate else ())]
    lines += [f"- suite {name}: `{' '.join(suite.run)}`" for name, suite in config.suites.items()]
    lines += [f"- image: `{' '.join(config.build.entrypoint)}`"] if config.build else []
    return "\n".join(lines)


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    made = [[_cell(value) for value in row] for row in rows]
    if not made:
        return ""
    lines = [head, ["---"] * len(head), *made]
    return f"## {title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def _list(title: str, paths: Sequence[str], count: int) -> str:
    if not paths:
        return ""
    more = f"\n- and {count - len(paths)} more" if count > len(paths) else ""
    return f"## {title}\n\n" + "\n".join(f"- `{path}`" for path in paths) + more


def _term(found: Found) -> str:
    head = f"## Where `{found.term}` stands\n\n{found.lines} lines of {found.files} files."
    return head + "".join(f"\n- `{hit.path}#L{hit.number}`: {_cell(hit.text)}" for hit in found.shown)
