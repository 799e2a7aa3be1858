"""What the messages don't say: ids, routing, digests, hashes, envelopes."""

import pytest

from ameide.contracts import facts, ids, routing, subjects, topics
from ameide.contracts.image_ref import ImageRef
from ameide.errors import InvalidArgument
from ameide_core_proto.common.v1.metadata_pb import AggregateRef, MessageMetadata
from ameide_core_proto.transformation.governance.v1.facts_pb import GateOpened
from ameide_core_proto.transformation.governance.v1.governance_pb import Gate, GateSubject
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, Finding, FindingClass, WorkKind

DIGEST = f"sha256:{'d' * 64}"


@pytest.mark.parametrize("text", [f"local/orders@{DIGEST}", f"host:5000/a/b:{'c' * 40}@{DIGEST}"])
def test_a_digest_is_an_image_reference(text: str) -> None:
    assert str(ImageRef.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["orders:latest", f"orders:latest@{DIGEST}", f"orders:v1@{DIGEST}", f"orders@{DIGEST[:-1]}", "", DIGEST]
)
def test_everything_that_floats_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="floating tag is refused"):
        ImageRef.parse(text)


def test_ids_are_ordered_by_time_and_process_ids_by_content() -> None:
    assert ids.uuid7().version == 7
    assert ids.process_message_id("r2r/t/c/1", 0, 1) == ids.process_message_id("r2r/t/c/1", 0, 1)
    assert ids.process_message_id("r2r/t/c/1", 0, 1) != ids.process_message_id("r2r/t/c/1", 1, 1)
    assert ids.parse_process_instance_id("r2r/default/chg-1/12") == ("default", "chg-1", 12)
    assert ids.parse_process_instance_id("r2r/default/chg-1/0") is None


def test_every_routed_work_has_a_queue_of_the_contract() -> None:
    assert routing.route(WorkKind.AGENT_WORK, ActionKind.PUBLISH) == topics.QUEUE_CODER
    assert routing.route(WorkKind.TOOL_RUN, ActionKind.PUBLISH) == topics.QUEUE_PUBLISH
    assert routing.route(WorkKind.TOOL_RUN, ActionKind.VERIFY, "ui_smoke") == topics.QUEUE_VERIFY_UI
    with pytest.raises(InvalidArgument, match="action_kind"):
        routing.route(WorkKind.AGENT_WORK, ActionKind.MERGE)
    with pytest.raises(InvalidArgument, match="action_kind"):
        routing.route(WorkKind.AGENT_WORK, ActionKind.VERIFY, "ui")


def test_a_subject_hash_covers_what_its_kind_binds_and_nothing_else() -> None:
    base = GateSubject(commit_sha="a" * 40, diff_hash="b" * 64)
    other = GateSubject(commit_sha="a" * 40, diff_hash="b" * 64, environment="dev")
    finding = Finding(class_=FindingClass.POLICY_VIOLATION, id="tests/test_a.py::test_b")
    weaker = GateSubject(commit_sha="a" * 40, diff_hash="b" * 64, findings=[finding])
    same = subjects.subject_hash(GateKind.ACCEPTANCE, base)
    assert subjects.subject_hash(GateKind.ACCEPTANCE, other) == same
    assert subjects.subject_hash(GateKind.ACCEPTANCE, weaker) != same
    assert subjects.subject_hash(GateKind.READY_TO_RELEASE, base) != same


def test_every_fact_travels_in_its_aggregator() -> None:
    for name, (topic, field) in facts.FACT_FIELDS.items():
        assert topic in topics.FACT_TOPICS, name
        assert field.replace("_", "") == name.lower()
    wrapped = facts.wrap(
        GateOpened(gate=Gate(gate_id="gat-1")), MessageMetadata(message_id="m"), AggregateRef(type="gate", id="gat-1")
    )
    opened = facts.open_payload(topics.GOVERNANCE_FACTS, wrapped.to_binary())
    assert (opened.name, opened.metadata.message_id) == ("GateOpened", "m")
    assert opened.aggregate is not None
    assert opened.aggregate.id == "gat-1"


def test_an_unknown_case_opens_without_a_fact() -> None:
    # Field 99 of the oneof's message: a fact of a later version.
    opened = facts.open_payload(topics.GOVERNANCE_FACTS, b"\x9a\x06\x00")
    assert (opened.name, opened.fact) == ("unknown", None)
