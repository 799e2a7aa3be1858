"""A version of an artifact as a person asked for it by form: theirs as it is, or made of what is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ameide.architect.contents import check_content, check_revision
from ameide.architect.tools.proposals import artifact_of, policy_of
from ameide.architect.tools.registry import call
from ameide.architect.tools.tool import ToolAnswer, ToolContext
from ameide.architect.unaided import templates
from ameide.architect.unaided.basis import gathered
from ameide.architect.unaided.revising import revised
from ameide.errors import InvalidArgument
from ameide_core_proto.agent.transformation.v1.architect_service_pb import (
    Drafted,
    DraftInstruction,
    TriageInstruction,
)
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactContent, ArtifactKind


@dataclass(frozen=True, slots=True)
class Draft:
    """What was drafted, and what was read for it, by the tools' names: its marks count."""

    drafted: Drafted
    calls: Sequence[tuple[str, ToolAnswer]] = ()


async def draft(ctx: ToolContext, instruction: DraftInstruction) -> Draft:
    """A first or a next version. Content that was given is kept as it is; else a template is filled in, or the wish is
    done line by line.

    Raises `InvalidArgument` for what cannot be drafted so, `NotFound` for an artifact that is not there.
    """
    kind, content, wish = instruction.kind, instruction.content, instruction.wish
    if not instruction.artifact_id:
        calls: Sequence[tuple[str, ToolAnswer]] = ()
        if content is None:
            basis = await gathered(ctx, wish)
            content, calls = templates.drafted(kind, wish, basis), basis.calls
        check_content(kind, content, await policy_of(ctx))
        return Draft(Drafted(kind=kind, content=content), calls)
    read = await call(ctx, "get_artifact", {"artifact_id": instruction.artifact_id})
    artifact = await artifact_of(ctx, instruction.artifact_id)
    current = artifact.current
    if current is None or current.content is None:
        raise InvalidArgument("has no version yet", field="artifact_id", remedy="Draft it without one")
    content = revised(current.content, wish) if content is None else content
    check_revision(artifact, kind, content)
    check_content(kind, content, await policy_of(ctx))
    changed = templates.diff(current.content, content, current.number)
    made = Drafted(
        kind=kind,
        content=content,
        artifact_id=instruction.artifact_id,
        against_number=current.number,
        diff=changed,
    )
    return Draft(made, [("get_artifact", read)])


async def triage_of(ctx: ToolContext, instruction: TriageInstruction) -> ArtifactContent:
    """The content of a triage that a person filled in. Raises `InvalidArgument` for one that does not hold together."""
    content = ArtifactContent(title=instruction.title, triage=instruction.triage)
    check_content(ArtifactKind.TRIAGE, content, await policy_of(ctx))
    return content
