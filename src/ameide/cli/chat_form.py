"""A triage that a person fills in: questions at the terminal, or a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import click

from ameide.errors import InvalidArgument
from ameide_core_proto.agent.transformation.v1.architect_service_pb import TriageInstruction
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import (
    ChangeSize,
    Primitive,
    Risk,
    RiskLevel,
    Triage,
)

_MOST = 1 << 20
_GATES = ("requirement_stabilized", "acceptance", "ready_to_release", "promotion")
# By field: the enum, and what ProtoJSON puts before its names.
_ENUMS = {
    "primitives": (Primitive, "PRIMITIVE_"),
    "size": (ChangeSize, "CHANGE_SIZE_"),
    "level": (RiskLevel, "RISK_LEVEL_"),
}


def of_file(path: Path) -> TriageInstruction:
    """A triage in JSON: its title, and the fields of a `Triage` beside it; enums by their short names.

    Raises InvalidArgument for what is none.
    """
    try:
        with path.open("rb") as opened:
            said = json.loads(opened.read(_MOST))
    except OSError as error:
        raise InvalidArgument(
            f"{path} cannot be read ({error.strerror})", field="triage", remedy="Name a file"
        ) from None
    except ValueError as error:
        raise InvalidArgument(f"{path} is no JSON: {error}", field="triage", remedy="Correct the file") from error
    if not isinstance(said, dict):
        raise InvalidArgument(f"{path} holds no object", field="triage", remedy='Begin with {"title": "…"')
    fields = dict(cast("dict[str, Any]", said))
    title, durable = str(fields.pop("title", "")), bool(fields.pop("durable", False))
    try:
        triage = Triage.from_json(json.dumps(_spelled_out(fields)))
    except Exception as error:
        raise InvalidArgument(
            f"{path} holds no triage: {error}",
            field="triage",
            remedy="docs/how-to/chat.md shows one with all of its fields",
        ) from error
    return TriageInstruction(triage=triage, title=title, durable=durable)


def by_asking(title: str) -> TriageInstruction:
    """The person at the terminal fills it in; an empty line ends a list."""
    title = title or click.prompt("Title")
    triage = Triage(in_scope=_lines("In scope", least=1), out_of_scope=_lines("Out of scope"))
    while text := _line("A risk"):
        level = RiskLevel[_one("How high", RiskLevel.__members__).upper()]
        triage.risks.append(Risk(text=text, level=level, mitigation=_line("What is done about it")))
    triage.primitives = [Primitive[name.upper()] for name in _some("It touches", Primitive.__members__, least=1)]
    triage.required_gates = _some("It should pass the gates", _GATES)
    triage.open_questions = _lines("Open questions")
    triage.size = ChangeSize[_one("Size", ChangeSize.__members__).upper()]
    triage.deep_analysis = click.confirm("Is a deep analysis needed", default=False)
    if triage.deep_analysis:
        triage.analysis_question = click.prompt("What is it to find out")
    return TriageInstruction(triage=triage, title=title)


def _spelled_out(fields: dict[str, Any]) -> dict[str, Any]:
    """Short names of enums as ProtoJSON has them: `small` is CHANGE_SIZE_SMALL."""
    spelled: dict[str, Any] = {}
    for name, value in fields.items():
        match value:
            case list():
                held = cast("list[Any]", value)
                spelled[name] = [_enum(name, one) for one in held]
            case _:
                spelled[name] = _enum(name, value)
    return spelled


def _enum(name: str, value: object) -> object:
    if isinstance(value, dict):
        return _spelled_out(cast("dict[str, Any]", value))
    kind, prefix = _ENUMS.get(name, (None, ""))
    short = str(value).upper().replace("-", "_")
    return f"{prefix}{short}" if kind is not None and short in kind.__members__ else value


def _line(what: str) -> str:
    return click.prompt(what, default="", show_default=False).strip()


def _lines(what: str, least: int = 0) -> list[str]:
    found: list[str] = []
    while text := _line(f"{what}, {len(found) + 1}") or ("again" if len(found) < least else ""):
        if text != "again":
            found.append(text)
    return found


def _one(what: str, names: Sequence[str] | dict[str, Any] | Any) -> str:
    return click.prompt(what, type=click.Choice(_choices(names)))


def _some(what: str, names: Sequence[str] | Any, least: int = 0) -> list[str]:
    choices = _choices(names)
    while True:
        said = _line(f"{what}, of {', '.join(choices)}").replace(",", " ").split()
        wrong = [name for name in said if name not in choices]
        if not wrong and len(said) >= least:
            return list(dict.fromkeys(said))
        click.echo(f"There is no {', '.join(wrong)}." if wrong else f"Name at least {least}.")


def _choices(names: Sequence[str] | Any) -> list[str]:
    return [str(name).lower() for name in names if name != "UNSPECIFIED"]
