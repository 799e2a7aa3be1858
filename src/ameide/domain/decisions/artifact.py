"""Artifacts: immutable versions with content hashes. Approval comes with the gate."""

from __future__ import annotations

from copy import deepcopy

from protobuf.wkt import Timestamp

from ameide.contracts.subjects import content_hash
from ameide.errors import Conflict, InvalidArgument, Refused
from ameide_core_proto.common.v1.metadata_pb import Actor, Scope
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import (
    Artifact,
    ArtifactContent,
    ArtifactKind,
    ArtifactStatus,
    ArtifactVersion,
    Provenance,
)
from ameide_core_proto.transformation.knowledge.v1.facts_pb import (
    ArtifactApproved,
    ArtifactProposed,
    ArtifactRejected,
    ArtifactRevised,
    ArtifactSubmitted,
)


def propose(
    artifact_id: str,
    change_id: str,
    kind: ArtifactKind,
    content: ArtifactContent,
    scope: Scope,
    actor: Actor,
    now: Timestamp,
    provenance: Provenance | None = None,
) -> ArtifactProposed:
    """A first version, as a draft. Raises InvalidArgument for what is no content of this kind."""
    need_agreement(kind, content)
    version = _version(1, content, actor, now, provenance)
    return ArtifactProposed(
        artifact=Artifact(
            scope=scope, artifact_id=artifact_id, change_id=change_id, kind=kind, current=version, version=1
        )
    )


def revise(
    artifact: Artifact,
    expected: int,
    content: ArtifactContent,
    actor: Actor,
    now: Timestamp,
    provenance: Provenance | None = None,
) -> ArtifactRevised:
    """A further version, as a draft. The former one keeps its bytes. Raises as `propose` does."""
    current = need_current(artifact, expected)
    need_agreement(artifact.kind, content)
    changed = _next(artifact)
    changed.current = _version(current.number + 1, content, actor, now, provenance)
    return ArtifactRevised(artifact=changed)


def superseded(artifact: Artifact) -> Artifact:
    """The state under which the former version is kept aside."""
    kept = deepcopy(artifact)
    assert kept.current is not None
    kept.current.status = ArtifactStatus.SUPERSEDED
    return kept


def submit(artifact: Artifact, expected: int) -> ArtifactSubmitted:
    """Draft to proposed."""
    current = need_current(artifact, expected)
    if current.status != ArtifactStatus.DRAFT:
        raise Refused(
            f"version {current.number} is {current.status.name.lower()}",
            remedy="Revise it to submit something new",
            reason="NOT_A_DRAFT",
        )
    return ArtifactSubmitted(artifact=_with_status(artifact, ArtifactStatus.PROPOSED))


def approve(artifact: Artifact, gate_id: str) -> ArtifactApproved:
    """By its gate."""
    return ArtifactApproved(artifact=_with_status(artifact, ArtifactStatus.APPROVED), gate_id=gate_id)


def reject(artifact: Artifact, gate_id: str) -> ArtifactRejected:
    """By its gate: back to drafting, a revision may follow."""
    return ArtifactRejected(artifact=_with_status(artifact, ArtifactStatus.REJECTED), gate_id=gate_id)


def need_current(artifact: Artifact, expected: int) -> ArtifactVersion:
    """The newest version. Raises Conflict when the author saw another number."""
    assert artifact.current is not None
    if artifact.current.number != expected:
        raise Conflict(
            f"the newest version is {artifact.current.number}",
            field="expected_number",
            remedy="Read it again, then decide",
            reason="STALE_VERSION",
        )
    return artifact.current


def need_agreement(kind: ArtifactKind, content: ArtifactContent) -> None:
    """Raises InvalidArgument unless the content has what its kind says it holds, and nothing of another kind."""
    name = kind.name.lower()
    if (content.triage is not None) != (kind == ArtifactKind.TRIAGE):
        raise _misfit("content.triage", name, missing=content.triage is None)
    if bool(content.checklist) != (kind == ArtifactKind.GATE_CHECKLIST):
        raise _misfit("content.checklist", name, missing=not content.checklist)
    if content.acceptance_criteria and kind in (ArtifactKind.TRIAGE, ArtifactKind.GATE_CHECKLIST):
        raise _misfit("content.acceptance_criteria", name, missing=False)


def _misfit(field: str, kind: str, *, missing: bool) -> InvalidArgument:
    if missing:
        return InvalidArgument(f"a {kind} needs it", field=field, remedy="Fill it in, or propose another kind")
    return InvalidArgument(f"a {kind} has none", field=field, remedy="Leave it out, or propose another kind")


def _version(
    number: int, content: ArtifactContent, actor: Actor, now: Timestamp, provenance: Provenance | None
) -> ArtifactVersion:
    return ArtifactVersion(
        number=number,
        content=content,
        content_hash=content_hash(content),
        status=ArtifactStatus.DRAFT,
        author=actor,
        created_at=now,
        provenance=provenance,
    )


def _next(artifact: Artifact) -> Artifact:
    changed = deepcopy(artifact)
    changed.version += 1
    return changed


def _with_status(artifact: Artifact, status: ArtifactStatus) -> Artifact:
    changed = _next(artifact)
    assert changed.current is not None
    changed.current.status = status
    return changed
