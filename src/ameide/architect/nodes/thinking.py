"""The model's part: it is asked, what it says goes through the speech filter, and the tools that it calls are run."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import cast

from langchain_core.messages import AIMessage
from langgraph.runtime import Runtime
from protobuf import Oneof

from ameide.architect.agent import Situation
from ameide.architect.nodes.messages import Kept, answered, fitting, kept, loaded
from ameide.architect.nodes.recording import counted
from ameide.architect.nodes.shortening import shortened
from ameide.architect.ports import Answer, ModelUnavailable, Prompt, Restarted
from ameide.architect.state import State, Talk, Turn, added, ledger_of, new_errand, request_of
from ameide.architect.tools import registry
from ameide.architect.tools.rendering import for_model
from ameide.architect.tools.tool import Instruction, ToolAnswer
from ameide.architect.turn import Course, Saying, noted, used
from ameide.contracts.usage import added as sum_of
from ameide_core_proto.agent.transformation.v1.architect_service_pb import (
    AnalyzeInstruction,
    ConverseRequest,
    DraftInstruction,
    NoticeKind,
    OpenChangeInstruction,
    StartInstruction,
    SubmitInstruction,
    TriageInstruction,
)
from ameide_core_proto.transformation.work.v1.work_pb import Usage

_NAMES: dict[type[Instruction], str] = {
    TriageInstruction: "triage",
    DraftInstruction: "draft",
    SubmitInstruction: "submit",
    AnalyzeInstruction: "analyze",
    StartInstruction: "start",
    OpenChangeInstruction: "open_change",
}
_ONE_AT_A_TIME = "not done: one command at a time. Propose it again when the one before is settled"
_MOST_CALLS = 16
_SHORTENED = (
    "The conversation is longer than the model can take: what is old in it was shortened, and the model is asked again."
)


async def think(state: State, runtime: Runtime[Course]) -> dict[str, object]:
    """Ask the model once. Nothing has an effect here but the asking itself."""
    course, talk, turn = runtime.context, state["talk"], state["turn"]
    saying = Saying(turn, runtime.stream_writer, course.agent.redact)
    numbers = dict(turn["numbers"])
    answer: Answer | None = None
    usage = Usage()
    for attempt in itertools.count():
        try:
            async with counted(course, talk, turn) as spent:
                # By the times before, should this one be broken off.
                spent(usage)
                answer = await _asked(course, talk, turn, saying, numbers)
            usage = sum_of([usage, answer.usage])
            break
        except ModelUnavailable as error:
            usage, shorter = sum_of([usage, error.usage]), None
            if error.too_long:
                async with counted(course, talk, turn) as spent:
                    spent(usage)
                    shorter = await shortened(course, talk, turn)
            if shorter is None:
                saying.notice(NoticeKind.MODEL_FAILED, str(error))
                break
            talk, usage = shorter.talk, sum_of([usage, shorter.usage])
            if not attempt:
                saying.notice(NoticeKind.LIMIT, _SHORTENED)
            _void(saying, turn, numbers)
    if answer is not None and answer.refusal:
        saying.notice(NoticeKind.REFUSED, answer.refusal)
    if answer is not None and answer.cut:
        saying.notice(NoticeKind.LIMIT, "The answer ended at the limit of its tokens (AMEIDE_ARCHITECT_OUTPUT_TOKENS).")
    message = None if answer is None else _clean(answer.message, course.agent.redact)
    new: list[Kept] = [] if message is None else [kept(message)]
    after = saying.turn()
    after["calls"] += 1
    after["numbers"] = numbers
    after["usage"], after["unreported"] = added(turn["usage"], usage), added(turn["unreported"], usage)
    after["pending"] = [] if answer is None or message is None else _calls(message, answer.model)
    return {"talk": {**talk, "messages": [*talk["messages"], *new]}, "turn": after}


async def _asked(course: Course, talk: Talk, turn: Turn, saying: Saying, numbers: dict[str, int]) -> Answer:
    """The model's answer, said as it comes. Raises ModelUnavailable."""
    model, prompting = course.agent.model, course.agent.prompting
    assert model is not None
    assert prompting is not None
    granted = registry.granted(course.roles, read_only=request_of(turn).read_only)
    situation = Situation(
        person=course.person,
        tenant_id=course.scope.tenant_id,
        repository_id=talk["repository_id"],
        change_id=talk["change_id"],
        read_only=request_of(turn).read_only,
        tools=[tool.name for tool in granted],
        summary=talk["summary"],
    )
    messages = fitting(loaded(talk["messages"]), course.agent.limits.characters)
    speech = course.agent.speaking(ledger_of(talk), numbers, course.lines)
    answer: Answer | None = None
    asked, tools = [prompting.opening(situation), *messages], [tool.spec for tool in granted]
    async with (
        counted(course, talk, turn) as lost,
        aclosing(model.ask(Prompt(asked, tools, talk["conversation_id"], lost))) as events,
    ):
        async for event in events:
            if isinstance(event, Answer):
                answer = event
                lost(event.usage)
            elif isinstance(event, Restarted):
                saying.notice(
                    NoticeKind.MODEL_FAILED, f"{event.reason}. What it said is void; {event.model} begins anew."
                )
                _void(saying, turn, numbers)
                speech = course.agent.speaking(ledger_of(talk), numbers, course.lines)
            else:
                saying.pieces(await speech.hear(event.text))
        saying.pieces(await speech.end())
    assert answer is not None
    return answer


def _void(saying: Saying, turn: Turn, numbers: dict[str, int]) -> None:
    """What was said of this answer stands no more, and its citations are told again when they are needed."""
    saying.void()
    numbers.clear()
    numbers.update(turn["numbers"])


async def call_tools(state: State, runtime: Runtime[Course]) -> dict[str, object]:
    """Run what the model called, together. Tools only read; one that proposes makes an errand, and nothing happens."""
    course, turn = runtime.context, state["turn"]
    calls, context = turn["pending"], course.reading(state)
    answers = await asyncio.gather(
        *(registry.call(context, str(call["name"]), _arguments(call)) for call in calls[:_MOST_CALLS])
    )
    saying = Saying(turn, runtime.stream_writer, course.agent.redact)
    for call, answer in zip(calls, answers, strict=False):
        used(saying, str(call["name"]), answer, course.agent.redact)
    talk, turn = noted(state["talk"], saying.turn(), answers)
    messages, errand = talk["messages"], None
    for call, answer in zip(calls, answers, strict=False):
        if answer.proposal is None:
            messages = answered(messages, [call], _told(answer, course))
        elif errand is None:
            instruction = _instruction(turn["request"], answer.proposal)
            errand = new_errand(instruction, str(call["id"]), str(call.get("model", "")))
        else:
            messages = answered(messages, [call], _ONE_AT_A_TIME)
    messages = answered(messages, calls[_MOST_CALLS:], f"not run: at most {_MOST_CALLS} calls at once")
    return {"talk": {**talk, "messages": messages}, "turn": {**turn, "pending": []}, "errand": errand}


async def stop(state: State, runtime: Runtime[Course]) -> dict[str, object]:
    """The model wants more, and may not: its calls are answered, and the person is told."""
    course, turn, talk = runtime.context, state["turn"], state["talk"]
    saying = Saying(turn, runtime.stream_writer, course.agent.redact)
    if turn["asks_model"]:
        saying.notice(
            NoticeKind.LIMIT, f"The model was asked {turn['calls']} times about this, which is all that it may be."
        )
    messages = answered(talk["messages"], turn["pending"], "not run: the turn is at its end")
    return {"talk": {**talk, "messages": messages}, "turn": {**saying.turn(), "pending": []}}


def _clean(message: AIMessage, redact: Callable[[str], str]) -> AIMessage:
    """The answer as it is kept: words and arguments without secrets, wherever the model has them from."""
    content = cast("object", message.content)
    update: dict[str, object] = {
        "tool_calls": [{**call, "args": _masked(call["args"], redact)} for call in message.tool_calls],
        "invalid_tool_calls": [{**call, "args": redact(call["args"] or "")} for call in message.invalid_tool_calls],
    }
    if isinstance(content, str):
        update["content"] = redact(content)
    return message.model_copy(update=update)


def _masked(value: object, redact: Callable[[str], str]) -> object:
    match value:
        case str():
            return redact(value)
        case list():
            return [_masked(each, redact) for each in cast("list[object]", value)]
        case dict():
            return {name: _masked(each, redact) for name, each in cast("dict[str, object]", value).items()}
        case _:
            return value


def _calls(message: AIMessage, model: str) -> list[dict[str, object]]:
    calls: list[dict[str, object]] = []
    for call in message.tool_calls:
        calls.append({"id": call["id"], "name": call["name"], "arguments": dict(call["args"]), "model": model})
    for broken in message.invalid_tool_calls:
        # The registry tells the model what is wrong with them.
        calls.append(
            {"id": broken["id"], "name": broken["name"] or "", "arguments": broken["args"] or "", "model": model}
        )
    return calls


def _arguments(call: Mapping[str, object]) -> Mapping[str, object] | str:
    arguments = call["arguments"]
    return cast("Mapping[str, object]", arguments) if isinstance(arguments, dict) else str(arguments)


def _told(answer: ToolAnswer, course: Course) -> str:
    return course.agent.redact(for_model(answer))


def _instruction(request: bytes, proposal: Instruction) -> bytes:
    """As if the person had sent it by form."""
    asked = ConverseRequest.from_binary(request)
    asked.instruction = Oneof(_NAMES[type(proposal)], proposal)  # pyright: ignore[reportAttributeAccessIssue]
    return asked.to_binary()
