"""`ask`: a question to the Architect agent, in a turn that only answers."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal

from mcp_types import CallToolResult, Tool
from protobuf import Oneof

from ameide.architect.mcp.reading import LINES, lines_as_json
from ameide.architect.mcp.visit import READ, Offer, Visit, answered, failed, reading
from ameide.architect.records import key_of
from ameide.architect.tools.arguments import checked, schema, string
from ameide.architect.tools.tool import Grant
from ameide.errors import Internal
from ameide_core_proto.agent.transformation.v1.architect_service_pb import (
    CitedRecord,
    ConverseRequest,
    ConverseResponse,
    Notice,
    ToolUsed,
    TurnBegan,
    TurnEnded,
    Voided,
)

_INPUT = schema(
    ["question"],
    question=string(
        "What you want to know of repositories, changes, runs, gates, works or releases.", most=16384, least=1
    ),
    repository_id=string("Of a new conversation: the repository that it is about.", most=63),
    change_id=string("Of a new conversation: the change that it is about.", most=63),
    conversation_id=string("Of the answer before, to go on.", most=63),
)
_CITATION: dict[str, object] = {
    "type": "object",
    "properties": {
        "number": {"type": "integer", "description": "As the answer refers to it: [number]."},
        "key": {"type": "string", "description": "Kind and ref of the record, as the read tools give them."},
        "label": {"type": "string"},
        "log_position": {"type": "integer"},
        "lines": LINES,
    },
    "required": ["number", "key", "label", "log_position"],
}
_TEXTS: dict[str, object] = {"type": "array", "items": {"type": "string"}}
_OUTPUT: dict[str, object] = {
    "type": "object",
    "properties": {
        "answer": {"type": "string"},
        "citations": {"type": "array", "items": _CITATION},
        "notices": {**_TEXTS, "description": "What the program says about the answer, such as that no model is there."},
        "not_found": _TEXTS,
        "conversation_id": {"type": "string"},
        "model": {"type": "string", "description": "Empty: none is configured, the answer comes from the records."},
        "read_position": {"type": "integer", "description": "Up to which position of the log it had read, at least."},
    },
    "required": ["answer", "citations", "notices", "not_found", "conversation_id", "model", "read_position"],
}


@dataclass(slots=True)
class _Reply:
    """A turn as it comes in. Of what it says the number of the event is kept, since it may be voided."""

    text: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    cited: list[tuple[int, CitedRecord]] = field(default_factory=list[tuple[int, CitedRecord]])
    notices: list[str] = field(default_factory=list[str])
    began: TurnBegan = field(default_factory=TurnBegan)
    ended: TurnEnded | None = None

    async def take(self, event: ConverseResponse, visit: Visit) -> None:
        """One piece of it."""
        match event.event.value if event.event else None:
            case str() as text:
                self.text.append((event.seq, text))
            case CitedRecord() as cited:
                self.cited.append((event.seq, cited))
            case Voided() as voided:
                self.text = [one for one in self.text if one[0] < voided.from_seq]
                self.cited = [one for one in self.cited if one[0] < voided.from_seq]
            case Notice() as notice:
                self.notices.append(notice.text)
                await visit.tell(notice.text)
            case ToolUsed() as used:
                await visit.tell(f"{used.name} {used.asked}".strip())
            case TurnBegan() as began:
                self.began = began
            case TurnEnded() as ended:
                self.ended = ended
            case _:
                pass


async def _ask(visit: Visit, arguments: Mapping[str, object]) -> CallToolResult:
    given = checked(arguments, _INPUT)
    request = ConverseRequest(
        scope=visit.scope,
        turn_id=f"mcp-{uuid.uuid4().hex}",
        conversation_id=given.text("conversation_id"),
        repository_id=given.text("repository_id"),
        change_id=given.text("change_id"),
        read_only=True,
        instruction=_text(given.text("question")),
    )
    reply = _Reply()
    async with aclosing(visit.around.converse(visit.guest, request)) as events:
        async for event in events:
            await reply.take(event, visit)
    if reply.ended is None:
        raise Internal("the turn ended without its end", remedy="Ask again")
    return _told(reply, reply.ended)


def _told(reply: _Reply, ended: TurnEnded) -> CallToolResult:
    answer = "".join(text for _, text in reply.text).strip()
    lines = [answer] if answer else []
    lines += [f"[{cited.number}] {cited.label} ({_key(cited)})" for _, cited in reply.cited]
    lines += [f"note: {notice}" for notice in reply.notices]
    lines += [f"not found: {what}" for what in ended.not_found]
    if not lines:
        return failed("the agent said nothing; ask again in other words")
    lines.append(f"conversation {reply.began.conversation_id}, read up to log position {ended.read_position}")
    return answered(
        "\n\n".join(lines),
        {
            "answer": answer,
            "citations": [_citation(cited) for _, cited in reply.cited],
            "notices": reply.notices,
            "not_found": list(ended.not_found),
            "conversation_id": reply.began.conversation_id,
            "model": reply.began.model,
            "read_position": ended.read_position,
        },
    )


def _text(question: str) -> Oneof[Literal["text"], str]:
    return Oneof(field="text", value=question)


def _key(cited: CitedRecord) -> str:
    return key_of(cited.citation.kind, cited.citation.ref) if cited.citation else ""


def _citation(cited: CitedRecord) -> dict[str, object]:
    told: dict[str, object] = {
        "number": cited.number,
        "key": _key(cited),
        "label": cited.label,
        "log_position": cited.citation.log_position if cited.citation else 0,
    }
    return told | ({"lines": lines_as_json(cited.lines)} if cited.lines is not None else {})


OFFER = Offer(
    Tool(
        name="ask",
        description="Ask the Architect agent of this control plane. It reads records and repositories, answers with"
        " citations that were checked, and changes nothing. May take minutes.",
        input_schema=_INPUT,
        output_schema=_OUTPUT,
        annotations=reading("Ask the Architect agent", open_world=True),
    ),
    READ,
    Grant.READ.value,
    _ask,
)
