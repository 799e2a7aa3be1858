"""What a tool is: what it is called with, what it reaches, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum

from ameide.architect.ports import EvidenceReader, RepositoryReader, ToolSpec
from ameide.architect.records import Record
from ameide.architect.tools.arguments import Arguments
from ameide.rpc.clients import Clients
from ameide_core_proto.agent.transformation.v1.architect_service_pb import (
    AnalyzeInstruction,
    DraftInstruction,
    OpenChangeInstruction,
    StartInstruction,
    SubmitInstruction,
    TriageInstruction,
)
from ameide_core_proto.common.v1.metadata_pb import Scope

Instruction = (
    TriageInstruction
    | DraftInstruction
    | SubmitInstruction
    | AnalyzeInstruction
    | StartInstruction
    | OpenChangeInstruction
)
"""What a person may ask for by form, and a model by a proposing tool; a consent comes before its effect."""

_SOURCE = 1024


class Grant(Enum):
    """What a tool does; the value are the roles of which its user needs one."""

    READ = frozenset({"viewer", "requester", "admin"})
    PROPOSE = frozenset({"requester", "admin"})

    def admits(self, roles: frozenset[str]) -> bool:
        """Whether one of these roles grants it. The Domain decides again, by the roles of agent and person together."""
        return bool(self.value & roles)


@dataclass(frozen=True, slots=True)
class ToolContext:
    """For whom a tool is called, and what it reaches.

    `clients` speak as the agent on behalf of the person, or by a token of the caller's own; `roles` are those that the
    Domain found for them. `repository_id` and `change_id` are what the conversation is about, if it is about one. Reads
    are at least as new as `min_position` of the log.
    """

    clients: Clients
    scope: Scope
    roles: frozenset[str]
    repositories: RepositoryReader
    evidence: EvidenceReader
    repository_id: str = ""
    change_id: str = ""
    min_position: int = 0
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What a call came to.

    `records` are what was read, each cited by its key; `uncited` is what was read and is no record, such as names of
    files, from the source `uncited_from`; `notes` are the program's own words, such as what was left out and how to ask
    for more; `read_on` is the first line of a text that found no room, 0 when there is none, and `cut` says that a line
    of it, or the end of the text, is not shown in full; `error` is what the model must correct or tell, and then there
    is nothing else. `proposal` is what a proposing tool asks for: nothing has happened yet.
    """

    records: tuple[Record, ...] = ()
    uncited: str = ""
    uncited_from: str = ""
    notes: tuple[str, ...] = ()
    not_found: tuple[str, ...] = ()
    error: str = ""
    asked: str = ""
    log_position: int = 0
    proposal: Instruction | None = None
    read_on: int = 0
    cut: bool = False

    @property
    def untrusted(self) -> tuple[str, ...]:
        """Where text in it comes from that anybody may have written (`UntrustedSource.ref`), each source once."""
        found = (*(record.untrusted for record in self.records), self.uncited_from)
        return tuple(dict.fromkeys(source[:_SOURCE] for source in found if source))


@dataclass(frozen=True, slots=True)
class Tool:
    """One thing that a model may call: `parameters` is a JSON Schema of an object, `seconds` what a call may take."""

    name: str
    description: str
    parameters: dict[str, object]
    run: Callable[[ToolContext, Arguments], Awaitable[ToolAnswer]] = field(repr=False)
    grant: Grant = Grant.READ
    seconds: float = 20.0

    @property
    def spec(self) -> ToolSpec:
        """As a model is told of it."""
        return ToolSpec(self.name, self.description, self.parameters)
