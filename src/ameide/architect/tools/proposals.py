"""What a model may propose. Nothing happens by it: a person sees the command and consents, or does not."""

from __future__ import annotations

from typing import Any

from protobuf import Message

from ameide.architect import triage as triages
from ameide.architect.contents import check_content, check_revision
from ameide.architect.tools.arguments import Arguments, choice, schema, string, strings
from ameide.architect.tools.rendering import word
from ameide.architect.tools.tool import Grant, Instruction, Tool, ToolAnswer, ToolContext
from ameide.architect.tools.triage_form import TRIAGE, triage_of
from ameide.errors import InvalidArgument
from ameide.rpc.validation import violations_of
from ameide_core_proto.agent.transformation.v1.architect_service_pb import (
    AnalyzeInstruction,
    DraftInstruction,
    OpenChangeInstruction,
    StartInstruction,
    SubmitInstruction,
    TriageInstruction,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetArtifactRequest, GetRepositoryRequest
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import (
    Artifact,
    ArtifactContent,
    ArtifactKind,
    ChecklistItem,
)
from ameide_core_proto.transformation.work.v1.work_pb import WorkKind

_KINDS = {
    word(kind.name): kind for kind in (ArtifactKind.REQUIREMENT, ArtifactKind.DEV_BRIEF, ArtifactKind.GATE_CHECKLIST)
}
_WORKS = {"agent": WorkKind.AGENT_WORK, "tool": WorkKind.TOOL_RUN}
_TITLE = string("In a few words.", most=200, least=1)
_CODER = string("Default: the policy's.", most=63)


async def _open(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    if ctx.change_id:
        raise InvalidArgument(
            f"the conversation is about {ctx.change_id} already", remedy="Another change takes another conversation"
        )
    return _proposed(OpenChangeInstruction(title=arguments.text("title")))


async def _triage(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    _need_change(ctx)
    made = triage_of(arguments)
    triages.check(made, await policy_of(ctx))
    return _proposed(TriageInstruction(triage=made, title=arguments.text("title"), durable=arguments.flag("durable")))


async def _draft(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    _need_change(ctx)
    kind = _KINDS[arguments.text("kind")]
    content = ArtifactContent(
        title=arguments.text("title"),
        text=arguments.raw("text"),
        acceptance_criteria=arguments.texts("acceptance_criteria"),
        checklist=[
            ChecklistItem(gate=item.text("gate"), text=item.text("text")) for item in arguments.objects("checklist")
        ],
    )
    check_content(kind, content, None)
    if artifact_id := arguments.text("artifact_id"):
        check_revision(await artifact_of(ctx, artifact_id), kind, content)
    return _proposed(DraftInstruction(kind=kind, content=content, artifact_id=artifact_id, wish=arguments.text("wish")))


async def _submit(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    _need_change(ctx)
    if artifact_id := arguments.text("artifact_id"):
        await artifact_of(ctx, artifact_id)
    return _proposed(SubmitInstruction(artifact_id=artifact_id))


async def _analyze(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    _need_change(ctx)
    return _proposed(
        AnalyzeInstruction(
            question=arguments.text("question"),
            work_kind=_WORKS[arguments.text("by", "agent")],
            commit_sha=arguments.text("commit_sha"),
            coder=arguments.text("coder"),
        )
    )


async def _start(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    _need_change(ctx)
    if artifact_id := arguments.text("artifact_id"):
        await artifact_of(ctx, artifact_id)
    return _proposed(StartInstruction(coder=arguments.text("coder"), artifact_id=artifact_id))


async def policy_of(ctx: ToolContext) -> Policy | None:
    """The policy in force for the conversation's repository; None when it is about none."""
    if not ctx.repository_id:
        return None
    asked = GetRepositoryRequest(scope=ctx.scope, repository_id=ctx.repository_id)
    return (await ctx.clients.queries.get_repository(asked)).policy


def _need_change(ctx: ToolContext) -> None:
    if not ctx.change_id:
        raise InvalidArgument(
            "the conversation is about no change yet", field="change_id", remedy="Propose open_change first"
        )


async def artifact_of(ctx: ToolContext, artifact_id: str) -> Artifact:
    """An artifact of the conversation's change. Raises `NotFound`, and `InvalidArgument` for one of another change."""
    answer = await ctx.clients.queries.get_artifact(
        GetArtifactRequest(scope=ctx.scope, min_position=ctx.min_position, artifact_id=artifact_id)
    )
    artifact = answer.artifact or Artifact()
    if artifact.change_id != ctx.change_id:
        raise InvalidArgument(
            f"{artifact_id} is of the change {artifact.change_id}",
            field="artifact_id",
            remedy="list_artifacts names them",
        )
    return artifact


def _proposed(instruction: Instruction) -> ToolAnswer:
    message: Message[Any] = instruction
    if broken := violations_of(message):
        raise InvalidArgument("; ".join(f"{one.field}: {one.what}. {one.remedy}" for one in broken[:8]))
    return ToolAnswer(
        proposal=instruction, notes=("proposed; the person is shown it and consents or declines. Nothing happened yet",)
    )


_ITEM: dict[str, object] = schema(
    ["gate", "text"],
    gate=choice("At which gate.", triages.GATES.values()),
    text=string("One thing to look at.", most=500, least=1),
)
TOOLS = (
    Tool(
        "open_change",
        "Propose to open a change in the conversation's repository.",
        schema(["title"], title=_TITLE),
        _open,
        Grant.PROPOSE,
    ),
    Tool(
        "propose_triage",
        "Propose to keep a triage of the change: what it comes to before anybody works on it.",
        schema(["title", "in_scope", "primitives", "size"], title=_TITLE, **TRIAGE),
        _triage,
        Grant.PROPOSE,
    ),
    Tool(
        "propose_draft",
        "Propose a requirement, a dev brief or a gate checklist, or with artifact_id its next version.",
        schema(
            ["kind", "title"],
            kind=choice("Of a requirement the criteria are numbered by their order.", _KINDS),
            title=_TITLE,
            text=string("What it says, in Markdown.", most=4096),
            acceptance_criteria=strings("Of a requirement: how one can tell that it is done.", items=50, most=1000),
            checklist={"type": "array", "items": _ITEM, "maxItems": 50, "description": "Of a gate checklist."},
            artifact_id=string("The artifact whose next version it is.", most=63),
            wish=string("What the person asked for, in their words.", most=4096),
        ),
        _draft,
        Grant.PROPOSE,
    ),
    Tool(
        "submit_artifact",
        "Propose to submit a requirement for approval.",
        schema(artifact_id=string("Default: the newest requirement of the change.", most=63)),
        _submit,
        Grant.PROPOSE,
    ),
    Tool(
        "request_analysis",
        "Propose read-only work on the repository by an executor, whose answer comes as evidence. For what reading"
        " files here cannot answer.",
        schema(
            ["question"],
            question=string("What is to be found out.", most=4096, least=1),
            by=choice("agent: a model looks into it. tool: a report of the structure. Default: agent.", _WORKS),
            commit_sha=string("Default: the default branch's newest commit.", most=40, pattern="^([0-9a-f]{40})?$"),
            coder=_CODER,
        ),
        _analyze,
        Grant.PROPOSE,
    ),
    Tool(
        "start_run",
        "Propose to start a run of the change with its submitted requirement.",
        schema(coder=_CODER, artifact_id=string("Default: the newest requirement of the change.", most=63)),
        _start,
        Grant.PROPOSE,
    ),
)
