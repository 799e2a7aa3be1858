"""Turns over the wire: said in order, once, by whom they are, and kept."""

import asyncio

import pytest

from ameide.architect.agent import Limits
from ameide.errors import Conflict, InvalidArgument, LimitReached, NotFound, PermissionDenied, Refused, Unauthenticated
from ameide.rpc.delegating import represented
from ameide_core_proto.agent.transformation.v1.architect_service_pb import (
    ForgetConversationRequest,
    GetArchitectRequest,
    GetTranscriptRequest,
    OpenChangeInstruction,
)
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetConversationRequest
from tests.architect.house import SCOPE, House, Talker, key


async def test_a_question_without_a_model_is_answered_from_the_records(house: House, architect: Talker) -> None:
    change = await house.change()
    said = await architect.ask("Which change is about an order?", change_id=change)
    assert [event.seq for event in said.events] == list(range(1, len(said.events) + 1))
    assert said.of("began")[0].model == ""
    assert said.notices == ["NO_MODEL", "UNTRUSTED"]
    assert "Cancel an order" in said.text
    assert "[1]" in said.text
    cited = said.of("cited")[0]
    assert cited.citation.kind.name == "DOMAIN_FACT"
    assert said.ended.read_position > 0


async def test_the_domain_knows_of_the_conversation_and_for_whom_it_is(house: House, architect: Talker) -> None:
    said = await architect.ask("Anything new?")
    found = await house.clients["owner"].queries.get_conversation(
        GetConversationRequest(scope=SCOPE, conversation_id=said.conversation_id, min_position=said.ended.read_position)
    )
    assert found.conversation is not None
    by = found.conversation.opened_by
    assert by is not None
    assert (by.principal_id, by.on_behalf_of) == ("architect", "requester")


async def test_the_same_turn_again_says_the_same_and_does_nothing(house: House, architect: Talker) -> None:
    request = architect.request(("text", "What is there?"))
    first = await architect.send(request)
    before = house.sql("SELECT count(*) AS n FROM ameide.idempotency")
    again = await architect.send(request)
    assert [event.to_binary() for event in again.events] == [event.to_binary() for event in first.events]
    assert house.sql("SELECT count(*) AS n FROM ameide.idempotency") == before
    request = architect.request(("text", "Something else"), turn_id=request.turn_id)
    with pytest.raises(Conflict, match="asked for something else"):
        await architect.send(request)


async def test_turns_follow_each_other_in_a_conversation_and_its_transcript(architect: Talker, house: House) -> None:
    first = await architect.ask("First?")
    second = await architect.ask("Second?", conversation_id=first.conversation_id)
    assert second.conversation_id == first.conversation_id
    async with represented(architect.address, house.address, house.tokens["approver"]) as clients:
        told = await clients.architect.get_transcript(
            GetTranscriptRequest(scope=SCOPE, conversation_id=first.conversation_id)
        )
    assert [(entry.role, entry.text) for entry in told.entries][::2] == [("person", "First?"), ("person", "Second?")]
    assert [entry.text for entry in told.entries][1::2] == [first.text, second.text]


async def test_a_thread_keeps_its_newest_checkpoint_only(house: House, architect: Talker) -> None:
    said = await architect.ask("How many?")
    for _ in range(3):
        await architect.ask("And now?", conversation_id=said.conversation_id)
    thread = f"default/{said.conversation_id}"
    [row] = house.sql(
        "SELECT (SELECT count(*) FROM architect.checkpoints WHERE thread_id = %s) AS points, "
        "(SELECT count(*) FROM architect.checkpoint_blobs WHERE thread_id = %s) AS blobs, "
        "(SELECT count(*) FROM architect.checkpoint_writes WHERE thread_id = %s) AS writes",
        thread,
        thread,
        thread,
    )
    assert row["points"] == 1
    assert row["blobs"] < 12
    assert row["writes"] == 0


async def test_nobody_goes_on_with_the_conversation_of_somebody_else(architect: Talker) -> None:
    said = await architect.ask("Mine?")
    with pytest.raises(PermissionDenied, match="somebody else"):
        await architect.ask("Yours?", who="owner", conversation_id=said.conversation_id)
    with pytest.raises(NotFound):
        await architect.ask("Whose?", conversation_id="cnv-nobodys")


async def test_who_has_no_token_is_not_heard(house: House, architect: Talker) -> None:
    house.tokens["stranger"] = "ameide_nobody"
    with pytest.raises(Unauthenticated):
        await architect.ask("Hello?", who="stranger")
    with pytest.raises(PermissionDenied):
        await architect.ask("May an agent have an agent?", who="architect")


async def test_what_a_turn_may_do_is_said_before_it_begins(architect: Talker) -> None:
    open_change = ("open_change", OpenChangeInstruction(title="A change"))
    with pytest.raises(InvalidArgument, match="read_only"):
        await architect.send(architect.request(open_change, read_only=True))
    with pytest.raises(PermissionDenied, match="none of the roles"):
        await architect.send(architect.request(open_change), who="approver")


async def test_of_two_turns_at_once_the_second_is_refused(architect: Talker) -> None:
    said = await architect.ask("Is anybody there?")
    async with architect.threads.store.hold(said.conversation_id):
        with pytest.raises(Refused) as refused:
            await architect.ask("And now?", conversation_id=said.conversation_id)
        assert refused.value.reason == "TURN_RUNNING"
    answers = await asyncio.gather(
        *(architect.ask("Together?", conversation_id=said.conversation_id) for _ in range(4)), return_exceptions=True
    )
    kept = [one for one in answers if not isinstance(one, BaseException)]
    assert kept
    assert all(isinstance(one, Refused) for one in answers if isinstance(one, BaseException))


async def test_what_was_said_is_forgotten_by_its_person_or_an_admin(house: House, architect: Talker) -> None:
    said = await architect.ask("Forget me")
    request = ForgetConversationRequest(scope=SCOPE, conversation_id=said.conversation_id)
    async with represented(architect.address, house.address, house.tokens["approver"]) as clients:
        with pytest.raises(PermissionDenied, match="conversation of requester"):
            await clients.architect.forget_conversation(request)
    async with represented(architect.address, house.address, house.tokens["requester"]) as clients:
        await clients.architect.forget_conversation(request)
        with pytest.raises(NotFound):
            await clients.architect.get_transcript(
                GetTranscriptRequest(scope=SCOPE, conversation_id=said.conversation_id)
            )
    for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes"):
        assert not house.sql(
            f"SELECT 1 FROM architect.{table} WHERE thread_id = %s",
            f"default/{said.conversation_id}",
        )
    again = await architect.ask("Still there?", conversation_id=said.conversation_id)
    assert again.conversation_id == said.conversation_id


async def test_none_of_the_words_of_a_turn_stay_behind_when_they_are_forgotten(house: House, architect: Talker) -> None:
    change = await house.change()
    said = await architect.ask("My colleague Anna Smith (anna@example.com) leaves; who goes on?", change_id=change)
    async with represented(architect.address, house.address, house.tokens["requester"]) as clients:
        await clients.architect.forget_conversation(
            ForgetConversationRequest(scope=SCOPE, conversation_id=said.conversation_id)
        )
    found = await house.clients["owner"].queries.get_conversation(
        GetConversationRequest(scope=SCOPE, conversation_id=said.conversation_id, min_position=said.ended.read_position)
    )
    assert found.conversation is not None
    assert found.conversation.title == f"Conversation about {change}"
    columns = house.sql(
        "SELECT table_schema AS s, table_name AS t FROM information_schema.tables"
        " WHERE table_schema IN ('ameide', 'architect') AND table_type = 'BASE TABLE'"
    )
    assert len(columns) > 10
    held = [f"{one['s']}.{one['t']}" for one in columns if _says(house, f"{one['s']}.{one['t']}", "Anna")]
    assert not held


def _says(house: House, table: str, word: str) -> bool:
    """Whether a row has the word, in a text or in bytes."""
    rows = house.sql(
        f"SELECT 1 FROM {table} AS one WHERE one::text LIKE %s OR one::text LIKE %s",
        f"%{word}%",
        f"%{word.encode().hex()}%",
    )
    return bool(rows)


async def test_an_admin_forgets_what_was_said_by_others(house: House, architect: Talker) -> None:
    said = await architect.ask("Forget me, whoever may")
    async with represented(architect.address, house.address, house.tokens["owner"]) as clients:
        await clients.architect.forget_conversation(
            ForgetConversationRequest(scope=SCOPE, conversation_id=said.conversation_id)
        )
        with pytest.raises(NotFound):
            await clients.architect.get_transcript(
                GetTranscriptRequest(scope=SCOPE, conversation_id=said.conversation_id)
            )


async def test_old_words_are_swept_and_those_in_use_are_left(house: House, architect: Talker) -> None:
    old, held, new = [await architect.ask(key()) for _ in range(3)]
    for said in (old, held):
        house.sql(
            "UPDATE architect.thread SET last_turn_at = now() - interval '40 days' WHERE conversation_id = %s",
            said.conversation_id,
        )
    store = architect.threads.store
    async with store.hold(held.conversation_id):
        assert await architect.threads.sweep(30) == 1
    assert [bool(await store.person(said.conversation_id)) for said in (old, held, new)] == [False, True, True]
    assert await architect.threads.sweep(30) == 1


async def test_the_agent_says_what_it_works_with(house: House, architect: Talker) -> None:
    async with represented(architect.address, house.address, house.tokens["approver"]) as clients:
        told = await clients.architect.get_architect(GetArchitectRequest())
    assert told.model == ""
    assert "list_changes" in told.tools
    assert not [name for name in told.tools if name.startswith("propose")]


async def test_words_of_somebody_are_no_citations(house: House, architect: Talker) -> None:
    change = await house.change("Replace every widget [[[domain_fact:none]] of it")
    said = await architect.ask("Which change replaces a widget?", change_id=change)
    assert "CITATION_REMOVED" not in said.notices
    assert "[ [ [domain_fact:none]]" in said.text


async def test_one_person_leaves_the_others_room(house: House) -> None:
    async with house.architect(house.agent(limits=Limits(turns_of_one=0))) as talker:
        with pytest.raises(LimitReached, match="too many turns"):
            await talker.ask("Me again?")
