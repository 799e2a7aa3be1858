"""What a draft stands on: the policy, what the change has already, and lines of files that the wish has to do with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ameide.architect.records import Record
from ameide.architect.tools.proposals import policy_of
from ameide.architect.tools.registry import call
from ameide.architect.tools.tool import ToolAnswer, ToolContext
from ameide.architect.unaided.ranking import ranked
from ameide.architect.unaided.terms import searchable, terms_of
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetChangeRequest
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactContent, ArtifactKind

_FILES, _SEARCHES = 5, 4


@dataclass(frozen=True, slots=True)
class Basis:
    """`contents` are the newest of each kind that the change has, `files` lines of the repository, best first.

    `calls` are what the tools said on the way, by their names: their records were read, and their marks count.
    """

    title: str = ""
    policy: Policy | None = None
    contents: dict[ArtifactKind, ArtifactContent] = field(default_factory=dict[ArtifactKind, ArtifactContent])
    files: Sequence[Record] = ()
    calls: Sequence[tuple[str, ToolAnswer]] = ()


async def gathered(ctx: ToolContext, wish: str) -> Basis:
    """The basis of a draft in this conversation. Raises the errors of the queries; files that cannot be read are left
    out, and the calls say why.
    """
    title, contents, calls = "", dict[ArtifactKind, ArtifactContent](), list[tuple[str, ToolAnswer]]()
    if ctx.change_id:
        change = await ctx.clients.queries.get_change(
            GetChangeRequest(scope=ctx.scope, min_position=ctx.min_position, change_id=ctx.change_id)
        )
        title = change.summary.change.title if change.summary and change.summary.change else ""
        # Oldest first: the newest of a kind stays.
        contents = {one.kind: one.current.content for one in change.artifacts if one.current and one.current.content}
        calls = [("get_change", await call(ctx, "get_change", {}))]
        calls += [
            ("get_artifact", await call(ctx, "get_artifact", {"artifact_id": one.artifact_id}))
            for one in {one.kind: one for one in change.artifacts}.values()
        ]
    policy = await policy_of(ctx)
    terms = terms_of(wish or title)
    for term in searchable(terms, _SEARCHES) if ctx.repository_id else ():
        calls.append(("search_files", await call(ctx, "search_files", {"text": term})))
    found = [(name, answer.records) for name, answer in calls if name == "search_files"]
    files = [one.record for one in ranked(terms, found, _FILES)]
    return Basis(title, policy, contents, files, calls)
