"""What the agent keeps: by tenant, as plain values, and no longer than a turn's time when nobody listens."""

import asyncio
from collections.abc import AsyncGenerator

import psycopg
import pytest
from langgraph.checkpoint.postgres.base import MIGRATIONS

from ameide.architect.agent import Limits
from ameide.architect.ports import Answer, Prompt, TextDelta
from ameide.errors import Refused
from ameide.rpc.delegating import represented
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetConversationRequest
from tests.architect.house import SCOPE, House, Talker
from tests.architect.scripted import Plain, Scripted, calls, says

TABLES = ("thread", "checkpoints", "checkpoint_blobs", "checkpoint_writes")


class Slow(Scripted):
    """Says a word, and no more until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def ask(self, prompt: Prompt) -> AsyncGenerator[TextDelta | Answer]:
        """Waits."""
        self.asked.append(prompt)
        yield TextDelta("Wait. ")
        await self.go.wait()
        for event in says("Done."):
            assert isinstance(event, TextDelta | Answer)
            yield event


async def test_the_role_sees_the_threads_of_one_tenant_and_nothing_of_the_domain(
    house: House, architect: Talker
) -> None:
    await architect.ask("Anything?")
    dsn = house.database.dsn("ameide_architect")
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:

        async def count(tenant: str, table: str) -> int:
            await connection.execute("SELECT set_config('ameide.tenant_id', %s, false)", (tenant,))
            rows = await connection.execute(f"SELECT count(*) FROM architect.{table}".encode())
            row = await rows.fetchone()
            return int(row[0]) if row else 0

        for table in TABLES[:3]:
            assert await count("default", table) > 0, table
        for table in TABLES:
            assert [await count(tenant, table) for tenant in ("", "acme", "default/")] == [0, 0, 0], table
        await connection.execute("SELECT set_config('ameide.tenant_id', 'acme', false)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            await connection.execute(
                "INSERT INTO architect.thread (tenant_id, conversation_id, person) VALUES ('default', 'cnv-x', 'eve')"
            )
        for statement in ("SELECT 1 FROM ameide.aggregate", "SELECT 1 FROM ameide.api_token", "CREATE SCHEMA mine"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(statement.encode())
    for role in ("ameide_app", "ameide_projector"):
        async with await psycopg.AsyncConnection.connect(house.database.dsn(role), autocommit=True) as other:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await other.execute("SELECT 1 FROM architect.checkpoints")


def test_the_tables_are_those_that_the_checkpointer_expects() -> None:
    # A newer library with another schema needs another migration of ours.
    assert len(MIGRATIONS) == 10


async def test_out_of_time_a_turn_keeps_what_it_reached(house: House) -> None:
    model = Slow()
    agent = house.agent(model=model, prompting=Plain(), limits=Limits(seconds=1.0))
    async with house.architect(agent) as talker:
        request = talker.request(("text", "Take your time"))
        said = await talker.send(request)
        assert "LIMIT" in said.notices
        assert said.ended.unfinished
        model.go.set()
        again = await talker.send(request)
        assert again.text.endswith("Done.")
        assert "LIMIT" not in again.notices
        assert not again.ended.unfinished
        assert again.conversation_id == said.conversation_id


async def test_a_client_that_goes_away_ends_the_turn_and_may_come_again(house: House) -> None:
    model = Slow()
    async with house.architect(house.agent(model=model, prompting=Plain())) as talker:
        request = talker.request(("text", "Are you there?"))
        async with represented(talker.address, house.address, house.tokens["requester"]) as clients:
            events = clients.converse(request)
            async for event in events:
                # While it speaks: what comes is not kept back until the end.
                if event.event is not None and event.event.field == "text":
                    break
            await events.aclose()
        model.go.set()
        async with asyncio.timeout(20):
            while True:
                try:
                    said = await talker.send(request)
                    break
                except Refused as error:
                    # The server may not have noticed yet.
                    if error.reason != "TURN_RUNNING":
                        raise
        assert said.text.endswith("Done.")


class Breaking(Slow):
    """Reads, and then says a word and no more, until it is let go."""

    async def ask(self, prompt: Prompt) -> AsyncGenerator[TextDelta | Answer]:
        """Calls a tool first."""
        if not self.asked:
            self.asked.append(prompt)
            for event in calls(("list_facts", {})):
                assert isinstance(event, TextDelta | Answer)
                yield event
            return
        async for event in super().ask(prompt):
            yield event


async def test_the_mark_of_a_turn_that_broke_off_stays_with_what_it_read(house: House) -> None:
    model = Breaking()
    change = await house.change()
    async with house.architect(house.agent(model=model, prompting=Plain())) as talker:
        conversation = ""
        request = talker.request(("text", "What happened?"), change_id=change)
        async with represented(talker.address, house.address, house.tokens["requester"]) as clients:
            events = clients.converse(request)
            async for event in events:
                if event.event is not None and event.event.field == "began":
                    conversation = event.event.value.conversation_id
                if event.event is not None and event.event.field == "text":
                    break
            await events.aclose()
        model.go.set()
        async with asyncio.timeout(20):
            while True:
                try:
                    said = await talker.ask("And now?", conversation_id=conversation)
                    break
                except Refused as error:
                    if error.reason != "TURN_RUNNING":
                        raise
    assert "UNTRUSTED" in said.notices
    assert said.ended.untrusted_count == 1
    found = await house.clients["owner"].queries.get_conversation(
        GetConversationRequest(scope=SCOPE, conversation_id=conversation, min_position=said.ended.read_position)
    )
    assert found.conversation is not None
