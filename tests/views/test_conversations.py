"""Conversations as they are read: listed, shown with their consents, at the gates and in the cost of their change."""

import pytest

from ameide.domain.unit import Unit
from ameide.errors import NotFound
from ameide.events.archived import ArchivedLog
from ameide.storage.db import Database
from ameide.views.rebuild import Rebuild
from ameide_core_proto.common.v1.metadata_pb import Actor, Scope
from ameide_core_proto.common.v1.reading_pb import CitationKind, Page
from ameide_core_proto.transformation.governance.v1 import query_service_pb as q
from ameide_core_proto.transformation.governance.v1.facts_pb import ConsentAsked, ConsentGiven, ConsentUsed
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Change,
    Consent,
    ConsentAction,
    ConsentStatus,
    Conversation,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactContent, ArtifactKind
from ameide_core_proto.transformation.work.v1.work_pb import Budget
from tests.domain.saying import RITA
from tests.domain.talking import FOR_RITA, acting_for, opened, progress, proposed
from tests.domain_work.gates import open_gate
from tests.domain_work.world import HEAD, World
from tests.views.readers import Readers


async def consented(world: World, conversation: Conversation, summary: str) -> Consent:
    """A consent that was asked for, given and used."""
    consent = Consent(
        scope=conversation.scope,
        consent_id=f"cns-{summary}",
        conversation_id=conversation.conversation_id,
        change_id=conversation.change_id,
        action=ConsentAction.SUBMIT_ARTIFACT,
        summary=summary,
        asked_by=Actor(principal_id="architect", on_behalf_of="rita"),
        status=ConsentStatus.ASKED,
        version=1,
    )

    async def state(unit: Unit) -> None:
        given = Consent.from_binary(consent.to_binary())
        given.status, given.version = ConsentStatus.GIVEN, 2
        given.decided_by, given.comment = Actor(principal_id="rita"), "yes"
        used = Consent.from_binary(given.to_binary())
        used.status, used.version = ConsentStatus.USED, 3
        unit.record(ConsentAsked(consent=consent), ConsentGiven(consent=given), ConsentUsed(consent=used))

    async def ask(unit: Unit) -> None:
        await unit.tx.open()
        await state(unit)

    await world.service.perform(FOR_RITA, "AskConsent", None, ask)
    return consent


async def change_of(readers: Readers) -> Change:
    """A change that somebody asks for."""
    await readers.world.register()
    return await readers.world.open_change()


async def test_a_list_is_narrowed_paged_and_cited(readers: Readers):
    change = await change_of(readers)
    about, other = await opened(readers.world, change), await opened(readers.world)
    await readers.caught_up()
    client = await readers.reader()
    every = await client.queries.list_conversations(q.ListConversationsRequest(page=Page(size=1)))
    assert every.conversations == [other]
    rest = await client.queries.list_conversations(
        q.ListConversationsRequest(page=Page(size=1, token=every.next_page_token))
    )
    assert (rest.conversations, rest.next_page_token) == ([about], "")
    assert [citation.kind for citation in rest.citations] == [CitationKind.DOMAIN_FACT]
    for narrowed in (
        q.ListConversationsRequest(change_id=change.change_id),
        q.ListConversationsRequest(repository_id="orders"),
        q.ListConversationsRequest(scope=Scope(repository_id="orders")),
    ):
        assert (await client.queries.list_conversations(narrowed)).conversations == [about]


async def test_one_shows_its_consents_in_the_order_of_asking_and_no_others(readers: Readers):
    change = await change_of(readers)
    conversation, other = await opened(readers.world, change), await opened(readers.world)
    for summary in ("first", "second"):
        await consented(readers.world, conversation, summary)
    await consented(readers.world, other, "third")
    await readers.caught_up()
    client = await readers.reader()
    answer = await client.queries.get_conversation(
        q.GetConversationRequest(conversation_id=conversation.conversation_id)
    )
    assert answer.conversation == conversation
    assert [(one.summary, one.status) for one in answer.consents] == [
        ("first", ConsentStatus.USED),
        ("second", ConsentStatus.USED),
    ]
    assert len(answer.citations) == 3
    without_change = await client.queries.get_conversation(
        q.GetConversationRequest(conversation_id=other.conversation_id)
    )
    assert [one.summary for one in without_change.consents] == ["third"]
    rival = await readers.reader("rival")
    with pytest.raises(NotFound):
        await rival.queries.get_conversation(q.GetConversationRequest(conversation_id=conversation.conversation_id))


async def test_a_mark_shows_at_every_gate_of_its_change_and_at_no_other(readers: Readers):
    world = readers.world
    run = await world.open_run()
    change, elsewhere = await world.open_change(), await world.open_change()
    about = Change(change_id=run.change_id, repository_id="orders")
    marked, clean, away = await opened(world, about), await opened(world, about), await opened(world, elsewhere)
    await progress(world, clean, tokens=5)
    await progress(world, away, read=("orders@abc:README.md",))
    early = await open_gate(world, run, GateKind.NEEDS_HUMAN, reason="stuck", commit_sha=HEAD)
    # What is read after the gate opened may still have steered what is proposed before it is decided.
    await progress(world, marked, read=("orders@abc:docs/plan.md", "evd-1"))
    await readers.caught_up()
    client = await readers.reader()
    answer = await client.queries.get_gate(q.GetGateRequest(gate_id=early.gate_id))
    [shown] = answer.marked_conversations
    assert (shown.conversation_id, shown.untrusted_count) == (marked.conversation_id, 2)
    assert [source.ref for source in shown.untrusted_sources] == ["orders@abc:docs/plan.md", "evd-1"]
    assert len(answer.citations) == 2
    assert change.change_id != run.change_id


async def test_a_change_shows_its_conversations_beside_its_cost_and_the_tenant_counts_them(readers: Readers):
    world = readers.world
    change = await change_of(readers)
    conversation = await opened(world, change)
    await progress(world, conversation, tokens=70, micros=9)
    await readers.caught_up()
    client = await readers.reader()
    answer = await client.queries.get_change(q.GetChangeRequest(change_id=change.change_id))
    [shown] = answer.conversations
    assert shown.usage is not None
    assert (shown.usage.input_tokens, shown.usage.cost_micros) == (70, 9)
    assert answer.total is not None
    assert answer.total.works == 0
    tenant = await client.queries.get_tenant_budget(q.GetTenantBudgetRequest())
    assert tenant.used == Budget(max_tokens=70, max_cost_micros=9)


async def test_the_timeline_and_the_audit_tell_of_both_the_agent_and_the_person(readers: Readers):
    world = readers.world
    change = await change_of(readers)
    conversation = await opened(world, change)
    await progress(world, conversation, tokens=70, read=("evd-1",), begins_turn=True)
    await consented(world, conversation, "to submit version 1")
    await readers.caught_up()
    client = await readers.reader()
    rows = (await client.queries.get_timeline(q.GetTimelineRequest(change_id=change.change_id))).rows
    assert [row.text for row in rows][1:] == [
        "rita and architect opened a conversation: Can an order be canceled?",
        f"conversation {conversation.conversation_id}, turn 1: 70 tokens, 0 micros used so far; "
        "read 1 text that anybody may have written",
        "architect asks rita for consent to submit artifact: to submit version 1",
        "rita consents to submit artifact by architect: yes",
        "architect used the consent of rita to submit artifact",
    ]
    assert rows[1].actor == "architect for rita"
    audit = await client.queries.list_audit(q.ListAuditRequest(principal_id="rita"))
    assert {entry.name for entry in audit.entries} >= {"ConversationOpened", "ConversationProgressRecorded"}


async def test_artifacts_are_listed_by_change_and_repository_with_their_versions_cited(readers: Readers):
    world = readers.world
    change, other = await change_of(readers), await world.open_change()
    brief = ArtifactContent(title="Where to begin", text="With the aggregate.")
    mine = await proposed(world, change, ArtifactKind.DEV_BRIEF, brief, by=RITA)
    await proposed(world, other, ArtifactKind.DEV_BRIEF, brief, by=RITA)
    await readers.caught_up()
    client = await readers.reader()
    answer = await client.queries.list_artifacts(q.ListArtifactsRequest(change_id=change.change_id))
    assert answer.artifacts == [mine]
    assert {citation.kind for citation in answer.citations} == {
        CitationKind.DOMAIN_FACT,
        CitationKind.ARTIFACT_VERSION,
    }
    first = await client.queries.list_artifacts(q.ListArtifactsRequest(repository_id="orders", page=Page(size=1)))
    assert (len(first.artifacts), bool(first.next_page_token)) == (1, True)


async def test_a_rebuild_makes_the_same_of_them(readers: Readers, projector_database: Database):
    world = readers.world
    change = await change_of(readers)
    conversation = await opened(world)
    await progress(world, conversation, tokens=70, read=("evd-1",), begins_turn=True)
    await consented(world, await opened(world, change, acting_for("anna")), "first")
    await readers.caught_up()
    rebuild = Rebuild(projector_database, ArchivedLog(projector_database, readers.objects), lambda done, total: None)
    assert await rebuild.compare() == (readers.head(), [])
