"""A conversation that is longer than its model can take: it is shortened, and goes on in the same turn."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ameide.app.architect import agent_of
from ameide.architect.models import model_of
from ameide.config import Settings
from ameide.errors import InvalidArgument
from tests.architect.house import House, Talker
from tests.architect.model_endpoint import KEY, Asked, Calls, Endpoint, Fail, Protocol, Reply, Say, serving
from tests.architect.scripted import Plain

_OPENAI = Fail(
    400,
    "This model's maximum context length is 128000 tokens. However, your messages resulted in 140208 tokens (139000 in "
    "the messages, 1208 in the functions). Please reduce the length of the messages or functions.",
    "context_length_exceeded",
)
_RESPONSES = Fail(
    400,
    "Your input exceeds the context window of this model. Please adjust your input and try again.",
    "context_length_exceeded",
)
_VLLM = Fail(
    400,
    "This model's maximum context length is 8192 tokens. However, you requested 9216 tokens (1216 in the messages, "
    "8000 in the completion). Please reduce the length of the messages or completion.",
)
_LLAMA = Fail(400, "request (9216 tokens) exceeds the available context size (8192 tokens), try increasing it")
_ANTHROPIC = Fail(400, "prompt is too long: 215000 tokens > 200000 maximum")
KINDS: dict[str, tuple[Protocol, Fail]] = {
    "openai": ("chat", _OPENAI),
    "responses": ("responses", _RESPONSES),
    "vllm": ("chat", _VLLM),
    "llama.cpp": ("chat", _LLAMA),
    "anthropic": ("messages", _ANTHROPIC),
}
# Of the messages, in characters; a tenth of what the settings let through.
WINDOW = 12_000


@asynccontextmanager
async def asked_by(
    house: House, protocol: Protocol, script: Callable[[Asked], Reply]
) -> AsyncGenerator[tuple[Talker, Endpoint]]:
    """The agent with a model that answers so."""
    with serving(script) as endpoint:
        settings = Settings(
            architect_model="anthropic:claude-opus-4-7" if protocol == "messages" else "openai:gpt-5.2",
            architect_model_url=endpoint.url(protocol),
            architect_model_key=KEY,
            architect_model_protocol="" if protocol == "messages" else protocol,
            architect_model_seconds=30,
        )
        agent = house.agent(model=model_of(settings), prompting=Plain())
        async with house.architect(agent) as talker:
            yield talker, endpoint


def length(asked: Asked) -> int:
    """Characters of what was said."""
    return len(json.dumps(asked.body.get("messages") or asked.body.get("input"), ensure_ascii=False))


def within_the_window(failure: Fail) -> Callable[[Asked], Reply]:
    """Answers at length, or fails so when it is given more than it takes."""

    def script(asked: Asked) -> Reply:
        if length(asked) > WINDOW:
            return failure
        return Say("A" * 2_900) if asked.body.get("tools") else Say("They spoke of apples.")

    return script


@pytest.mark.parametrize("kind", KINDS)
async def test_a_conversation_beyond_the_window_goes_on_in_the_same_turn(house: House, kind: str) -> None:
    protocol, failure = KINDS[kind]
    async with asked_by(house, protocol, within_the_window(failure)) as (talker, endpoint):
        said = await talker.ask("0" * 2_900)
        for number in range(1, 6):
            more = await talker.ask(str(number) * 2_900, conversation_id=said.conversation_id)
            assert more.text == "A" * 2_900, more.notices
            assert "MODEL_FAILED" not in more.notices
            last = next(asked for asked in reversed(endpoint.asked) if asked.body.get("tools"))
            # The question of the turn is asked whole.
            assert str(number) * 2_900 in last.text
        refused = [asked for asked in endpoint.asked if length(asked) > WINDOW]
        # What was shortened stays so: not every turn is too long at first.
        assert 1 <= len(refused) <= 3
        assert any("They spoke of apples." in asked.text for asked in endpoint.asked)


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_an_answer_of_a_tool_that_is_too_long_is_left_out(house: House, kind: str) -> None:
    protocol, failure = KINDS[kind]
    change = await house.change("Cancel an order " * 10)

    def script(asked: Asked) -> Reply:
        if not asked.results:
            return Say(calls=(Calls("get_change", "{}"),))
        return failure if len(asked.results[0]) > 200 else Say("I cannot take that in.")

    async with asked_by(house, protocol, script) as (talker, endpoint):
        said = await talker.ask("What is it about?", change_id=change)
        assert said.text == "I cannot take that in."
        assert said.notices.count("LIMIT") == 1
        assert "longer than can be taken in" in endpoint.asked[-1].results[0]


async def test_what_cannot_be_shortened_is_told_and_the_conversation_goes_on(house: House) -> None:
    async with asked_by(house, "chat", within_the_window(_OPENAI)) as (talker, endpoint):
        said = await talker.ask("x" * 15_000)
        assert "MODEL_FAILED" in said.notices
        [told] = [notice.text for notice in said.of("notice") if notice.kind.name == "MODEL_FAILED"]
        assert "too long for it" in told
        assert "Ask for less at once" in told
        assert len(endpoint.asked) < 10
        assert (await talker.ask("Shorter?", conversation_id=said.conversation_id)).text == "A" * 2_900


def test_the_room_for_a_conversation_is_a_setting(tmp_path: Path) -> None:
    stores = {"state_dir": tmp_path, "object_store": tmp_path.as_uri()}
    named = Settings(**stores, architect_characters=16_000)  # pyright: ignore[reportArgumentType]
    assert agent_of(named, str, apart=False).limits.characters == 16_000
    with pytest.raises(InvalidArgument, match="AMEIDE_ARCHITECT_CHARACTERS"):
        agent_of(Settings(**stores, architect_characters=10), str, apart=False)  # pyright: ignore[reportArgumentType]
