"""What the agent needs from outside: a model, repositories at a commit, the bytes of evidence."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ameide.errors import Unreachable
from ameide_core_proto.agent.transformation.v1.architect_service_pb import FileLines
from ameide_core_proto.transformation.governance.v1.governance_pb import Repository
from ameide_core_proto.transformation.work.v1.work_pb import EvidenceArtifact, Usage

if TYPE_CHECKING:
    # Tools are used without a model, too, and these take long to load.
    from langchain_core.messages import AIMessage, BaseMessage


class Listing(Protocol):
    """Files below a folder at a commit.

    `folders` counts them by the folders directly below, `left_out` is how many more than `paths` there are, and
    `unreadable` how many links, submodules, and names that are no text on one line.
    """

    @property
    def paths(self) -> Sequence[str]: ...

    @property
    def folders(self) -> Mapping[str, int]: ...

    @property
    def left_out(self) -> int: ...

    @property
    def unreadable(self) -> int: ...


class Found(Protocol):
    """Lines that hold a text, each with the lines around it. `more` says that the limit was reached before the end."""

    @property
    def lines(self) -> Sequence[FileLines]: ...

    @property
    def more(self) -> bool: ...


class RepositoryReader(Protocol):
    """The history of a repository's default branch, read-only. Nothing of it is executed, no working tree is made.

    Raises NotFound for a commit that is not of this history, a folder or a file that is not there, InvalidArgument for
    a path or a text that is none and for what is no text, LimitReached beyond the limits of size and time, Unreachable
    when the repository cannot be fetched, Refused when its credential is missing.
    """

    async def head(self, repository: Repository) -> str:
        """The commit of the default branch, as the remote has it now."""
        ...

    async def list_files(self, repository: Repository, commit_sha: str, folder: str = "", name: str = "") -> Listing:
        """Files below a folder whose path holds `name`, letter case aside."""
        ...

    async def search(self, repository: Repository, commit_sha: str, text: str, folder: str = "") -> Found:
        """Lines of text files that hold the text, letter case aside."""
        ...

    async def read(
        self, repository: Repository, commit_sha: str, path: str, first_line: int = 1, last_line: int = 0
    ) -> FileLines:
        """Lines of a text file, counted from 1; `last_line` 0 is the last one that the limit allows."""
        ...


class EvidenceReader(Protocol):
    """The bytes behind evidence."""

    async def read(self, artifact: EvidenceArtifact, limit: int) -> bytes:
        """At most `limit` bytes from the beginning. Raises NotFound, and Refused for other bytes than those hashed."""
        ...


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the model is told of it; `parameters` is a JSON Schema of an object."""

    name: str
    description: str
    parameters: dict[str, object]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question to a model."""

    messages: Sequence[BaseMessage]
    tools: Sequence[ToolSpec] = ()
    # For the span and the log; never content.
    conversation_id: str = ""
    # Told what was used when nobody waits for the answer any more.
    broken_off: Callable[[Usage], object] = lambda _usage: None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of what the model says."""

    text: str


@dataclass(frozen=True, slots=True)
class Restarted:
    """The model did not answer to the end. What it said since `Prompt` is void; another try or model begins anew."""

    reason: str
    model: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The whole answer; always the last event.

    `refusal` is what the provider said when it declined, `cut` whether the answer ended at the limit of its tokens.
    Calls in `message.tool_calls` have arguments that are an object; `message.invalid_tool_calls` are those whose
    arguments are none. Every call has an id of its own, and is to be answered by a ToolMessage.
    """

    message: AIMessage
    model: str
    usage: Usage = field(default_factory=Usage)
    refusal: str = ""
    cut: bool = False


class ModelUnavailable(Unreachable):
    """Neither the model nor a fallback answered to the end. `usage` is what the tries used, as far as that is known.

    `too_long`: one of them was given more than it can take, so that it may answer when it is given less.
    """

    def __init__(self, message: str, *, usage: Usage, remedy: str = "", too_long: bool = False) -> None:
        super().__init__(message, remedy=remedy, reason="MODEL_UNAVAILABLE")
        self.usage = usage
        self.too_long = too_long


class Model(Protocol):
    """A chat model behind its provider's protocol, with its time-outs, retries and fallbacks."""

    @property
    def name(self) -> str:
        """As `provider:model`."""
        ...

    async def load(self) -> None:
        """Load what takes seconds, before somebody waits for it. Raises InvalidArgument for what cannot be used."""
        ...

    def ask(self, prompt: Prompt) -> AsyncGenerator[TextDelta | Restarted | Answer]:
        """Stream one answer.

        Raises ModelUnavailable, carrying the usage so far, when neither the model nor a fallback answers. Cancelled or
        closed before the answer, it tells the usage so far to `Prompt.broken_off`.
        """
        ...
