"""Artifacts: requirements, triages, dev briefs and checklists, version by version."""

from __future__ import annotations

from ameide.architect.tools.arguments import PAGE, Arguments, integer, schema, string
from ameide.architect.tools.citing import Cited, change_of, page
from ameide.architect.tools.rendering import facts, moment, who, word
from ameide.architect.tools.tool import Tool, ToolAnswer, ToolContext
from ameide_core_proto.common.v1.reading_pb import CitationKind
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetArtifactRequest, ListArtifactsRequest
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact, ArtifactContent, Triage


async def _list(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    change_id = change_of(ctx, arguments.text("change_id"))
    answer = await ctx.clients.queries.list_artifacts(
        ListArtifactsRequest(
            scope=ctx.scope,
            min_position=ctx.min_position,
            page=page(arguments.text("page")),
            change_id=change_id,
            repository_id="" if change_id else arguments.text("repository_id", ctx.repository_id),
        )
    )
    cited = Cited(answer.read_context, answer.citations)
    for artifact in answer.artifacts:
        add_artifact(cited, artifact, whole=False)
    return cited.answer(answer.next_page_token, empty="any artifact")


async def _get(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    answer = await ctx.clients.queries.get_artifact(
        GetArtifactRequest(
            scope=ctx.scope,
            min_position=ctx.min_position,
            artifact_id=arguments.text("artifact_id"),
            number=arguments.number("number"),
        )
    )
    cited = Cited(answer.read_context, answer.citations)
    if answer.artifact is not None:
        add_artifact(cited, answer.artifact, whole=True)
    return cited.answer()


def add_artifact(cited: Cited, artifact: Artifact, *, whole: bool) -> None:
    """The record of the version that an artifact shows: with its title, or with all of its words."""
    version = artifact.current
    if version is None:
        return
    content = version.content or ArtifactContent()
    written_by = version.provenance.model if version.provenance else ""
    head = facts(
        ("status", word(version.status.name)),
        ("change", artifact.change_id),
        ("author", who(version.author)),
        ("written by model", written_by),
        ("at", moment(version.created_at)),
        ("source", content.source),
        ("content hash", version.content_hash if whole else ""),
    )
    ref = f"{artifact.artifact_id}@{version.number}"
    cited.add(
        CitationKind.ARTIFACT_VERSION,
        ref,
        f"{word(artifact.kind.name)} {ref}",
        f"{head}\n{content_text(content) if whole else content.title}",
        cited.position_of(f"artifact:{artifact.artifact_id}"),
        untrusted=ref,
    )


def content_text(content: ArtifactContent) -> str:
    """An artifact's words, criteria and items numbered, as people and models read them; also what diffs compare."""
    lines = [f"# {content.title}", ""]
    if content.text:
        lines += [content.text.strip(), ""]
    if content.acceptance_criteria:
        lines += ["Acceptance criteria:"]
        lines += [f"{number}. {text}" for number, text in enumerate(content.acceptance_criteria, 1)]
    if content.triage is not None:
        lines += _triage(content.triage)
    gate = ""
    for item in content.checklist:
        if item.gate != gate:
            lines += [f"At {item.gate}:"]
            gate = item.gate
        lines += [f"- {item.text}"]
    return "\n".join(lines).rstrip() + "\n"


def _triage(triage: Triage) -> list[str]:
    risks = [
        f"{word(risk.level.name)}: {risk.text}" + (f" ({risk.mitigation})" if risk.mitigation else "")
        for risk in triage.risks
    ]
    parts = (
        ("In scope", triage.in_scope),
        ("Out of scope", triage.out_of_scope),
        ("Risks", risks),
        ("Primitives", [word(primitive.name) for primitive in triage.primitives]),
        ("Gates", triage.required_gates),
        ("Open questions", triage.open_questions),
        ("Size", [word(triage.size.name)]),
        ("Deep analysis", [triage.analysis_question or "yes"] if triage.deep_analysis else []),
    )
    return [line for name, items in parts if items for line in (f"{name}:", *(f"- {item}" for item in items))]


TOOLS = (
    Tool(
        "list_artifacts",
        "Requirements, triages, dev briefs and gate checklists, newest first: titles and status.",
        schema(
            change_id=string("Default: the conversation's.", most=63),
            repository_id=string("Without a change: those of a repository.", most=63),
            page=PAGE,
        ),
        _list,
    ),
    Tool(
        "get_artifact",
        "One version of an artifact with all of its words.",
        schema(
            ["artifact_id"],
            artifact_id=string("Such as art-….", most=63, least=1),
            number=integer("Default: the newest version."),
        ),
        _get,
    ),
)
