"""Answers as the three protocols stream them: the events of one answer, from its beginning to its end or its break."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.architect.model_endpoint import Say, Tokens


@dataclass(frozen=True)
class Event:
    """One server-sent event; without data a comment, which keeps the connection alive."""

    name: str
    data: object

    def encoded(self) -> bytes:
        """As it goes over the wire."""
        if self.data is None:
            return b": still here\n\n"
        head = f"event: {self.name}\n" if self.name else ""
        body = self.data if isinstance(self.data, str) else json.dumps(self.data)
        return f"{head}data: {body}\n\n".encode()


def chat(reply: Say, body: dict[str, Any]) -> Iterator[Event]:
    """Chat completions: deltas, the reason of the end, the usage if it was asked for, [DONE]."""
    head: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": f"{body['model']}-2026",
    }

    def delta(finish: str | None = None, **said: object) -> Event:
        choice = {"index": 0, "delta": said, "finish_reason": finish}
        return Event("", head | {"choices": [choice]})

    yield delta(role="assistant", content="")
    for piece in reply.pieces():
        yield delta(content=piece)
    if reply.refusal:
        yield delta(refusal=reply.refusal)
    for index, call in enumerate(reply.calls):
        function = {"name": call.name, "arguments": ""}
        yield delta(tool_calls=[{"index": index, "id": call.id, "type": "function", "function": function}])
        for part in _halves(call.arguments):
            yield delta(tool_calls=[{"index": index, "function": {"arguments": part}}])
    if reply.breaks == "error":
        yield Event("", {"error": {"message": "the engine is gone", "type": "server_error", "code": "server_error"}})
    if reply.breaks:
        return
    yield delta("length" if reply.cut else "tool_calls" if reply.calls else "stop")
    if reply.tokens and body.get("stream_options") == {"include_usage": True}:
        used = reply.tokens
        counted: dict[str, Any] = {
            "prompt_tokens": used.read,
            "completion_tokens": used.written,
            "total_tokens": used.read + used.written,
            "prompt_tokens_details": {"cached_tokens": used.cached},
            "completion_tokens_details": {"reasoning_tokens": used.thought},
        }
        last: dict[str, Any] = {"choices": [], "usage": counted}
        yield Event("", head | last)
    yield Event("", "[DONE]")


def responses(reply: Say, body: dict[str, Any]) -> Iterator[Event]:
    """Responses: items with their parts, each added, filled and done; then the whole response."""
    sequence = iter(range(10_000))

    def event(kind: str, **said: object) -> Event:
        return Event(kind, {"type": kind, "sequence_number": next(sequence), **said})

    def whole(status: str, output: list[dict[str, Any]], **more: object) -> dict[str, Any]:
        about: dict[str, Any] = {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "model": f"{body['model']}-2026",
        }
        rest: dict[str, Any] = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "error": None}
        return about | rest | {"status": status, "output": output, "incomplete_details": None, **more}

    yield event("response.created", response=whole("in_progress", []))
    output: list[dict[str, Any]] = []
    if reply.text or reply.refusal:
        item: dict[str, Any] = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
        at: dict[str, Any] = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        begun: dict[str, Any] = {"status": "in_progress", "content": []}
        yield event("response.output_item.added", output_index=0, item=item | begun)
        for piece in reply.pieces():
            yield event("response.output_text.delta", delta=piece, logprobs=[], **at)
        part: dict[str, Any] = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
        if reply.refusal:
            part = {"type": "refusal", "refusal": reply.refusal}
            yield event("response.refusal.done", refusal=reply.refusal, **at)
        elif not reply.breaks:
            yield event("response.output_text.done", text=reply.text, logprobs=[], **at)
        output.append(item | {"content": [part]})
    for call in reply.calls:
        index = len(output)
        item = {"type": "function_call", "id": f"fc_{index}", "call_id": call.id, "name": call.name}
        yield event("response.output_item.added", output_index=index, item=item | {"arguments": ""})
        for piece in _halves(call.arguments):
            yield event("response.function_call_arguments.delta", item_id=item["id"], output_index=index, delta=piece)
        output.append(item | {"arguments": call.arguments, "status": "completed"})
        yield event("response.output_item.done", output_index=index, item=output[-1])
    if reply.breaks == "error":
        error = {"code": "server_error", "message": "the engine is gone"}
        yield event("response.failed", response=whole("failed", output, error=error))
    if reply.breaks:
        return
    used = _responses_usage(reply.tokens)
    if reply.cut:
        why = {"reason": "max_output_tokens"}
        yield event("response.incomplete", response=whole("incomplete", output, usage=used, incomplete_details=why))
    else:
        yield event("response.completed", response=whole("completed", output, usage=used))


def _responses_usage(used: Tokens | None) -> dict[str, Any] | None:
    if used is None:
        return None
    return {
        "input_tokens": used.read,
        "input_tokens_details": {"cached_tokens": used.cached},
        "output_tokens": used.written,
        "output_tokens_details": {"reasoning_tokens": used.thought},
        "total_tokens": used.read + used.written,
    }


def messages(reply: Say, body: dict[str, Any]) -> Iterator[Event]:
    """Anthropic's messages: what was read is told at the beginning, what was written at the end."""
    used = reply.tokens
    start = {"input_tokens": 0, "output_tokens": 0}
    if used:
        start = {"input_tokens": used.read - used.cached, "output_tokens": 1, "cache_read_input_tokens": used.cached}
    about: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": f"{body['model']}-2026",
        "content": [],
    }

    def event(kind: str, **said: object) -> Event:
        return Event(kind, {"type": kind, **said})

    yield event("message_start", message=about | {"stop_reason": None, "stop_sequence": None, "usage": start})
    if reply.text:
        yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        for piece in reply.pieces():
            yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
        if not reply.breaks:
            yield event("content_block_stop", index=0)
    for index, call in enumerate(reply.calls, start=1 if reply.text else 0):
        block: dict[str, Any] = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        yield event("content_block_start", index=index, content_block=block)
        for part in _halves(call.arguments):
            yield event("content_block_delta", index=index, delta={"type": "input_json_delta", "partial_json": part})
        yield event("content_block_stop", index=index)
    if reply.breaks == "error":
        yield event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    if reply.breaks:
        return
    stop = "refusal" if reply.refusal else "max_tokens" if reply.cut else "tool_use" if reply.calls else "end_turn"
    written = start | {"output_tokens": used.written if used else 0}
    yield event("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage=written)
    yield event("message_stop")


def _halves(text: str) -> list[str]:
    """In two pieces, as no reader may expect them whole."""
    middle = len(text) // 2
    return [text[:middle], text[middle:]]


FORMS: Mapping[str, Callable[[Say, dict[str, Any]], Iterator[Event]]] = {
    "chat": chat,
    "responses": responses,
    "messages": messages,
}
