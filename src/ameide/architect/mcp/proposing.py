"""Opening changes; proposing, revising and submitting artifacts: the caller's own commands, which need no consent."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping

from mcp_types import CallToolResult, Tool, ToolAnnotations

from ameide.architect.mcp.checking import check_new, check_next
from ameide.architect.mcp.contents import CONTENT, KINDS, content_of
from ameide.architect.mcp.visit import PROPOSE, Offer, Visit, answered
from ameide.architect.tools.arguments import Arguments, checked, choice, integer, schema, string
from ameide.architect.tools.rendering import word
from ameide.architect.tools.tool import Grant
from ameide.errors import AmeideError, Unreachable
from ameide_core_proto.transformation.governance.v1.command_service_pb import OpenChangeRequest
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact, ArtifactContent, ArtifactVersion
from ameide_core_proto.transformation.knowledge.v1.command_service_pb import (
    ProposeArtifactRequest,
    ReviseArtifactRequest,
    SubmitArtifactRequest,
)

_KEY = string(
    "Of your making, one for each thing that you want done: a call that is repeated with it does nothing again.",
    most=200,
)
_ARTIFACT = string("As propose_artifact answered.", most=63, least=1)
_SEEN = integer("The version number that you saw; another one there is a conflict.", least=1)
_REPLAY: dict[str, object] = {"type": "boolean", "description": "Whether it had been done before, by the same key."}
_OPENED: dict[str, object] = {
    "type": "object",
    "properties": {
        "change_id": {"type": "string"},
        "client_request_id": {"type": "string"},
        "idempotent_replay": _REPLAY,
    },
    "required": ["change_id", "client_request_id", "idempotent_replay"],
}
_WRITTEN: dict[str, object] = {
    "type": "object",
    "properties": {
        "artifact_id": {"type": "string"},
        "number": {"type": "integer", "description": "Of the version."},
        "status": {"type": "string", "enum": ["draft", "proposed", "approved", "rejected", "superseded"]},
        "change_id": {"type": "string"},
        "content_hash": {"type": "string", "description": "SHA-256 of what an approval binds."},
        "client_request_id": {"type": "string"},
        "idempotent_replay": _REPLAY,
    },
    "required": ["artifact_id", "number", "status", "change_id", "client_request_id", "idempotent_replay"],
}


async def _open(visit: Visit, given: Arguments, key: str) -> CallToolResult:
    command = OpenChangeRequest(
        scope=visit.scope,
        client_request_id=key,
        repository_id=given.text("repository_id"),
        title=given.text("title"),
    )
    answer = await visit.clients.governance.open_change(command)
    change_id = answer.change.change_id if answer.change else ""
    told = {"change_id": change_id, "client_request_id": key, "idempotent_replay": answer.idempotent_replay}
    return answered(f"change {change_id} is open. Next: propose_artifact with its requirement", told)


async def _propose(visit: Visit, given: Arguments, key: str) -> CallToolResult:
    command = ProposeArtifactRequest(
        scope=visit.scope,
        client_request_id=key,
        change_id=given.text("change_id"),
        kind=KINDS[given.text("kind")],
        content=content_of(given),
    )
    await check_new(visit, command.change_id, command.kind, command.content or ArtifactContent())
    answer = await visit.clients.knowledge.propose_artifact(command)
    return _written(answer.artifact, key, "Next: submit_artifact, once it says all", replay=answer.idempotent_replay)


async def _revise(visit: Visit, given: Arguments, key: str) -> CallToolResult:
    command = ReviseArtifactRequest(
        scope=visit.scope,
        client_request_id=key,
        artifact_id=given.text("artifact_id"),
        expected_number=given.number("expected_number"),
        content=content_of(given),
    )
    await check_next(visit, command.artifact_id, command.content or ArtifactContent())
    answer = await visit.clients.knowledge.revise_artifact(command)
    return _written(answer.artifact, key, "Next: submit_artifact, once it says all", replay=answer.idempotent_replay)


async def _submit(visit: Visit, given: Arguments, key: str) -> CallToolResult:
    command = SubmitArtifactRequest(
        scope=visit.scope,
        client_request_id=key,
        artifact_id=given.text("artifact_id"),
        expected_number=given.number("expected_number"),
    )
    answer = await visit.clients.knowledge.submit_artifact(command)
    return _written(
        answer.artifact, key, "A person starts its run and decides its gate", replay=answer.idempotent_replay
    )


def _written(artifact: Artifact | None, key: str, following: str, *, replay: bool) -> CallToolResult:
    artifact = artifact or Artifact()
    version = artifact.current or ArtifactVersion()
    status = word(version.status.name)
    told = {
        "artifact_id": artifact.artifact_id,
        "number": version.number,
        "status": status,
        "change_id": artifact.change_id,
        "content_hash": version.content_hash,
        "client_request_id": key,
        "idempotent_replay": replay,
    }
    return answered(f"{artifact.artifact_id}@{version.number} is {status}. {following}", told)


def _offer(
    name: str,
    description: str,
    required: list[str],
    properties: dict[str, dict[str, object]],
    act: Callable[[Visit, Arguments, str], Awaitable[CallToolResult]],
    *,
    output: dict[str, object] = _WRITTEN,
    destructive: bool = False,
) -> Offer:
    takes = schema(required, **properties, client_request_id=_KEY)

    async def run(visit: Visit, arguments: Mapping[str, object]) -> CallToolResult:
        given = checked(arguments, takes)
        key = given.text("client_request_id") or f"mcp-{uuid.uuid4().hex}"
        try:
            return await act(visit, given, key)
        except Unreachable as error:
            raise _unknown(error, key) from error

    shown = Tool(
        name=name,
        description=description,
        input_schema=takes,
        output_schema=output,
        annotations=ToolAnnotations(
            title=name.replace("_", " ").capitalize(),
            read_only_hint=False,
            destructive_hint=destructive,
            idempotent_hint=False,
            open_world_hint=False,
        ),
    )
    return Offer(shown, PROPOSE, Grant.PROPOSE.value, run)


def _unknown(error: AmeideError, key: str) -> AmeideError:
    return Unreachable(
        f"{error.message}; whether it was done is not known",
        remedy=f'Call it again with client_request_id "{key}", which does it once',
    )


OFFERS = (
    _offer(
        "open_change",
        "Open a change of a repository, in your own name.",
        ["repository_id", "title"],
        {
            "repository_id": string("As list_repositories names it.", most=63, least=1),
            "title": string("What the change is about, in a few words.", most=200, least=1),
        },
        _open,
        output=_OPENED,
    ),
    _offer(
        "propose_artifact",
        "Write the first version of an artifact of a change, as a draft, in your own name.",
        ["change_id", "kind", "title"],
        {
            "change_id": string("As open_change answered.", most=63, least=1),
            "kind": choice("What it is.", KINDS),
            **CONTENT,
        },
        _propose,
    ),
    _offer(
        "revise_artifact",
        "Write the next version of an artifact, whole. The former one is superseded, and a gate that is open for it is"
        " voided.",
        ["artifact_id", "expected_number", "title"],
        {"artifact_id": _ARTIFACT, "expected_number": _SEEN, **CONTENT},
        _revise,
        destructive=True,
    ),
    _offer(
        "submit_artifact",
        "Submit a draft: from here people may approve it. You approve nothing by it.",
        ["artifact_id", "expected_number"],
        {"artifact_id": _ARTIFACT, "expected_number": _SEEN},
        _submit,
    ),
)
