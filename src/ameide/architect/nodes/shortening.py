"""What is left out of a long conversation, and stands in its summary from then on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing

from langchain_core.messages import BaseMessage, HumanMessage
from langgraph.runtime import Runtime

from ameide.architect.nodes.messages import loaded, size
from ameide.architect.nodes.recording import counted
from ameide.architect.ports import Answer, ModelUnavailable, Prompt
from ameide.architect.state import State, added
from ameide.architect.turn import Course
from ameide_core_proto.transformation.work.v1.work_pb import Usage

_SUMMARY = 8_000
_KEEP = 2


async def shorten(state: State, runtime: Runtime[Course]) -> dict[str, object]:
    """Summarise all but the last turns when the messages are too many; by the model, or else by its first words."""
    course, talk, turn = runtime.context, state["talk"], state["turn"]
    messages = loaded(talk["messages"])
    if sum(size(message) for message in messages) <= course.agent.limits.characters or turn["pending"]:
        return {}
    begins = [place for place, message in enumerate(messages) if isinstance(message, HumanMessage)]
    # A turn is kept whole: an answer of a tool means nothing without the call.
    cut = begins[-_KEEP] if len(begins) > _KEEP else begins[-1] if begins else 0
    old = messages[:cut]
    if not old:
        return {}
    async with counted(course, talk, turn) as lost:
        summary, usage = await _summary(course, talk["summary"], old, lost if turn["asks_model"] else None)
    return {
        "talk": {**talk, "summary": course.agent.redact(summary)[:_SUMMARY], "messages": talk["messages"][cut:]},
        "turn": {
            **turn,
            "usage": added(turn["usage"], usage),
            "unreported": added(turn["unreported"], usage),
        },
    }


async def _summary(
    course: Course, before: str, old: list[BaseMessage], lost: Callable[[Usage], None] | None
) -> tuple[str, Usage]:
    model, prompting = course.agent.model, course.agent.prompting
    usage = Usage()
    if lost is not None and model is not None and prompting is not None:
        prompt = Prompt(prompting.shortening(before, old), broken_off=lost)
        try:
            async with aclosing(model.ask(prompt)) as events:
                async for event in events:
                    if not isinstance(event, Answer):
                        continue
                    usage = event.usage
                    if not event.refusal and event.message.text:
                        return str(event.message.text), usage
        except ModelUnavailable as error:
            usage = error.usage
    asked = [" ".join(str(message.text).split())[:200] for message in old if isinstance(message, HumanMessage)]
    return "\n".join(filter(None, [before, *(f"Asked: {text}" for text in asked)]))[-_SUMMARY:], usage
