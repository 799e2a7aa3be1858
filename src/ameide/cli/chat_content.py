"""A command as a person reads it before agreeing to it: every field that its hash binds, and none of them twice.

What a model or a repository wrote in it cannot steer the terminal.
"""

from __future__ import annotations

import difflib
import json
import re
from typing import Any, cast

import click
from protobuf import Message

from ameide.cli.output import harmless, word
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactContent

# Who sends it, by which key and consent: no part of what is agreed to.
_NOT_BOUND = frozenset({"scope", "clientRequestId", "requestedBy", "consentId"})
_ENUM = re.compile(r"^(?:[A-Z]+_)*?(?:KIND|ACTION_KIND|LEVEL|SIZE|PRIMITIVE)_(?=[A-Z])")
_DIFF_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def print_command(command: Message[Any]) -> None:
    """All that the hash of the command is made of."""
    fields = json.loads(command.to_json())
    for name, value in fields.items():
        if name not in _NOT_BOUND:
            _print(name, value, "  ")


def print_content(content: ArtifactContent) -> None:
    """What an artifact says."""
    for name, value in json.loads(content.to_json()).items():
        _print(name, value, "  ")


def difference(former: ArtifactContent, later: ArtifactContent) -> str:
    """A unified diff of what both say."""
    lines = difflib.unified_diff(_lines(former), _lines(later), "before", "after", lineterm="")
    return "\n".join(lines)


def print_diff(diff: str) -> None:
    """A unified diff in its colours."""
    for line in diff.split("\n"):
        plain, colour = harmless(line), _DIFF_COLOURS.get(line[:1])
        click.echo(click.style(plain, fg=colour) if colour else plain)


def _print(name: str, value: object, indent: str) -> None:
    label = _words(name)
    match value:
        case dict():
            click.echo(f"{indent}{label}:")
            for inner, held in cast("dict[str, object]", value).items():
                _print(inner, held, f"{indent}  ")
        case list():
            click.echo(f"{indent}{label}:")
            for number, held in enumerate(cast("list[object]", value), start=1):
                if isinstance(held, dict):
                    parts = cast("dict[str, object]", held).items()
                    click.echo(f"{indent}{number:>4}. " + "; ".join(f"{_words(n)} {_text(v)}" for n, v in parts))
                else:
                    click.echo(f"{indent}{number:>4}. {_text(held)}")
        case str() if "\n" in value:
            click.echo(f"{indent}{label}:")
            for line in value.split("\n"):
                click.echo(f"{indent}  {harmless(line)}")
        case _:
            click.echo(f"{indent}{label}: {_text(value)}")


def _text(value: object) -> str:
    """One value; an enum's name as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return harmless(word(_ENUM.sub("", value))) if _ENUM.match(value) and value.isupper() else harmless(value)
    return harmless(json.dumps(value, ensure_ascii=False))


def _words(name: str) -> str:
    """`acceptanceCriteria` as two words."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()


def _lines(content: ArtifactContent) -> list[str]:
    rest = content.to_json()
    fields: dict[str, object] = json.loads(rest)
    head = [f"# {content.title}", "", *content.text.split("\n"), ""]
    criteria = [f"{number}. {text}" for number, text in enumerate(content.acceptance_criteria, start=1)]
    others = {name: value for name, value in fields.items() if name not in ("title", "text", "acceptanceCriteria")}
    more = json.dumps(others, indent=2, ensure_ascii=False).split("\n") if others else []
    return [*head, *criteria, *more]
