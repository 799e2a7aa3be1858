"""The messages that the model is given, as the state keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    ToolMessage,
    message_to_dict,
    messages_from_dict,
)

Kept = dict[str, object]
_TOO_LONG = "(left out, since it is longer than can be taken in; ask for less of it)"
_LEFT_OUT = "(left out, since much was read after it; call it again if it is needed)"

# An answer that is no longer than what would stand in its place stays.
_SHORT = 256


def kept(message: BaseMessage) -> Kept:
    """A message as plain values."""
    return cast("Kept", message_to_dict(message))


def loaded(messages: Sequence[Kept]) -> list[BaseMessage]:
    """Messages as LangChain has them."""
    return messages_from_dict(cast("Sequence[dict[str, Any]]", messages))


def from_person(text: str) -> Kept:
    """What a person said."""
    return kept(HumanMessage(content=text))


def answered(messages: list[Kept], calls: Sequence[Mapping[str, object]], text: str) -> list[Kept]:
    """The messages with one more answer for each of the model's calls: providers refuse a call without one."""
    return messages + [kept(ToolMessage(content=text, tool_call_id=str(call["id"]))) for call in calls]


def by_form(messages: list[Kept], asked: str, came: str) -> list[Kept]:
    """The messages with what a person had done by a form, so that the model knows of it. Nobody else's words in it."""
    return [*messages, from_person(asked), kept(AIMessage(content=came))]


def fitting(messages: list[BaseMessage], characters: int) -> list[BaseMessage]:
    """The messages within a limit: the answers of tools that were given first are left out."""
    fit: list[BaseMessage] = []
    for message in reversed(messages):
        characters -= size(message)
        if characters < 0 and isinstance(message, ToolMessage) and size(message) > _SHORT:
            why = _LEFT_OUT if any(isinstance(later, AIMessage) for later in fit) else _TOO_LONG
            message = ToolMessage(content=why, tool_call_id=message.tool_call_id)
        fit.append(message)
    return fit[::-1]


def size(message: BaseMessage) -> int:
    """Characters, roughly."""
    return len(str(message.content)) + 64  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
