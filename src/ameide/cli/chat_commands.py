"""What a line at the prompt asks for: words for the agent, or one of the commands that need no model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from protobuf import Oneof

from ameide.cli.chat_form import by_asking, of_file
from ameide.cli.output import at_a_terminal
from ameide.cli.requirement import content
from ameide.cli.requirement import of_file as requirement_of
from ameide.cli.session import Session
from ameide.errors import InvalidArgument, NotFound
from ameide_core_proto.agent.transformation.v1.architect_service_pb import (
    AnalyzeInstruction,
    CollectInstruction,
    DraftInstruction,
    OpenChangeInstruction,
    StartInstruction,
    SubmitInstruction,
)
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetArtifactRequest, GetChangeRequest
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact, ArtifactKind
from ameide_core_proto.transformation.work.v1.work_pb import WorkKind

Instruction = Oneof[str, Any]
HELP = """\
Words go to the agent. These commands need no model; each that has an effect asks for your consent first.

  /open TITLE                    open a change; the conversation is about it from then on
  /triage [TITLE | @FILE]        fill in a triage, or take it from a JSON file; /triage-run does it in a run of its own
  /draft [KIND] [WISH | @FILE]   draft a requirement, dev-brief or gate-checklist; @FILE is Markdown
  /revise [KIND | ID] [WISH | @FILE]   the next version of an artifact, with its diff
  /submit [ID]                   submit the newest requirement, or this artifact
  /analyze [@COMMIT] QUESTION    let an agent look into the repository, read-only; /structure lets a tool do it
  /collect WORK                  look for the result of such a work
  /start [CODER]                 start a run of the submitted requirement
  /follow [CHANGE]               watch the run of the change until it ends
  /help  /quit
"""
_DRAFTED = {
    "requirement": ArtifactKind.REQUIREMENT,
    "dev-brief": ArtifactKind.DEV_BRIEF,
    "gate-checklist": ArtifactKind.GATE_CHECKLIST,
}


def instruction_of(session: Session, line: str, change_id: str) -> Instruction:
    """What a line asks for. Raises InvalidArgument for a command that is none, or lacks something."""
    if not line.startswith("/"):
        return Oneof("text", line)
    name, _, rest = line[1:].partition(" ")
    rest = rest.strip()
    match name:
        case "open":
            return Oneof("open_change", OpenChangeInstruction(title=_needed(rest, "/open", "TITLE")))
        case "triage" | "triage-run":
            return _triage(rest, durable=name == "triage-run")
        case "draft":
            kind, wish = _kind(rest)
            return Oneof("draft", DraftInstruction(kind=kind, **_wished(wish)))
        case "revise":
            artifact, wish = _artifact(session, change_id, rest)
            return Oneof(
                "draft", DraftInstruction(kind=artifact.kind, artifact_id=artifact.artifact_id, **_wished(wish))
            )
        case "submit":
            return Oneof("submit", SubmitInstruction(artifact_id=rest))
        case "analyze" | "structure":
            first, _, question = rest.partition(" ")
            commit = first.removeprefix("@") if first.startswith("@") else ""
            kind = WorkKind.AGENT_WORK if name == "analyze" else WorkKind.TOOL_RUN
            asked = question.strip() if commit else rest
            asked = asked or ("What is in this repository?" if name == "structure" else "")
            asked = _needed(asked, f"/{name}", "QUESTION")
            return Oneof("analyze", AnalyzeInstruction(question=asked, work_kind=kind, commit_sha=commit))
        case "collect":
            return Oneof("collect", CollectInstruction(work_request_id=_needed(rest, "/collect", "WORK")))
        case "start":
            return Oneof("start", StartInstruction(coder=rest))
        case _:
            raise InvalidArgument(f"there is no command /{name}", field="TEXT", remedy="`/help` lists them")


def _triage(rest: str, *, durable: bool) -> Instruction:
    if rest.startswith("@"):
        found = of_file(Path(rest[1:]).expanduser())
    elif at_a_terminal():
        found = by_asking(rest)
    else:
        raise InvalidArgument(
            "nobody can fill in a triage here", field="TEXT", remedy="Give a file with it: `/triage @FILE`"
        )
    found.durable = found.durable or durable
    return Oneof("triage", found)


def _wished(wish: str) -> dict[str, Any]:
    """The wish, or the content of the file that it names."""
    if not wish.startswith("@"):
        return {"wish": wish}
    path = Path(wish[1:]).expanduser()
    if not path.is_file():
        raise InvalidArgument(f"there is no file {path}", field="TEXT", remedy="Name a Markdown file after @")
    return {"content": content("", "", (), requirement_of(path))}


def _kind(rest: str) -> tuple[ArtifactKind, str]:
    first, _, wish = rest.partition(" ")
    kind = _DRAFTED.get(first.lower().replace("_", "-"))
    return (kind, wish.strip()) if kind is not None else (ArtifactKind.REQUIREMENT, rest)


def _artifact(session: Session, change_id: str, rest: str) -> tuple[Artifact, str]:
    """The artifact that is to be revised, and how."""
    first, _, wish = rest.partition(" ")
    if first.startswith("art-"):
        request = GetArtifactRequest(scope=session.scope, artifact_id=first)
        found = session.call(lambda clients: clients.queries.get_artifact(request)).artifact
        if found is None:
            raise NotFound(f"no artifact {first}", remedy=f"`ameide change show {change_id}` lists them")
        return found, wish.strip()
    kind, wish = _kind(rest)
    if not change_id:
        raise InvalidArgument("the conversation is about no change yet", field="TEXT", remedy="`/open TITLE` opens one")
    change = session.call(
        lambda clients: clients.queries.get_change(GetChangeRequest(scope=session.scope, change_id=change_id))
    )
    known = [artifact for artifact in change.artifacts if artifact.kind == kind]
    if not known:
        name = kind.name.lower().replace("_", "-")
        raise NotFound(f"{change_id} has no {name} yet", remedy=f"`/draft {name}` makes one")
    return known[-1], wish


def _needed(text: str, command: str, what: str) -> str:
    if not text:
        raise InvalidArgument(f"{command} needs {what}", field="TEXT", remedy="`/help` shows how it is written")
    return text


def print_help() -> None:
    """The commands."""
    click.echo(HELP, nl=False)
