"""Every answer says what it was read from and cites what it rests on."""

import asyncio
import json

import pytest

from ameide.errors import InvalidArgument, NotFound, PermissionDenied
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.common.v1.reading_pb import CitationKind, Page
from ameide_core_proto.transformation.governance.v1 import query_service_pb as q
from ameide_core_proto.transformation.governance.v1.governance_pb import ChangeStatus, GateStatus
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.work.v1 import query_service_pb as w
from ameide_core_proto.transformation.work.v1.work_pb import WorkStatus
from tests.domain_work.world import CANDIDATE, HEAD, success, verify
from tests.views.readers import Readers
from tests.views.story import OTHER, TEST, Story


async def test_a_change_shows_the_same_test_failing_and_then_passing(story: Story):
    client = await story.readers.reader()
    answer = await client.queries.get_change(q.GetChangeRequest(change_id=story.change_id))
    first, second = answer.iterations
    assert (first.number, first.commit_sha, first.green, first.failing) == (1, HEAD, False, [TEST])
    assert (second.number, second.commit_sha, second.green) == (2, CANDIDATE, True)
    assert second.passing == [TEST, OTHER]
    assert [work.agent_work_request_id for work in answer.iterations] == [work.work_request_id for work in story.coded]
    assert [finding.id for finding in first.findings] == [TEST]
    assert answer.summary is not None
    assert answer.summary.phase == "acceptance"
    assert answer.summary.awaiting == f"gate {story.acceptance.gate_id}"
    assert answer.summary.newest_run is not None
    assert answer.summary.newest_run.process_instance_id == story.run.process_instance_id
    assert len(answer.works) == 4
    assert len(answer.gates) == 2
    kinds = {citation.kind for citation in answer.citations}
    assert kinds == {CitationKind.DOMAIN_FACT, CitationKind.ARTIFACT_VERSION, CitationKind.EVIDENCE_BUNDLE}


async def test_an_answer_tells_the_position_that_it_was_read_from(story: Story):
    client = await story.readers.reader()
    head = story.readers.head()
    answer = await client.queries.list_changes(
        q.ListChangesRequest(min_position=head, scope=Scope(repository_id="orders"))
    )
    assert answer.read_context is not None
    assert answer.read_context.asked_position == head
    assert answer.read_context.log_position == head
    assert answer.read_context.scope == Scope(tenant_id="default", repository_id="orders")
    assert [change.change.change_id for change in answer.changes if change.change] == [story.change_id]


async def test_a_read_waits_for_the_position_that_it_asks_for(story: Story):
    readers = story.readers
    client = await readers.reader()
    await readers.world.register("second")
    await readers.world.relayed()
    head = readers.head()
    asked = asyncio.create_task(client.queries.list_repositories(q.ListRepositoriesRequest(min_position=head)))
    await asyncio.wait([asked], timeout=0.3)
    assert not asked.done()
    await readers.caught_up()
    answer = await asked
    assert [repository.name for repository in answer.repositories] == ["second", "orders"]


async def test_a_read_that_waited_in_vain_says_how_far_it_got(story: Story):
    client = await story.readers.reader()
    head = story.readers.head()
    answer = await client.queries.get_repository(q.GetRepositoryRequest(repository_id="orders", min_position=head + 1))
    assert answer.read_context is not None
    assert (answer.read_context.asked_position, answer.read_context.log_position) == (head + 1, head)
    assert answer.policy is not None
    assert answer.policy.repository_id == "orders"


async def test_lists_come_in_pages_that_join_to_the_whole(readers: Readers):
    for number in range(7):
        await readers.world.register(f"repo-{number}")
    await readers.caught_up()
    client = await readers.reader()
    names: list[str] = []
    token = ""
    while True:
        answer = await client.queries.list_repositories(q.ListRepositoriesRequest(page=Page(size=3, token=token)))
        names += [repository.name for repository in answer.repositories]
        assert len(answer.citations) == len(answer.repositories)
        token = answer.next_page_token
        if not token:
            break
    assert names == [f"repo-{number}" for number in reversed(range(7))]
    with pytest.raises(InvalidArgument, match=r"page\.token"):
        await client.queries.list_repositories(q.ListRepositoriesRequest(page=Page(token="%")))


async def test_lists_narrow_by_what_is_asked_for(story: Story):
    client = await story.readers.reader()
    gates = await client.queries.list_gates(q.ListGatesRequest(statuses=[GateStatus.OPEN]))
    assert [gate.kind for gate in gates.gates] == [GateKind.ACCEPTANCE]
    works = await client.work_queries.list_work(
        w.ListWorkRequest(process_instance_id=story.run.process_instance_id, statuses=[WorkStatus.FAILED])
    )
    assert [work.work_request_id for work in works.works] == [story.verified[0].work_request_id]
    closed = await client.queries.list_changes(q.ListChangesRequest(statuses=[ChangeStatus.CLOSED]))
    assert closed.changes == []
    elsewhere = await client.queries.list_changes(q.ListChangesRequest(repository_id="elsewhere"))
    assert elsewhere.changes == []


async def test_a_requirement_gate_shows_the_version_that_its_hash_covers(story: Story):
    client = await story.readers.reader()
    answer = await client.queries.get_gate(q.GetGateRequest(gate_id=story.requirement.gate_id))
    assert answer.gate is not None
    assert answer.gate.status == GateStatus.APPROVED
    assert answer.artifact is not None
    assert answer.artifact.current is not None
    assert answer.gate.subject is not None
    assert answer.artifact.current.content_hash == answer.gate.subject.content_hash
    with pytest.raises(NotFound):
        await client.queries.get_artifact(q.GetArtifactRequest(artifact_id=answer.artifact.artifact_id, number=9))


async def test_a_work_shows_its_attempts_and_its_evidence(story: Story):
    client = await story.readers.reader()
    work = story.verified[0].work_request_id
    answer = await client.work_queries.get_work(w.GetWorkRequest(work_request_id=work))
    [attempt] = answer.attempts
    assert (attempt.attempt, attempt.executor_principal_id, attempt.heartbeats) == (1, "verifier", 1)
    assert attempt.ended_at is not None
    assert answer.evidence is not None
    assert {check.id for check in answer.evidence.check_results} == {TEST, OTHER}
    evidence = await client.work_queries.get_evidence(
        w.GetEvidenceRequest(evidence_bundle_id=answer.evidence.evidence_bundle_id)
    )
    assert evidence.evidence == answer.evidence
    listed = await client.work_queries.list_evidence(w.ListEvidenceRequest(change_id=story.change_id))
    assert len(listed.bundles) == 4


async def test_a_work_that_takes_another_one_s_evidence_id_hides_nothing(story: Story):
    readers = story.readers
    first = story.verified[0].work_request_id
    taken = f"evd-{first.removeprefix('wrk-')}"
    work = await readers.world.requested(verify(story.run, HEAD))
    claimed = await readers.world.run(work)
    command = success(claimed)
    assert command.evidence is not None
    command.evidence.evidence_bundle_id = taken
    await readers.world.outcome(claimed, command)
    await readers.caught_up()
    client = await readers.reader()
    for id in (first, work.work_request_id):
        answer = await client.work_queries.get_work(w.GetWorkRequest(work_request_id=id))
        assert answer.evidence is not None
        assert answer.evidence.work_request_id == id
    found = await client.work_queries.get_evidence(w.GetEvidenceRequest(evidence_bundle_id=taken))
    assert found.evidence is not None
    assert found.evidence.work_request_id == first


async def test_the_audit_names_who_did_what_and_each_fact_can_be_read_whole(story: Story):
    client = await story.readers.reader()
    answer = await client.queries.list_audit(q.ListAuditRequest(change_id=story.change_id, principal_id="anna"))
    decided = [entry for entry in answer.entries if entry.name == "GateDecided"]
    assert [entry.text for entry in decided] == ["gate REQUIREMENT_STABILIZED approved by anna"]
    fact = await client.queries.get_fact(q.GetFactRequest(message_id=decided[0].message_id))
    body = json.loads(fact.body_json)
    assert body["metadata"]["messageId"] == decided[0].message_id
    assert body["gateDecided"]["gate"]["gateId"] == story.requirement.gate_id
    everything = await client.queries.list_audit(q.ListAuditRequest(page=Page(size=500)))
    assert "WorkExecutionRequested" not in {entry.name for entry in everything.entries}
    positions = [entry.log_position for entry in everything.entries]
    assert positions == sorted(positions, reverse=True)


async def test_status_tells_the_log_the_queues_and_what_waits_for_people(story: Story):
    readers = story.readers
    client = await readers.reader(role="operator")
    status = await client.queries.get_status(q.GetStatusRequest())
    assert status.log_position == readers.head()
    assert (status.outbox_pending, status.parked_messages) == (0, 0)
    assert (status.open_gates, status.open_runs) == (1, 1)
    assert {state.consumer: state.lag for state in status.consumers} == {"ingress": readers.head(), "projector": 0}
    assert status.queues == []
    await readers.world.register("second")
    pending = await client.queries.get_status(q.GetStatusRequest())
    assert pending.outbox_pending == 2
    assert pending.outbox_oldest_age_seconds >= 0


async def test_environments_without_a_promotion_are_shown_empty(story: Story):
    client = await story.readers.reader()
    answer = await client.queries.list_environments(q.ListEnvironmentsRequest(repository_id="orders"))
    assert [state.environment for state in answer.environments] == ["dev", "staging", "production"]
    assert {state.image_ref for state in answer.environments} == {""}
    releases = await client.queries.list_releases(q.ListReleasesRequest(change_id=story.change_id))
    assert releases.releases == []


async def test_another_tenant_sees_nothing(story: Story):
    readers = story.readers
    other = await readers.reader("rival", "admin")
    assert (await other.queries.list_changes(q.ListChangesRequest())).changes == []
    assert (await other.queries.list_audit(q.ListAuditRequest())).entries == []
    assert (await other.work_queries.list_work(w.ListWorkRequest(change_id=story.change_id))).works == []
    status = await other.queries.get_status(q.GetStatusRequest())
    assert (status.open_gates, status.open_runs, status.outbox_pending) == (0, 0, 0)
    work = story.verified[0].work_request_id
    for asked in (
        other.queries.get_change(q.GetChangeRequest(change_id=story.change_id)),
        other.queries.get_gate(q.GetGateRequest(gate_id=story.acceptance.gate_id)),
        other.queries.get_repository(q.GetRepositoryRequest(repository_id="orders")),
        other.work_queries.get_work(w.GetWorkRequest(work_request_id=work)),
        other.work_queries.get_evidence(w.GetEvidenceRequest(evidence_bundle_id=f"evd-{work.removeprefix('wrk-')}")),
        other.queries.list_changes(q.ListChangesRequest(scope=Scope(tenant_id="default"))),
    ):
        with pytest.raises(NotFound):
            await asked


async def test_any_role_but_an_executor_s_may_read(readers: Readers):
    for role in ("viewer", "requester", "approver", "releaser", "operator", "admin", "process"):
        client = await readers.reader(role=role)
        await client.queries.list_changes(q.ListChangesRequest())
    client = await readers.reader(role="executor")
    with pytest.raises(PermissionDenied, match="viewer"):
        await client.queries.list_changes(q.ListChangesRequest())
