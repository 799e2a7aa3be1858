"""A model that breaks off and begins anew: what it had said is in no answer, whoever collects it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import cast

import pytest
from langchain_core.messages import ToolMessage

from ameide.architect.mcp import asking
from ameide.architect.mcp.visit import Guest, Surroundings, Visit
from ameide.architect.ports import Answer, ModelUnavailable, Prompt, Restarted, TextDelta
from ameide.architect.state import new_turn, said_in
from ameide.architect.turn import Saying
from ameide.rpc.clients import Clients
from ameide.rpc.delegating import represented
from ameide.rpc.interceptors import Caller
from ameide_core_proto.agent.transformation.v1.architect_service_pb import (
    CitedRecord,
    ConverseRequest,
    ConverseResponse,
    GetTranscriptRequest,
    NoticeKind,
)
from tests.architect.house import SCOPE, House, Said
from tests.architect.scripted import Plain, Scripted, calls, says

Event = TextDelta | Restarted | Answer | ModelUnavailable


def broken(prompt: Prompt) -> Sequence[Event]:
    """Half an answer about the record that was read, and then a whole one."""
    told = [str(message.text) for message in prompt.messages if isinstance(message, ToolMessage)][-1]
    key = told.split("[[")[1].split("]]")[0]
    return [
        TextDelta(f"Ann rejected it [[{key}]] and so "),
        Restarted("the line broke", "scripted:two"),
        TextDelta("Or Bob did, "),
        Restarted("it broke again", "scripted:two"),
        *says(f"It is open [[{key}]]."),
    ]


@pytest.fixture(scope="module")
async def said(house: House) -> Said:
    """A turn in which the model looks something up, breaks off twice, and then answers."""
    change = await house.change("Refund an order")
    model = Scripted([calls(("get_change", {}), text="I look. "), broken])
    async with house.architect(house.agent(model=model, prompting=Plain())) as talker:
        made = await talker.ask("Who decided?", change_id=change)
        async with represented(talker.address, house.address, house.tokens["requester"]) as clients:
            request = GetTranscriptRequest(scope=SCOPE, conversation_id=made.conversation_id)
            entry = (await clients.architect.get_transcript(request)).entries[-1]
    assert entry.text == "I look. It is open [1]."
    assert [one.number for one in entry.cited] == [1]
    return made


def test_each_void_names_the_event_from_which_on_nothing_stands(said: Said) -> None:
    assert [event.seq for event in said.events] == list(range(1, len(said.events) + 1))
    standing: list[ConverseResponse] = []
    for event in said.events:
        assert event.event is not None
        if event.event.field == "voided":
            standing = [one for one in standing if one.seq < event.event.value.from_seq]
        elif event.event.field in ("text", "cited"):
            standing.append(event)
    assert len(said.of("voided")) == 2
    assert "".join(Said(standing).of("text")) == "I look. It is open [1]."
    assert [one.number for one in Said(standing).of("cited")] == [1]
    # It was told before, and its number is given anew.
    assert [one.number for one in said.of("cited")] == [1, 1]


async def test_the_answer_for_another_agent_is_without_it(said: Said) -> None:
    async def converse(_: Guest, request: ConverseRequest) -> AsyncGenerator[ConverseResponse]:
        assert request.read_only
        for event in said.events:
            yield event

    progress: list[str] = []

    async def tell(words: str) -> None:
        progress.append(words)

    around = Surroundings("", None, None, converse)  # pyright: ignore[reportArgumentType] -- nothing is read
    caller = Caller("default", "codex", "agent", frozenset({"viewer"}))
    visit = Visit(Guest(caller, "token"), around, cast("Clients", None), tell)
    answer = await asking.OFFER.run(visit, {"question": "Who decided?"})
    told = answer.structured_content
    assert told is not None
    assert told["answer"] == "I look. It is open [1]."
    assert [one["number"] for one in told["citations"]] == [1]
    assert "Ann" not in str(answer)
    assert any("void" in notice for notice in told["notices"])
    assert any("void" in words for words in progress)


def test_nothing_is_voided_where_nothing_was_said() -> None:
    saying = Saying(new_turn(ConverseRequest(turn_id="turn-0001")), lambda _: None, str)
    saying.notice(NoticeKind.LIMIT, "Shortened.")
    saying.void()
    saying.pieces([CitedRecord(number=1), "Half"])
    saying.void()
    saying.void()
    saying.pieces(["Whole."])
    turn = saying.turn()
    events = [event.event for event in said_in(turn)]
    assert [event.field for event in events if event] == ["notice", "cited", "text", "voided", "text"]
    assert [event.value.from_seq for event in events if event and event.field == "voided"] == [2]
    assert (turn["text"], turn["cited"]) == ("Whole.", [])
