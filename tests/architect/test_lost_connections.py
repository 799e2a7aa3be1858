"""Connections to the database that end in the middle: nothing is written beside another turn, and the turn goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from ameide.architect.agent import Limits
from ameide.architect.ports import Answer, Prompt, TextDelta
from ameide.errors import Unreachable
from ameide.rpc.delegating import represented
from ameide.storage.threads import Threads as Store
from ameide_core_proto.agent.transformation.v1.architect_service_pb import ConverseRequest
from tests.architect.house import House, Talker
from tests.architect.scripted import Plain, Scripted, says
from tests.architect.test_keeping import Slow

_LOCKS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND usename = 'ameide_architect'
"""
_ALL = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'ameide_architect'"


class SlowAtFirst(Slow):
    """Its first answer waits until it is let go; the others do not."""

    async def ask(self, prompt: Prompt) -> AsyncGenerator[TextDelta | Answer]:
        """Waits once."""
        first = not self.asked
        answers = super().ask(prompt) if first else Scripted([says("At once.")], self.asked).ask(prompt)
        async for event in answers:
            assert isinstance(event, TextDelta | Answer)
            yield event


async def begun(talker: Talker, request: ConverseRequest) -> tuple[str, asyncio.Task[str]]:
    """A turn whose model has begun to speak, in its conversation: what it says until its end."""
    speaking: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def listen() -> str:
        said, conversation_id = "", ""
        house = talker.house
        async with represented(talker.address, house.address, house.tokens["requester"]) as clients:
            async for event in clients.converse(request):
                if event.event is not None and event.event.field == "began":
                    conversation_id = event.event.value.conversation_id
                if event.event is not None and event.event.field == "text":
                    said += event.event.value
                    if not speaking.done():
                        speaking.set_result(conversation_id)
        return said

    listening = asyncio.create_task(listen())
    await asyncio.wait((speaking, listening), return_when=asyncio.FIRST_COMPLETED)
    assert speaking.done(), await listening
    return speaking.result(), listening


async def test_a_turn_that_lost_its_thread_writes_nothing_beside_the_next_one(house: House) -> None:
    model = SlowAtFirst()
    async with house.architect(house.agent(model=model, prompting=Plain())) as talker:
        first = talker.request(("text", "First?"))
        conversation, listening = await begun(talker, first)
        assert len(house.sql(_LOCKS)) == 1
        assert (await talker.ask("Second?", conversation_id=conversation)).text == "At once."
        model.go.set()
        with pytest.raises(Unreachable, match="the database connection failed"):
            await listening
        assert (await talker.ask("Third?", conversation_id=conversation)).text == "At once."
        told = [str(message.text) for message in model.asked[-1].messages if message.type != "system"]
        assert told == ["First?", "Second?", "At once.", "Third?"]
        # Sent again, as a client does, it is told; others followed it.
        first.conversation_id = conversation
        assert "broken off" in (await talker.send(first)).text


async def test_a_turn_that_lost_its_connection_goes_on_when_it_is_sent_again(house: House) -> None:
    model = SlowAtFirst()
    async with house.architect(house.agent(model=model, prompting=Plain())) as talker:
        request = talker.request(("text", "First?"))
        conversation, listening = await begun(talker, request)
        assert house.sql(_ALL)
        model.go.set()
        with pytest.raises(Unreachable):
            await listening
        again = await talker.send(request)
        assert (again.text, again.conversation_id) == ("At once.", conversation)
        assert again.ended


async def test_whatever_needs_the_database_says_that_it_does_not_answer(house: House) -> None:
    store = Store(house.database.dsn("ameide_architect"), "default")

    async def held() -> None:
        async with store.hold("cnv-lost") as connection:
            house.sql(_LOCKS)
            await connection.execute("SELECT 1")

    async def read() -> None:
        async with store.pool.connection() as connection:
            house.sql(_ALL)
            await connection.execute("SELECT 1")

    await store.open()
    try:
        with pytest.raises(Unreachable):
            await held()
        # A lock that is lost with nothing left to write is no loss, and nobody has the thread after it.
        async with store.hold("cnv-lost"):
            with pytest.raises(Unreachable):
                await read()
        async with store.hold("cnv-lost"):
            assert await store.person("cnv-lost") == ""
    finally:
        await store.close()


@pytest.mark.parametrize("milliseconds", [10, 20, 40, 60, 100, 200, 300])
async def test_a_turn_may_run_out_of_time_at_any_moment(house: House, milliseconds: int) -> None:
    model = Slow()
    agent = house.agent(model=model, prompting=Plain(), limits=Limits(seconds=milliseconds / 1000))
    async with house.architect(agent) as short:
        request = short.request(("text", "Take your time"))
        said = await short.send(request)
        assert "LIMIT" in said.notices
        assert said.ended.unfinished
    model.go.set()
    async with house.architect(house.agent(model=model, prompting=Plain())) as long:
        again = await long.send(request)
    assert again.text.endswith("Done.")
    assert not again.ended.unfinished
