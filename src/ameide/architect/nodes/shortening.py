"""What is left out of a long conversation, and stands in its summary from then on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from langchain_core.messages import BaseMessage, HumanMessage
from langgraph.runtime import Runtime

from ameide.architect.nodes.messages import fitting, kept, loaded, size
from ameide.architect.nodes.recording import counted
from ameide.architect.ports import Answer, ModelUnavailable, Prompt
from ameide.architect.state import State, Talk, Turn, added
from ameide.architect.turn import Course
from ameide.contracts.usage import added as sum_of
from ameide_core_proto.transformation.work.v1.work_pb import Usage

_SUMMARY = 8_000
_KEEP = 2


@dataclass(frozen=True, slots=True)
class Shorter:
    """The conversation with less in it, and what its summary used."""

    talk: Talk
    usage: Usage


async def shorten(state: State, runtime: Runtime[Course]) -> dict[str, object]:
    """Summarise all but the last turns when the messages are too many; by the model, or else by its first words."""
    course, talk, turn = runtime.context, state["talk"], state["turn"]
    messages = loaded(talk["messages"])
    if _sum(messages) <= course.agent.limits.characters or turn["pending"]:
        return {}
    begins = _begins(messages)
    # A turn is kept whole: an answer of a tool means nothing without the call.
    cut = begins[-_KEEP] if len(begins) > _KEEP else begins[-1] if begins else 0
    old = messages[:cut]
    if not old:
        return {}
    summary, usage = await _summary(course, talk, turn, old)
    return {
        "talk": {**talk, "summary": course.agent.redact(summary)[:_SUMMARY], "messages": talk["messages"][cut:]},
        "turn": {
            **turn,
            "usage": added(turn["usage"], usage),
            "unreported": added(turn["unreported"], usage),
        },
    }


async def shortened(course: Course, talk: Talk, turn: Turn) -> Shorter | None:
    """The conversation, when it was more than the model can take: with half of it at most, as far as that goes.

    Turns that are over go into the summary first, then answers of tools are left out. None when neither is any shorter.
    """
    messages = fitting(loaded(talk["messages"]), course.agent.limits.characters)
    sent = _sum(messages) + len(talk["summary"])
    begins, room = _begins(messages)[1:], sent
    while room := room // 2:
        most = min(_SUMMARY, room // 4)
        # As much of it as goes in beside the summary; the turn that is going on stays in any case.
        cut = next((at for at in begins if _sum(messages[at:]) <= room - most), begins[-1] if begins else 0)
        left = fitting(messages[cut:], room - most)
        if _sum(left) + min(most, len(talk["summary"]) if not cut else most) < sent:
            break
    else:
        return None
    summary, usage = talk["summary"], Usage()
    if cut:
        summary, usage = await _summary(course, talk, turn, messages[:cut])
    summary = course.agent.redact(summary)[:most]
    return Shorter({**talk, "summary": summary, "messages": [kept(message) for message in left]}, usage)


async def _summary(course: Course, talk: Talk, turn: Turn, old: list[BaseMessage]) -> tuple[str, Usage]:
    async with counted(course, talk, turn) as lost:
        return await _summed_up(course, talk["summary"], old, lost if turn["asks_model"] else None)


async def _summed_up(
    course: Course, before: str, old: list[BaseMessage], lost: Callable[[Usage], None] | None
) -> tuple[str, Usage]:
    model, prompting = course.agent.model, course.agent.prompting
    usage = Usage()
    while old and lost is not None and model is not None and prompting is not None:
        prompt = Prompt(prompting.shortening(before, old), broken_off=lost)
        try:
            async with aclosing(model.ask(prompt)) as events:
                async for event in events:
                    if not isinstance(event, Answer):
                        continue
                    usage = sum_of([usage, event.usage])
                    if not event.refusal and event.message.text:
                        return str(event.message.text), usage
        except ModelUnavailable as error:
            usage = sum_of([usage, error.usage])
            if error.too_long:
                # Of the first half the first words will do.
                half = (len(old) + 1) // 2
                before, old = _first_words(before, old[:half]), old[half:]
                continue
        break
    return _first_words(before, old), usage


def _first_words(before: str, old: list[BaseMessage]) -> str:
    asked = [" ".join(str(message.text).split())[:200] for message in old if isinstance(message, HumanMessage)]
    return "\n".join(filter(None, [before, *(f"Asked: {text}" for text in asked)]))[-_SUMMARY:]


def _begins(messages: list[BaseMessage]) -> list[int]:
    """Where the turns begin."""
    return [place for place, message in enumerate(messages) if isinstance(message, HumanMessage)]


def _sum(messages: list[BaseMessage]) -> int:
    return sum(size(message) for message in messages)
