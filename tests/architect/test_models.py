"""The real clients of the providers, against a local server that speaks their protocols."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from ameide.architect.messages import unreadable_calls
from ameide.architect.models import Models, model_of
from ameide.architect.ports import Answer, ModelUnavailable, Prompt, Restarted, TextDelta, ToolSpec
from ameide.config import Settings
from ameide.errors import InvalidArgument
from ameide_core_proto.transformation.work.v1.work_pb import Usage
from tests.architect.model_endpoint import (
    KEY,
    Calls,
    Endpoint,
    Fail,
    Hang,
    Protocol,
    Reply,
    Say,
    Tokens,
    in_turn,
    serving,
)

NAMES: dict[Protocol, str] = {
    "chat": "openai:gpt-5.2",
    "responses": "openai:gpt-5.2",
    "messages": "anthropic:claude-opus-4-7",
}
PROTOCOLS: Sequence[Protocol] = ("chat", "responses", "messages")
SEARCH = ToolSpec("search", "Searches.", {"type": "object", "properties": {"text": {"type": "string"}}})
QUESTION = Prompt((SystemMessage("Answer."), HumanMessage("Why?")), (SEARCH,), "cnv-1")


def model(endpoint: Endpoint, protocol: Protocol, **more: object) -> Models:
    """The model that settings for this endpoint make."""
    named = {
        "architect_model": NAMES[protocol],
        "architect_model_url": endpoint.url(protocol),
        "architect_model_key": KEY,
        "architect_model_protocol": "" if protocol == "messages" else protocol,
        "architect_model_seconds": 20,
    }
    found = model_of(Settings(**(named | more)))  # pyright: ignore[reportArgumentType]
    assert found is not None
    return found


async def told(asked: Models, prompt: Prompt = QUESTION) -> tuple[list[str], list[Restarted], Answer]:
    """The text since the last restart, the restarts, and the answer, which comes last."""
    text: list[str] = []
    restarts: list[Restarted] = []
    events = [event async for event in asked.ask(prompt)]
    for event in events[:-1]:
        match event:
            case TextDelta():
                text.append(event.text)
            case Restarted():
                restarts.append(event)
                text.clear()
            case Answer():
                raise AssertionError("the answer is the last event")
    assert isinstance(events[-1], Answer)
    return text, restarts, events[-1]


async def ask(protocol: Protocol, *replies: Reply, **more: object) -> tuple[list[str], list[Restarted], Answer]:
    """What comes of one question that is answered so."""
    with serving(in_turn(*replies)) as endpoint:
        return await told(model(endpoint, protocol, **more))


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_text_comes_in_pieces_and_usage_at_the_end(protocol: Protocol, tmp_path: Path) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text(f'["{NAMES[protocol].partition(":")[2]}"]\ninput = 1_000_000\noutput = 3_000_000\n')

    text, restarts, answer = await ask(protocol, Say("It rests on the ledger."), prices=prices)

    assert "".join(text) == "It rests on the ledger." == str(answer.message.text)
    assert len(text) > 2
    assert not restarts
    usage = answer.usage
    assert (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens) == (100, 40, 20)
    assert usage.model == f"{NAMES[protocol].partition(':')[2]}-2026"
    assert usage.cost_micros == 100 + 3 * 20


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_parallel_calls_come_whole_and_their_answers_go_back(protocol: Protocol) -> None:
    with serving(
        in_turn(Say("I look.", (Calls("search", '{"text": "a"}'), Calls("search", '{"text": "b"}'))), Say("Done."))
    ) as at:
        asked = model(at, protocol)
        _, _, first = await told(asked)
        assert [call["args"] for call in first.message.tool_calls] == [{"text": "a"}, {"text": "b"}]
        ids = [str(call["id"]) for call in first.message.tool_calls]
        assert len(set(ids)) == 2

        results = [ToolMessage(f"found {number}", tool_call_id=each) for number, each in enumerate(ids)]
        await told(asked, Prompt((*QUESTION.messages, first.message, *results), (SEARCH,)))

        assert at.asked[0].body["tools"]
        assert at.asked[1].results == ["found 0", "found 1"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("arguments", ['{"text": "a', "search for a", '{"text": "a"} and more'])
async def test_arguments_that_are_no_object_are_no_call(protocol: Protocol, arguments: str) -> None:
    with serving(in_turn(Say(calls=(Calls("search", arguments), Calls("search", "{}"))), Say("Sorry."))) as endpoint:
        asked = model(endpoint, protocol)
        _, _, answer = await told(asked)
        assert [call["args"] for call in answer.message.tool_calls] == [{}]
        [broken] = answer.message.invalid_tool_calls
        assert broken["args"] == arguments

        # The conversation goes on: each call has its answer, in whatever form the provider wants the broken one back.
        told_so = [
            *unreadable_calls(answer.message),
            ToolMessage("ok", tool_call_id=answer.message.tool_calls[0]["id"] or ""),
        ]
        await told(asked, Prompt((*QUESTION.messages, answer.message, *told_so), (SEARCH,)))
        assert "no JSON object" in endpoint.asked[1].results[0]


async def test_a_list_of_arguments_is_no_call() -> None:
    _, _, answer = await ask("chat", Say(calls=(Calls("search", "[1]"),)))
    assert [call["args"] for call in answer.message.invalid_tool_calls] == ["[1]"]
    # The client of the responses protocol gives up on it, so that the model is asked again.
    _, restarts, answer = await ask("responses", Say(calls=(Calls("search", "[1]"),)), Say("Well."))
    assert len(restarts) == 1
    assert str(answer.message.text) == "Well."


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("breaks", ["dead", "error", "silent_end"])
async def test_a_stream_that_breaks_off_begins_anew_and_its_cost_is_counted(protocol: Protocol, breaks: str) -> None:
    lost = Say("It rests on nothing at", breaks=breaks)  # pyright: ignore[reportArgumentType]

    text, restarts, answer = await ask(protocol, lost, Say("It rests on the ledger."))

    assert "".join(text) == "It rests on the ledger." == str(answer.message.text)
    assert [restart.model for restart in restarts] == [NAMES[protocol]]
    assert "broke off" in restarts[0].reason
    assert answer.usage.input_tokens > 100


async def test_an_answer_that_stops_in_the_middle_runs_into_its_time() -> None:
    with serving(in_turn(Say("It rests", breaks="stall"))) as endpoint:
        asked = model(endpoint, "chat", architect_model_seconds=1, architect_model_retries=0)
        with pytest.raises(ModelUnavailable, match="did not answer in time") as raised:
            await told(asked)
    assert raised.value.usage.output_tokens > 0
    assert raised.value.retry


async def test_a_server_that_says_nothing_at_all_runs_into_its_time() -> None:
    with serving(in_turn(Hang())) as endpoint:
        asked = model(endpoint, "responses", architect_model_seconds=1, architect_model_retries=0)
        with pytest.raises(ModelUnavailable, match="did not answer in time"):
            await told(asked)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_refusal_is_an_answer(protocol: Protocol) -> None:
    _, restarts, answer = await ask(protocol, Say(refusal="I will not help with that."))
    assert not restarts
    assert answer.refusal == (
        "I will not help with that." if protocol != "messages" else "The provider's filter declined to answer."
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_answer_at_its_limit_says_that_it_was_cut(protocol: Protocol) -> None:
    _, _, answer = await ask(protocol, Say("It rests on", cut=True))
    assert answer.cut
    assert str(answer.message.text) == "It rests on"


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_server_that_counts_no_tokens_costs_what_it_looks_like(protocol: Protocol) -> None:
    _, _, answer = await ask(protocol, Say("x" * 400, tokens=None))
    assert answer.usage.output_tokens == 100
    assert answer.usage.input_tokens > 0


async def test_a_busy_server_is_asked_again_when_it_says() -> None:
    busy = Fail(429, "Slow down", headers={"retry-after": "0"})
    text, restarts, _ = await ask("chat", busy, busy, Say("Now."))
    assert text == ["Now."]
    assert ["429" in restart.reason for restart in restarts] == [True, True]


@pytest.mark.parametrize(
    "failure", [Fail(400, "bad"), Fail(403), Fail(404), Fail(429, "No money", "insufficient_quota")]
)
async def test_what_will_not_change_is_not_asked_again(failure: Fail) -> None:
    with serving(in_turn(failure)) as endpoint:
        with pytest.raises(ModelUnavailable, match=str(failure.status)):
            await told(model(endpoint, "chat"))
        assert len(endpoint.asked) == 1


async def test_the_next_model_answers_with_its_own_key_at_its_own_place() -> None:
    """Another provider gets neither the key nor the base URL of the first."""
    with serving(in_turn(Fail(404, "no such model"), Fail(500), Say("From the second."))) as endpoint:
        more = {"architect_fallback_models": ("openai:gpt-5-mini",), "architect_model_retries": 1}
        asked = model(endpoint, "chat", **more)
        text, restarts, answer = await told(asked)
    assert text[-1] == "second." or "".join(text) == "From the second."
    assert answer.model == "openai:gpt-5-mini"
    assert [restart.model for restart in restarts] == ["openai:gpt-5-mini", "openai:gpt-5-mini"]
    assert asked.fallbacks == ["openai:gpt-5-mini"]
    assert [each.body["model"] for each in endpoint.asked] == ["gpt-5.2", "gpt-5-mini", "gpt-5-mini"]


async def test_a_provider_reads_another_ones_answers_by_words_and_calls() -> None:
    with serving(in_turn(Say("Looking.", (Calls("search", '{"text": "a"}'),)))) as first:
        _, _, answer = await told(model(first, "responses"))
    with serving(in_turn(Say("Seen."))) as second:
        result = ToolMessage("found", tool_call_id=answer.message.tool_calls[0]["id"] or "")
        await told(model(second, "messages"), Prompt((*QUESTION.messages, answer.message, result), (SEARCH,)))
        [asked] = second.asked
    assert "Looking." in asked.text
    assert asked.results == ["found"]


async def test_no_secret_goes_out_or_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    token = "ghp_0123456789abcdefghijABCDEFGHIJ456789"
    prompt = Prompt(
        (HumanMessage(f"My token is {token} and your key {KEY}"), AIMessage(f"I saw {token}"), HumanMessage("So?"))
    )
    caplog.set_level(logging.DEBUG)
    with serving(in_turn(Fail(500, f"{KEY} is not good"), Say(f"You said {token}"))) as endpoint:
        asked = model(endpoint, "chat")
        _, restarts, answer = await told(asked, prompt)
        assert token not in endpoint.asked[0].text
        assert KEY not in endpoint.asked[0].text
    assert str(answer.message.text) == "You said [redacted]"
    assert KEY not in repr((asked, restarts))
    ours = [record.getMessage() + str(record.__dict__) for record in caplog.records if record.name.startswith("ameide")]
    assert not any(KEY in line or token in line for line in ours)


async def told_all(events: AsyncGenerator[object]) -> None:
    """To the end."""
    async for _ in events:
        pass


@pytest.mark.parametrize("canceled", [False, True])
async def test_whoever_stops_listening_ends_the_call_and_is_told_what_it_used(canceled: bool) -> None:
    lost: list[Usage] = []
    with serving(in_turn(Say("It rests on ", breaks="stall"))) as endpoint:
        events = model(endpoint, "chat").ask(replace(QUESTION, broken_off=lost.append))
        assert isinstance(await anext(events), TextDelta)
        if canceled:
            listening = asyncio.create_task(told_all(events))
            await asyncio.wait((listening,), timeout=0.2)
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        else:
            await events.aclose()
        assert await asyncio.to_thread(endpoint.left.wait, 5)
    [usage] = lost
    assert usage.input_tokens
    assert usage.output_tokens


async def test_many_conversations_ask_at_once() -> None:
    with serving(lambda asked: Say(f"answer to {asked.body['messages'][-1]['content']}", tokens=Tokens())) as endpoint:
        asked = model(endpoint, "chat")
        prompts = [Prompt((HumanMessage(f"question {number}"),)) for number in range(20)]
        answers = await asyncio.gather(*(told(asked, prompt) for prompt in prompts))
    assert ["".join(text) for text, _, _ in answers] == [f"answer to question {number}" for number in range(20)]


def settings(**more: object) -> Settings:
    return Settings(**({"architect_model": "openai:gpt-5.2", "openai_api_key": KEY} | more))  # pyright: ignore


def test_without_a_model_there_is_none() -> None:
    assert model_of(Settings()) is None


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"architect_model": "gpt-5.2"}, "AMEIDE_ARCHITECT_MODEL: 'gpt-5.2' is no name of a model"),
        ({"architect_model": "", "architect_fallback_models": ("openai:x",)}, "nothing|no model to fall back from"),
        ({"openai_api_key": ""}, "AMEIDE_ARCHITECT_MODEL_KEY: there is no key"),
        ({"architect_fallback_models": ("anthropic:claude",)}, "ANTHROPIC_API_KEY: there is no key"),
        ({"architect_model_url": "models.example"}, "AMEIDE_ARCHITECT_MODEL_URL: is not a URL"),
        ({"architect_model_url": "https://me:pass@models.example"}, "AMEIDE_ARCHITECT_MODEL_URL: is not a URL"),
        ({"architect_model_protocol": "grpc"}, "AMEIDE_ARCHITECT_MODEL_PROTOCOL: 'grpc'"),
        ({"architect_model_options": ("api_key=x",)}, "AMEIDE_ARCHITECT_MODEL_OPTIONS: api_key is not an option"),
        ({"architect_model_options": ("fast",)}, "AMEIDE_ARCHITECT_MODEL_OPTIONS: 'fast' has no value"),
    ],
)
def test_wrong_settings_name_the_variable(more: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        model_of(settings(**more))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("google_genai:gemini-3", "pip install langchain-google-genai"),
        ("nobody:model", "nobody is no provider that LangChain knows"),
    ],
)
async def test_a_provider_that_is_not_there_says_how_to_install_it(name: str, message: str) -> None:
    asked = model_of(settings(architect_model=name))
    assert asked is not None
    with pytest.raises(InvalidArgument, match=message):
        await asked.load()
    with pytest.raises(ModelUnavailable, match=message):
        await told(asked)


async def test_a_client_that_does_not_take_an_option_shows_no_key() -> None:
    asked = model_of(settings(architect_model_options=("default_headers=hot",)))
    assert asked is not None
    with pytest.raises(InvalidArgument, match="default_headers") as raised:
        await asked.load()
    assert KEY not in str(raised.value)


async def test_options_reach_the_model() -> None:
    with serving(in_turn(Say("Yes."))) as endpoint:
        await told(model(endpoint, "responses", architect_model_options=("reasoning_effort=low",)))
    [asked] = endpoint.asked
    assert asked.body["reasoning"]["effort"] == "low"
    assert asked.body["store"] is False
    assert asked.body["include"] == ["reasoning.encrypted_content"]
