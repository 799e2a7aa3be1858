"""Messages on their way to a provider and back: without secrets, and in no other provider's dialect."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.messages.content import InvalidToolCall
from langchain_core.messages.tool import ToolCall, invalid_tool_call, tool_call

from ameide.architect.ports import Prompt
from ameide.architect.providers import Wanted
from ameide_core_proto.transformation.work.v1.work_pb import Usage

_DIALECT = "ameide_dialect"
_CHARACTERS_A_TOKEN = 4
Redact = Callable[[str], str]


def dialect(want: Wanted) -> str:
    """How a model writes what only it reads again, such as its sealed thoughts."""
    return f"{want.name}/responses" if want.responses else want.name


def sent(messages: Sequence[BaseMessage], to: str, redact: Redact) -> list[BaseMessage]:
    """The messages as this model may read them: of answers that another one gave, words and calls alone."""
    return [_told(message, to, redact) for message in messages]


def _told(message: BaseMessage, to: str, redact: Redact) -> BaseMessage:
    if isinstance(message, AIMessage) and message.response_metadata.get(_DIALECT) != to:
        message = plain(message)
    return message.model_copy(update={"content": _redacted(cast("object", message.content), redact)})


def plain(message: AIMessage) -> AIMessage:
    """Words and calls alone."""
    return AIMessage(
        content=str(message.text), tool_calls=message.tool_calls, invalid_tool_calls=message.invalid_tool_calls
    )


def kept(whole: AIMessageChunk, by: str, redact: Redact) -> AIMessage:
    """An answer as the conversation keeps it: each call with an id of its own, and nothing of its transport."""
    seen: set[str] = set()
    calls: list[ToolCall] = []
    broken: list[InvalidToolCall] = []
    # LangChain takes the beginning of an object for the object, as one needs it while it streams. A call that was cut
    # short is not the call that was meant.
    for chunk in whole.tool_call_chunks:
        name, said, own = chunk["name"] or "", chunk["args"] or "", _own_id(chunk["id"], seen)
        if (arguments := _object(said)) is None:
            broken.append(invalid_tool_call(name=name, args=said, id=own, error="no JSON object"))
        else:
            calls.append(tool_call(name=name, args=arguments, id=own))
    sealed = _sealed(whole.content)
    text = redact(str(whole.text))
    # Only sealed thoughts need a provider's own form; everything else is the same by words and calls.
    content: str | list[str | dict[str, object]] = text
    if sealed:
        content = [*sealed, *([{"type": "text", "text": text}] if text else [])]
    return AIMessage(
        content=cast("str", content), tool_calls=calls, invalid_tool_calls=broken, response_metadata={_DIALECT: by}
    )


def _object(text: str) -> dict[str, object] | None:
    try:
        found: object = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, object]", found) if isinstance(found, dict) else None


def _own_id(given: str | None, seen: set[str]) -> str:
    own = given if given and given not in seen else f"call_{uuid.uuid4().hex[:24]}"
    seen.add(own)
    return own


def _sealed(content: object) -> list[str | dict[str, object]]:
    """Thoughts that the provider signed or encrypted, to be given back to it as they are."""
    blocks = cast("list[object]", content) if isinstance(content, list) else []
    found: list[str | dict[str, object]] = []
    for block in blocks:
        if isinstance(block, dict):
            each = cast("dict[str, object]", block)
            if each.get("encrypted_content") or each.get("signature") or each.get("type") == "redacted_thinking":
                found.append({name: value for name, value in each.items() if name != "index"})
    return found


def unreadable_calls(message: AIMessage) -> list[ToolMessage]:
    """The answers to calls whose arguments are no JSON object, in words that the model can act on."""
    return [
        ToolMessage(
            content="error: the arguments of this call are no JSON object. Nothing was done. Call it again.",
            tool_call_id=call["id"] or "",
            status="error",
        )
        for call in message.invalid_tool_calls
    ]


def refusal(message: AIMessage) -> str:
    """What the provider said when it declined, where that is a part of the content."""
    blocks = cast("list[object]", message.content) if isinstance(message.content, list) else []
    parts = [cast("dict[str, object]", block) for block in blocks if isinstance(block, dict)]
    said = "".join(str(part.get("refusal") or "") for part in parts if part.get("type") == "refusal")
    return said or str(message.additional_kwargs.get("refusal") or "")


def usage(message: AIMessage) -> Usage | None:
    """As the provider counted it; None when it did not."""
    counted = message.usage_metadata
    if not counted or not (counted["input_tokens"] or counted["output_tokens"]):
        return None
    return Usage(
        input_tokens=max(counted["input_tokens"], 0),
        output_tokens=max(counted["output_tokens"], 0),
        cached_input_tokens=_part(counted.get("input_token_details"), "cache_read"),
        reasoning_output_tokens=_part(counted.get("output_token_details"), "reasoning"),
    )


def _part(details: object, name: str) -> int:
    """A service tier stands before the name of what it counts, as in priority_cache_read."""
    found = cast("Mapping[str, object]", details or {})
    return sum(value for key, value in found.items() if key.endswith(name) and isinstance(value, int) and value > 0)


def guessed(messages: Sequence[BaseMessage], prompt: Prompt, whole: AIMessage) -> Usage:
    """What a call cost of which the provider says nothing."""
    asked = sum(len(str(message.content)) for message in messages)
    asked += sum(len(tool.description) + len(str(tool.parameters)) for tool in prompt.tools)
    said = len(str(whole.text)) + sum(len(str(call["args"])) for call in (*whole.tool_calls, *whole.invalid_tool_calls))
    return Usage(input_tokens=-(-asked // _CHARACTERS_A_TOKEN), output_tokens=-(-said // _CHARACTERS_A_TOKEN))


def _redacted(content: object, redact: Redact) -> object:
    if isinstance(content, list):
        return [_redacted_block(block, redact) for block in cast("list[object]", content)]
    return redact(str(content))


def _redacted_block(block: object, redact: Redact) -> object:
    if isinstance(block, str):
        return redact(block)
    fields = cast("dict[str, object]", block)
    text = fields.get("text")
    return fields | {"text": redact(text)} if isinstance(text, str) else fields
