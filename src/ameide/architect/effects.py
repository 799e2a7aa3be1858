"""What an instruction comes to: one command after the other, each fixed to the byte before anybody is asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from ameide.architect.state import Errand, State, Talk
from ameide.architect.tools.tool import ToolAnswer, ToolContext
from ameide.architect.turn import Course
from ameide.architect.unaided.drafting import draft, triage_of
from ameide.errors import InvalidArgument, LimitReached, NotFound, Refused, Unreachable
from ameide_core_proto.agent.transformation.v1.architect_service_pb import (
    AnalyzeInstruction,
    ConverseRequest,
    Drafted,
    DraftInstruction,
    Effected,
    OpenChangeInstruction,
    StartInstruction,
    SubmitInstruction,
    TriageInstruction,
)
from ameide_core_proto.transformation.governance.v1.command_service_pb import OpenChangeRequest, StartRunRequest
from ameide_core_proto.transformation.governance.v1.governance_pb import ConsentAction, Repository, RunKind
from ameide_core_proto.transformation.governance.v1.query_service_pb import (
    GetArtifactRequest,
    GetChangeRequest,
    GetRepositoryRequest,
    ListArtifactsRequest,
)
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact, ArtifactKind, Provenance
from ameide_core_proto.transformation.knowledge.v1.command_service_pb import (
    ProposeArtifactRequest,
    ReviseArtifactRequest,
    SubmitArtifactRequest,
)
from ameide_core_proto.transformation.work.v1.command_service_pb import RequestWorkRequest
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, WorkInputs

Command = (
    OpenChangeRequest
    | ProposeArtifactRequest
    | ReviseArtifactRequest
    | SubmitArtifactRequest
    | RequestWorkRequest
    | StartRunRequest
)
COMMANDS: dict[ConsentAction, type[Command]] = {
    ConsentAction.OPEN_CHANGE: OpenChangeRequest,
    ConsentAction.PROPOSE_ARTIFACT: ProposeArtifactRequest,
    ConsentAction.REVISE_ARTIFACT: ReviseArtifactRequest,
    ConsentAction.SUBMIT_ARTIFACT: SubmitArtifactRequest,
    ConsentAction.REQUEST_WORK: RequestWorkRequest,
    ConsentAction.START_RUN: StartRunRequest,
}
# How long the read model may take to show what this conversation has just written.
_LAG_SECONDS, _LOOK_SECONDS = 10.0, 0.05
_TITLE = 200
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Next:
    """The next command of an errand, what the person is told of it, and what was read for it."""

    action: ConsentAction
    summary: str
    command: Command
    drafted: Drafted | None = None
    calls: list[tuple[str, ToolAnswer]] = field(default_factory=list[tuple[str, ToolAnswer]])


async def following(course: Course, state: State, errand: Errand) -> Next | None:
    """The command that comes next; None when the errand is done. Reads only.

    Raises InvalidArgument and the like for what cannot be done, each with its remedy.
    """
    wish = ConverseRequest.from_binary(errand["instruction"]).instruction
    assert wish is not None
    talk, value = state["talk"], wish.value
    opened = ConsentAction.OPEN_CHANGE in errand["done"]
    if len(errand["done"]) > opened or (opened and wish.field == "open_change"):
        return None
    context = course.reading(state)
    if opened:
        await _seen_change(course, talk["change_id"])
    if wish.field == "open_change" or (not talk["change_id"] and not isinstance(value, AnalyzeInstruction)):
        return _open(course, talk, wish.field, _title(wish.value))
    if isinstance(value, TriageInstruction):
        return await _triage(context, talk, value, _provenance(talk, errand))
    if isinstance(value, DraftInstruction):
        return await _draft(course, context, talk, value, _provenance(talk, errand))
    if isinstance(value, SubmitInstruction):
        artifact, number = await _requirement(course, talk, value.artifact_id)
        return Next(
            ConsentAction.SUBMIT_ARTIFACT,
            f"Submit {artifact.artifact_id} version {number}, so that a gate may approve it",
            SubmitArtifactRequest(artifact_id=artifact.artifact_id, expected_number=number),
        )
    if isinstance(value, AnalyzeInstruction):
        return await _analyze(course, talk, value)
    assert isinstance(value, StartInstruction)
    artifact, number = await _requirement(course, talk, value.artifact_id)
    return Next(
        ConsentAction.START_RUN,
        f"Start a run of {talk['change_id']} for {artifact.artifact_id} version {number}"
        + (f" by {value.coder}" if value.coder else ""),
        StartRunRequest(
            change_id=talk["change_id"],
            coder=value.coder,
            artifact_id=artifact.artifact_id,
            expected_number=number,
            conversation_id=talk["conversation_id"],
        ),
    )


async def seen(course: Course, talk: Talk, artifact_id: str) -> Artifact:
    """An artifact, as new as this conversation made it: the read model may be a moment behind."""
    wanted = talk["versions"].get(artifact_id, 0)

    async def look() -> Artifact | None:
        try:
            answer = await course.clients.queries.get_artifact(
                GetArtifactRequest(scope=course.scope, artifact_id=artifact_id)
            )
        except NotFound:
            if not wanted:
                raise
            return None
        artifact = answer.artifact or Artifact()
        return artifact if artifact.version >= wanted else None

    return await shown(look, artifact_id)


async def caught_up(course: Course, talk: Talk, errand: Errand) -> None:
    """Wait until the read model shows what the errand came to, so that whoever looks next finds it; not for ever."""
    with contextlib.suppress(NotFound):
        for effect in errand["effects"]:
            effected = Effected.from_binary(effect)
            if effected.artifact_ref:
                await seen(course, talk, effected.artifact_ref.partition("@")[0])
            elif effected.change_id:
                await _seen_change(course, effected.change_id, effected.process_instance_id)


async def _seen_change(course: Course, change_id: str, run_id: str = "") -> None:
    """The change, and the run if one is named: before that the newest one is another, which may have ended."""

    async def look() -> bool | None:
        asked = GetChangeRequest(scope=course.scope, change_id=change_id)
        try:
            runs = (await course.clients.queries.get_change(asked)).runs
        except NotFound:
            return None
        return True if not run_id or any(run.process_instance_id == run_id for run in runs) else None

    await shown(look, change_id)


async def shown(look: Callable[[], Awaitable[T | None]], what: str) -> T:
    """What a look at the read model comes to, which may be a moment behind. Raises NotFound when it stays so."""
    try:
        async with asyncio.timeout(_LAG_SECONDS):
            while True:
                if (found := await look()) is not None:
                    return found
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError as error:
        raise NotFound(
            f"the read model does not show {what} yet", remedy="Try again; `ameide status` tells how far it is"
        ) from error


def _open(course: Course, talk: Talk, asked: str, title: str) -> Next:
    if talk["change_id"]:
        raise InvalidArgument(
            f"the conversation is about {talk['change_id']} already",
            field="open_change",
            remedy="Begin another conversation for another change",
        )
    if asked in ("submit", "start"):
        raise InvalidArgument(
            "the conversation is about no change yet",
            field="change_id",
            remedy="Begin it about a change, or open one and propose a requirement",
        )
    if not talk["repository_id"]:
        raise InvalidArgument(
            "the conversation is about no repository, and a change needs one",
            field="repository_id",
            remedy="Begin a conversation about a repository",
        )
    if not title:
        raise InvalidArgument("a change needs a title", field="wish", remedy="Say in a few words what it is about")
    return Next(
        ConsentAction.OPEN_CHANGE,
        f"Open a change on {talk['repository_id']}: {title}",
        OpenChangeRequest(
            repository_id=talk["repository_id"],
            title=course.agent.redact(title),
            conversation_id=talk["conversation_id"],
        ),
    )


def _title(wish: object) -> str:
    """What a change that this wish needs is called."""
    if isinstance(wish, DraftInstruction):
        told = wish.content.title if wish.content is not None else wish.wish
    else:
        told = wish.title if isinstance(wish, TriageInstruction | OpenChangeInstruction) else ""
    return " ".join(told.split())[:_TITLE].strip()


async def _triage(context: ToolContext, talk: Talk, wish: TriageInstruction, provenance: Provenance) -> Next:
    content = await triage_of(context, wish)
    drafted = Drafted(kind=ArtifactKind.TRIAGE, content=content)
    if wish.durable:
        return Next(
            ConsentAction.START_RUN,
            f"Start a triage run of {talk['change_id']}, which keeps this triage: {content.title}",
            StartRunRequest(
                change_id=talk["change_id"],
                kind=RunKind.TRIAGE,
                triage=content,
                conversation_id=talk["conversation_id"],
                provenance=provenance,
            ),
            drafted,
        )
    return Next(
        ConsentAction.PROPOSE_ARTIFACT,
        f"Keep this triage in {talk['change_id']}: {content.title}",
        ProposeArtifactRequest(
            change_id=talk["change_id"], kind=ArtifactKind.TRIAGE, content=content, provenance=provenance
        ),
        drafted,
    )


async def _draft(
    course: Course, context: ToolContext, talk: Talk, wish: DraftInstruction, provenance: Provenance
) -> Next:
    if wish.artifact_id:
        await seen(course, talk, wish.artifact_id)
    made = await draft(context, wish)
    drafted, content = made.drafted, made.drafted.content
    assert content is not None
    kind = wish.kind.name.lower().replace("_", " ")
    if wish.artifact_id:
        return Next(
            ConsentAction.REVISE_ARTIFACT,
            f"Make this version {drafted.against_number + 1} of {wish.artifact_id}: {content.title}",
            ReviseArtifactRequest(
                artifact_id=wish.artifact_id,
                expected_number=drafted.against_number,
                content=content,
                provenance=provenance,
            ),
            drafted,
            list(made.calls),
        )
    return Next(
        ConsentAction.PROPOSE_ARTIFACT,
        f"Propose this {kind} in {talk['change_id']}: {content.title}",
        ProposeArtifactRequest(change_id=talk["change_id"], kind=wish.kind, content=content, provenance=provenance),
        drafted,
        list(made.calls),
    )


async def _analyze(course: Course, talk: Talk, wish: AnalyzeInstruction) -> Next:
    if not talk["repository_id"]:
        raise InvalidArgument(
            "the conversation is about no repository",
            field="repository_id",
            remedy="Begin a conversation about a repository or a change",
        )
    found = await course.clients.queries.get_repository(
        GetRepositoryRequest(scope=course.scope, repository_id=talk["repository_id"])
    )
    assert found.repository is not None
    commit = wish.commit_sha or await _head(course, found.repository)
    by = "an agent" if wish.work_kind.name == "AGENT_WORK" else "a tool"
    return Next(
        ConsentAction.REQUEST_WORK,
        f"Have {talk['repository_id']} analyzed at {commit[:12]} by {by}, read-only: {wish.question}",
        RequestWorkRequest(
            change_id=talk["change_id"],
            work_kind=wish.work_kind,
            action_kind=ActionKind.ANALYZE,
            repository_id=talk["repository_id"],
            base_sha=commit,
            commit_sha=commit,
            coder=wish.coder,
            inputs=WorkInputs(question=wish.question, change_id=talk["change_id"]),
            summary=wish.question,
        ),
    )


async def _head(course: Course, repository: Repository) -> str:
    """The commit to look at. A remote that does not answer is told to who asked: the turn itself can go on."""
    try:
        return await course.agent.repositories.head(repository)
    except (Unreachable, LimitReached) as error:
        raise Refused(error.message, field=error.field, remedy=error.remedy, reason=error.reason) from error


async def _requirement(course: Course, talk: Talk, artifact_id: str) -> tuple[Artifact, int]:
    """The requirement that is meant, and its newest version: the one named, else the newest of the change."""
    if artifact_id or (artifact_id := talk["requirement"]):
        return _newest(await seen(course, talk, artifact_id))
    answer = await course.clients.queries.list_artifacts(
        ListArtifactsRequest(scope=course.scope, change_id=talk["change_id"])
    )
    found = [artifact for artifact in answer.artifacts if artifact.kind == ArtifactKind.REQUIREMENT]
    if not found:
        raise NotFound(f"{talk['change_id']} has no requirement", remedy="Draft one first: `/draft requirement`")
    return _newest(found[0])


def _newest(artifact: Artifact) -> tuple[Artifact, int]:
    return artifact, artifact.current.number if artifact.current else 1


async def subject_of(course: Course, talk: Talk) -> Talk:
    """The conversation with the repository of its change, which tools and commands take for granted."""
    if talk["repository_id"] or not talk["change_id"]:
        return talk
    found = await course.clients.queries.get_change(GetChangeRequest(scope=course.scope, change_id=talk["change_id"]))
    change = found.summary.change if found.summary else None
    return {**talk, "repository_id": change.repository_id if change else ""}


def _provenance(talk: Talk, errand: Errand) -> Provenance:
    """Whose words a version holds: those of the model that asked for it, else the person's or a template's."""
    return Provenance(conversation_id=talk["conversation_id"], model=errand.get("model", ""))
