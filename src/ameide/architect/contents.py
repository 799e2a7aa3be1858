"""Whether an artifact's content is what its kind needs, before anybody is asked for a consent to it."""

from __future__ import annotations

from ameide.architect import triage as triages
from ameide.errors import InvalidArgument
from ameide.rpc.validation import violations_of
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact, ArtifactContent, ArtifactKind


def check_content(kind: ArtifactKind, content: ArtifactContent, policy: Policy | None) -> None:
    """Raises `InvalidArgument` that names the field and what the kind needs there."""
    if broken := violations_of(content):
        raise InvalidArgument("; ".join(f"{one.field}: {one.what}. {one.remedy}" for one in broken[:8]))
    if kind == ArtifactKind.TRIAGE:
        if content.triage is None:
            raise InvalidArgument("a triage has none", field="triage", remedy="Fill in the form")
        triages.check(content.triage, policy)
    elif content.triage is not None:
        raise InvalidArgument("is of a triage", field="triage", remedy="Leave it out, or change the kind")
    if kind == ArtifactKind.GATE_CHECKLIST and not content.checklist:
        raise InvalidArgument("a gate checklist has no item", field="checklist", remedy="Give items, each with a gate")
    if kind != ArtifactKind.GATE_CHECKLIST and content.checklist:
        raise InvalidArgument("is of a gate checklist", field="checklist", remedy="Leave it out, or change the kind")
    if kind == ArtifactKind.REQUIREMENT and not content.acceptance_criteria:
        raise InvalidArgument("a requirement has none", field="acceptance_criteria", remedy="Say how one can tell")
    if kind in (ArtifactKind.TRIAGE, ArtifactKind.GATE_CHECKLIST) and content.acceptance_criteria:
        raise InvalidArgument("are of a requirement", field="acceptance_criteria", remedy="Leave them out")


def check_revision(artifact: Artifact, kind: ArtifactKind, content: ArtifactContent) -> None:
    """Raises `InvalidArgument` for another kind than the artifact has, and for what its newest version says already."""
    if artifact.kind != kind:
        raise InvalidArgument(
            f"is a {artifact.kind.name.lower()}", field="artifact_id", remedy="Name one of the same kind"
        )
    if artifact.current and artifact.current.content == content:
        raise InvalidArgument(
            f"is what version {artifact.current.number} says already", field="content", remedy="Change something"
        )
