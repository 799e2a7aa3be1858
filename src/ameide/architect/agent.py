"""What the agent is made of: its model, if it has one, what it reads by, how it drafts and speaks, and its limits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ameide.architect.ports import EvidenceReader, Model, RepositoryReader
from ameide.architect.records import Ledger
from ameide.architect.tools.tool import ToolContext
from ameide.architect.unaided.retrieval import Retrieved, retrieve
from ameide_core_proto.agent.transformation.v1.architect_service_pb import (
    CitedRecord,
    FileLines,
    Notice,
)

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

Said = str | CitedRecord | Notice
"""A piece of what is said: text, a record that the text after it cites, or a notice about what was taken out."""
Lines = Callable[[str, str, str, int, int], Awaitable[FileLines]]
"""The bytes of lines: (repository, commit, path, first line, last line). Raises NotFound and the like."""


class Speech(Protocol):
    """One answer on its way to the person: every citation and quote in it is checked before it goes on.

    Text is held back while a citation or a quote in it is not whole.
    """

    async def hear(self, text: str) -> Sequence[Said]:
        """A piece of the answer; what of it may be said by now."""
        ...

    async def end(self) -> Sequence[Said]:
        """The answer is over; the rest of it."""
        ...


class Speaking(Protocol):
    """Begins a speech. `numbers` are those of the records cited in this turn by key; the speech adds to them."""

    def __call__(self, ledger: Ledger, numbers: dict[str, int], lines: Lines) -> Speech: ...


@dataclass(frozen=True, slots=True)
class Situation:
    """What the model is told of the conversation, besides what was said. `tools` are the names of those granted."""

    person: str
    tenant_id: str
    repository_id: str
    change_id: str
    read_only: bool
    tools: Sequence[str]
    summary: str = ""


class Prompting(Protocol):
    """What the model is told beyond the messages of the conversation."""

    def opening(self, situation: Situation) -> BaseMessage:
        """The system message. It holds nothing that anybody else may have written, or fences it."""
        ...

    def shortening(self, summary: str, messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
        """Asks for a summary that takes the place of the former one and of these messages."""
        ...


class Retrieve(Protocol):
    """Answers from the records alone."""

    async def __call__(self, ctx: ToolContext, question: str) -> Retrieved: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """`seconds` and `calls` of the model in one turn, `turns` of this process at once, and those of one person."""

    seconds: float = 600.0
    calls: int = 24
    turns: int = 16
    # Characters of messages that the model is given; older ones are summarised.
    characters: int = 120_000
    # Entries of the transcript that are kept; older ones stand in the summary.
    entries: int = 200
    # One person leaves the others room.
    turns_of_one: int = 8


@dataclass(frozen=True, slots=True)
class Agent:
    """All parts of it. Without a model it has neither `prompting` nor a summary in a model's words."""

    repositories: RepositoryReader
    evidence: EvidenceReader
    speaking: Speaking
    retrieve: Retrieve = retrieve
    model: Model | None = None
    fallbacks: Sequence[str] = ()
    prompting: Prompting | None = None
    limits: Limits = Limits()
    redact: Callable[[str], str] = str
