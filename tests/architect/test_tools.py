"""Tools over the query services: what they say is what was recorded, and each record has the key it is cited by."""

from __future__ import annotations

import pytest

from ameide.architect.records import Ledger
from ameide.architect.tools.registry import TOOLS, granted
from ameide.architect.tools.rendering import for_model
from ameide_core_proto.common.v1.reading_pb import CitationKind
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetFactRequest
from ameide_core_proto.transformation.work.v1.query_service_pb import GetEvidenceRequest
from tests.architect.reading import Desk, NoEvidence, desk, only
from tests.views.readers import Readers
from tests.views.story import Story, told


@pytest.fixture(scope="module")
async def story(readers: Readers) -> Story:
    """What happened."""
    return await told(readers)


@pytest.fixture
async def viewer(story: Story) -> Desk:
    """Somebody who may read."""
    return desk(await story.readers.reader())


async def test_a_change_is_told_with_the_fact_that_it_rests_on(story: Story, viewer: Desk) -> None:
    record = only(await viewer.call("list_changes"))
    assert story.change_id in record.label
    assert record.citation.kind == CitationKind.DOMAIN_FACT
    fact = await viewer.ctx.clients.queries.get_fact(GetFactRequest(message_id=record.citation.ref))
    assert fact.entry is not None
    assert fact.entry.aggregate is not None
    assert fact.entry.aggregate.id == story.change_id
    assert fact.entry.log_position == record.log_position


async def test_each_gate_is_cited_by_its_own_fact(story: Story, viewer: Desk) -> None:
    answer = await viewer.call("list_gates", change_id=story.change_id)
    by_gate = {record.label.split()[1]: record for record in answer.records}
    assert set(by_gate) == {story.requirement.gate_id, story.acceptance.gate_id}
    for gate_id, record in by_gate.items():
        fact = await viewer.ctx.clients.queries.get_fact(GetFactRequest(message_id=record.citation.ref))
        assert fact.entry is not None
        assert fact.entry.aggregate is not None
        assert fact.entry.aggregate.id == gate_id


async def test_what_was_read_can_be_cited_and_nothing_else(story: Story, viewer: Desk) -> None:
    ledger = Ledger()
    answer = await viewer.call("get_gate", gate_id=story.acceptance.gate_id)
    ledger.note(answer.records)
    assert only(answer).key in ledger.known
    assert ledger.position == only(answer).log_position
    shown = for_model(answer)
    assert f"[[{only(answer).key}]]" in shown
    assert f"read at log position {answer.log_position}" in shown


async def test_what_is_not_there_is_said_to_be_not_found(viewer: Desk) -> None:
    answer = await viewer.call("get_gate", gate_id="gat-unknown")
    assert not answer.error
    [said] = answer.not_found
    assert "gat-unknown" in said


async def test_another_tenant_s_record_is_not_there(story: Story) -> None:
    other = desk(await story.readers.reader("other"))
    answer = await other.call("get_gate", gate_id=story.acceptance.gate_id)
    assert answer.not_found
    assert not answer.records


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("{", "no JSON"),
        ("[]", "JSON list"),
        ('{"gate_id": 7}', "gate_id: 7 is not of type 'string'"),
        ('{"gate": "gat-1"}', "'gate' was unexpected; known: gate_id"),
        ("{}", "'gate_id' is a required property"),
        ('{"gate_id": "' + "x" * 70_000 + '"}', "at most 65536 are taken"),
    ],
)
async def test_malformed_arguments_are_told_so_that_they_can_be_corrected(
    viewer: Desk, arguments: str, says: str
) -> None:
    answer = await viewer.raw("get_gate", arguments)
    assert says in answer.error
    assert not answer.records


async def test_an_unknown_tool_is_answered_with_those_that_there_are(viewer: Desk) -> None:
    answer = await viewer.call("run_shell", command="ls")
    assert "there is no tool 'run_shell'" in answer.error
    assert "get_change" in answer.error


async def test_tools_are_granted_by_role_and_by_turn(viewer: Desk) -> None:
    assert {tool.name for tool in granted(frozenset({"viewer"}))} <= set(TOOLS)
    assert granted(frozenset({"executor"})) == []
    nobody = viewer.about(roles=frozenset[str]())
    assert "not granted" in (await nobody.call("list_changes")).error


async def test_no_secret_is_told_of_what_was_asked(viewer: Desk) -> None:
    answer = await viewer.call("get_gate", gate_id="ghp_" + "a1B2" * 9)
    assert "[redacted]" in answer.asked
    assert "ghp_" not in answer.asked


async def test_everything_of_a_change_is_cited_by_what_it_is(story: Story, viewer: Desk) -> None:
    answer = await viewer.call("get_change", change_id=story.change_id)
    kinds = [record.label.split()[0] for record in answer.records]
    assert kinds.count("change") == kinds.count("run") == 1
    assert kinds.count("gate") == 2
    works = {record.citation.ref for record in answer.records if record.citation.kind == CitationKind.WORK_REQUEST}
    assert works == {work.work_request_id for work in (*story.coded, *story.verified)}
    assert all(record.log_position for record in answer.records)
    run = next(record for record in answer.records if record.label.startswith("run"))
    assert "iteration 1; verification red" in run.text
    assert "iteration 2; verification green" in run.text


async def test_a_work_tells_what_failed_and_is_marked(story: Story, viewer: Desk) -> None:
    failed = story.verified[0].work_request_id
    record = only(await viewer.call("get_work", work_request_id=failed))
    assert record.key == f"work_request:{failed}"
    assert "what failed assert 404 == 200" in record.text
    assert record.untrusted == failed
    listed = await viewer.call("list_work", change_id=story.change_id, statuses=["failed"])
    assert only(listed).untrusted == ""


async def test_evidence_is_read_line_by_line(story: Story, viewer: Desk) -> None:
    work = story.verified[0].work_request_id
    bundle = f"evd-{work.removeprefix('wrk-')}"
    record = only(await viewer.call("get_evidence", evidence_bundle_id=bundle))
    assert record.key == f"evidence_bundle:{bundle}"
    assert "failed tests/test_orders.py::test_cancel" in record.text
    got = await viewer.ctx.clients.work_queries.get_evidence(GetEvidenceRequest(evidence_bundle_id=bundle))
    assert got.evidence is not None
    artifact = got.evidence.artifacts[0]
    store = NoEvidence({artifact.uri: b"\n".join(b"line %d" % n for n in range(1, 5001))})
    reading = viewer.about(evidence=store)
    answer = await reading.call("read_evidence", evidence_bundle_id=bundle, name=artifact.name)
    assert only(answer).text.splitlines()[::199] == ["1: line 1", "200: line 200"]
    assert only(answer).untrusted == f"{bundle}/{artifact.name}"
    assert "5000 lines in all; read on with first_line 201" in answer.notes
    found = await reading.call("read_evidence", evidence_bundle_id=bundle, name=artifact.name, find="LINE 4321")
    assert only(found).text.splitlines() == [f"{n}: line {n}" for n in range(4319, 4324)]
    missing = await reading.call("read_evidence", evidence_bundle_id=bundle, name=artifact.name, find="nowhere")
    assert missing.not_found == (f"'nowhere' in {artifact.name}",)
    none = await reading.call("read_evidence", evidence_bundle_id=bundle, name="other.txt")
    assert artifact.name in none.not_found[0]
    binary = viewer.about(evidence=NoEvidence({artifact.uri: b"\0\1"}))
    assert "is no text" in (await binary.call("read_evidence", evidence_bundle_id=bundle, name=artifact.name)).error


async def test_the_timeline_comes_in_pages(story: Story, viewer: Desk) -> None:
    answer = await viewer.call("get_timeline", change_id=story.change_id)
    assert answer.records[0].citation.kind in (CitationKind.DOMAIN_FACT, CitationKind.PROCESS_FACT)
    assert {record.label.split()[0] for record in answer.records} >= {"process", "events"}
    seen = [record.key for record in answer.records]
    while more := [note for note in answer.notes if "call again" in note]:
        token = more[0].split('"')[1]
        answer = await viewer.call("get_timeline", change_id=story.change_id, page=token)
        seen += [record.key for record in answer.records]
    facts = await viewer.call("list_facts", change_id=story.change_id)
    assert {record.key for record in facts.records} <= set(seen)


READS: dict[str, dict[str, object]] = {
    "list_repositories": {},
    "get_repository": {"repository_id": "orders"},
    "list_changes": {"statuses": ["open"]},
    "list_artifacts": {},
    "list_facts": {"principal_id": "nobody"},
    "list_evidence": {},
    "list_releases": {},
    "list_promotions": {},
    "list_environments": {},
    "get_status": {},
    "get_budget": {},
    "look_up_term": {"term": "gates"},
}


@pytest.mark.parametrize(("name", "arguments"), READS.items())
async def test_every_list_answers_with_something_or_says_what_is_missing(
    viewer: Desk, name: str, arguments: dict[str, object]
) -> None:
    answer = await viewer.call(name, **arguments)
    assert not answer.error
    assert answer.records or answer.notes or answer.not_found
    assert len(for_model(answer)) < 40_000


async def test_a_conversation_s_own_change_need_not_be_named(story: Story, viewer: Desk) -> None:
    about = viewer.about(change_id=story.change_id)
    assert (await about.call("get_change")).records
    assert "is about no change" in (await viewer.call("get_change")).error


async def test_an_artifact_is_cited_by_its_version_and_is_data(story: Story, viewer: Desk) -> None:
    subject = story.requirement.subject
    assert subject is not None
    answer = await viewer.call("get_artifact", artifact_id=subject.artifact_id)
    record = only(answer)
    assert record.key == f"artifact_version:{subject.artifact_id}@{subject.artifact_number}"
    assert answer.untrusted == (f"{subject.artifact_id}@{subject.artifact_number}",)
    shown = for_model(answer)
    mark = shown.split(">")[0].removeprefix("<untrusted ")
    assert shown.count(mark) == 2
    assert mark not in for_model(answer)
