"""What another agent writes, checked as the Architect agent's own is before a person is asked about it."""

from __future__ import annotations

from ameide.architect.contents import check_content
from ameide.architect.effects import shown
from ameide.architect.mcp.visit import Visit
from ameide.errors import NotFound, PermissionDenied
from ameide.rpc import scopes
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.governance.v1.query_service_pb import (
    GetArtifactRequest,
    GetChangeRequest,
    GetRepositoryRequest,
)
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactContent, ArtifactKind


async def check_new(visit: Visit, change_id: str, kind: ArtifactKind, content: ArtifactContent) -> None:
    """Raises InvalidArgument that names the field and the remedy, NotFound for a triage of a change that is not there.

    A token that may not read is not told what the policy demands: then a triage is checked without it.
    """
    policy = await _policy_of(visit, change_id) if kind == ArtifactKind.TRIAGE else None
    check_content(kind, content, policy)


async def check_next(visit: Visit, artifact_id: str, content: ArtifactContent) -> None:
    """The same, for the next version of a triage; what others need, the Domain says, which knows their kind."""
    if content.triage is not None:
        change_id = await _change_of(visit, artifact_id)
        policy = await _policy_of(visit, change_id) if change_id else None
        check_content(ArtifactKind.TRIAGE, content, policy)


async def _change_of(visit: Visit, artifact_id: str) -> str:
    async def look() -> str | None:
        try:
            asked = GetArtifactRequest(scope=visit.scope, artifact_id=artifact_id)
            artifact = (await visit.clients.queries.get_artifact(asked)).artifact
        except NotFound:
            return None
        except PermissionDenied as error:
            return _unread(error)
        return artifact.change_id if artifact else None

    return await shown(look, artifact_id)


async def _policy_of(visit: Visit, change_id: str) -> Policy | None:
    async def look() -> str | None:
        try:
            asked = GetChangeRequest(scope=visit.scope, change_id=change_id)
            summary = (await visit.clients.queries.get_change(asked)).summary
        except NotFound:
            return None
        except PermissionDenied as error:
            return _unread(error)
        return summary.change.repository_id if summary and summary.change else None

    # The change may have been opened a moment ago.
    if not (repository_id := await shown(look, change_id)):
        return None
    found = await visit.clients.queries.get_repository(
        GetRepositoryRequest(scope=visit.scope, repository_id=repository_id)
    )
    return found.policy


def _unread(error: PermissionDenied) -> str:
    if error.reason != scopes.REASON:
        raise error
    return ""
