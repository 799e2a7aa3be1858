"""What an artifact of each kind holds, and nothing of another kind."""

import pytest
from protobuf.wkt import Timestamp

from ameide.contracts.subjects import content_hash
from ameide.domain.decisions.artifact import need_agreement, propose, revise
from ameide.errors import InvalidArgument
from ameide.rpc import validation
from ameide_core_proto.common.v1.metadata_pb import Actor, Scope
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import (
    ArtifactContent,
    ArtifactKind,
    ChangeSize,
    ChecklistItem,
    Primitive,
    Risk,
    RiskLevel,
    Triage,
)

TRIAGE = Triage(
    in_scope=["Canceling an open order"],
    risks=[Risk(text="Money is paid back twice", level=RiskLevel.HIGH, mitigation="A key for each refund")],
    primitives=[Primitive.DOMAIN],
    required_gates=["acceptance"],
    size=ChangeSize.SMALL,
)
CHECKLIST = [ChecklistItem(gate="acceptance", text="Is a refund made once?")]
WELL = {
    ArtifactKind.REQUIREMENT: ArtifactContent(title="Cancel", acceptance_criteria=["An open order can be canceled."]),
    ArtifactKind.TRIAGE: ArtifactContent(title="Cancel", triage=TRIAGE),
    ArtifactKind.DEV_BRIEF: ArtifactContent(title="Cancel", text="Begin with the aggregate."),
    ArtifactKind.GATE_CHECKLIST: ArtifactContent(title="Cancel", checklist=CHECKLIST),
}


@pytest.mark.parametrize("kind", WELL)
def test_what_its_kind_holds_is_taken(kind: ArtifactKind):
    need_agreement(kind, WELL[kind])
    validation.check(WELL[kind])


@pytest.mark.parametrize(
    ("kind", "content", "field"),
    [
        (ArtifactKind.TRIAGE, ArtifactContent(title="x", text="words alone"), "content.triage"),
        (ArtifactKind.TRIAGE, ArtifactContent(title="x", triage=TRIAGE, checklist=CHECKLIST), "content.checklist"),
        (
            ArtifactKind.TRIAGE,
            ArtifactContent(title="x", triage=TRIAGE, acceptance_criteria=["One"]),
            "content.acceptance_criteria",
        ),
        (ArtifactKind.REQUIREMENT, ArtifactContent(title="x", triage=TRIAGE), "content.triage"),
        (ArtifactKind.REQUIREMENT, ArtifactContent(title="x", checklist=CHECKLIST), "content.checklist"),
        (ArtifactKind.DEV_BRIEF, ArtifactContent(title="x", triage=TRIAGE), "content.triage"),
        (ArtifactKind.GATE_CHECKLIST, ArtifactContent(title="x"), "content.checklist"),
    ],
)
def test_what_does_not_agree_is_named_with_what_to_do(kind: ArtifactKind, content: ArtifactContent, field: str):
    for say in (
        lambda: propose("art-1", "chg-1", kind, content, Scope(), Actor(), Timestamp()),
        lambda: revise(_drafted(kind), 1, content, Actor(), Timestamp()),
    ):
        with pytest.raises(InvalidArgument) as refused:
            say()
        assert (refused.value.field, bool(refused.value.remedy)) == (field, True)


def _drafted(kind: ArtifactKind):
    artifact = propose("art-1", "chg-1", kind, WELL[kind], Scope(), Actor(), Timestamp()).artifact
    assert artifact is not None
    return artifact


def test_the_hash_binds_what_the_kind_holds():
    other = ArtifactContent.from_binary(WELL[ArtifactKind.TRIAGE].to_binary())
    assert content_hash(other) == content_hash(WELL[ArtifactKind.TRIAGE])
    assert other.triage is not None
    other.triage.required_gates = []
    assert content_hash(other) != content_hash(WELL[ArtifactKind.TRIAGE])
    items = ArtifactContent.from_binary(WELL[ArtifactKind.GATE_CHECKLIST].to_binary())
    items.checklist[0].gate = "promotion"
    assert content_hash(items) != content_hash(WELL[ArtifactKind.GATE_CHECKLIST])


def test_a_requirement_has_the_hash_that_it_always_had():
    assert content_hash(ArtifactContent(title="cancel", text="An order.", acceptance_criteria=["1"])) == (
        "e1639d15c16a5c4163de98131fbf382d7d643e82d1536aa242fbe0c18c96b5a0"
    )
