"""A model that says what a test wrote down for it; a fake of the model port, and of nothing else."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.messages.tool import invalid_tool_call, tool_call

from ameide.architect.agent import Situation
from ameide.architect.ports import Answer, ModelUnavailable, Prompt, Restarted, TextDelta
from ameide_core_proto.transformation.work.v1.work_pb import Usage

USED = Usage(input_tokens=10, output_tokens=5, cost_micros=100, model="scripted:one")
Event = TextDelta | Restarted | Answer | ModelUnavailable
Line = Sequence[Event] | Callable[[Prompt], Sequence[Event]]


@dataclass
class Scripted:
    """Says one line of the script after the other, and remembers what it was asked."""

    script: list[Line] = field(default_factory=list[Line])
    asked: list[Prompt] = field(default_factory=list[Prompt])
    name: str = "scripted:one"

    async def ask(self, prompt: Prompt) -> AsyncGenerator[TextDelta | Restarted | Answer]:
        """The next line."""
        self.asked.append(prompt)
        line = self.script.pop(0)
        for event in line(prompt) if callable(line) else line:
            if isinstance(event, ModelUnavailable):
                raise event
            yield event


class Plain:
    """Prompts of a few words."""

    def opening(self, situation: Situation) -> BaseMessage:
        """Who is there."""
        return SystemMessage(content=f"{situation.person} {situation.change_id} {situation.summary}")

    def shortening(self, summary: str, messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
        """Asks for it."""
        return [HumanMessage(content=f"shorten {len(messages)} messages after {summary!r}")]


def says(text: str) -> list[Event]:
    """An answer in words, in two pieces."""
    half = len(text) // 2
    message = AIMessage(content=text)
    return [TextDelta(text[:half]), TextDelta(text[half:]), Answer(message, "scripted:one", USED)]


def calls(*wanted: tuple[str, dict[str, Any]], text: str = "") -> list[Event]:
    """An answer that calls tools."""
    made = [tool_call(name=name, args=args, id=f"call-{place}") for place, (name, args) in enumerate(wanted)]
    said: list[Event] = [TextDelta(text)] if text else []
    return [*said, Answer(AIMessage(content=text, tool_calls=made), "scripted:one", USED)]


def calls_badly(name: str, arguments: str) -> list[Event]:
    """A call whose arguments are no object."""
    broken = invalid_tool_call(name=name, args=arguments, id="call-0", error="no JSON object")
    return [Answer(AIMessage(content="", invalid_tool_calls=[broken]), "scripted:one", USED)]
