"""Who calls, and what a call reaches."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from mcp_types import CallToolResult, TextContent, Tool, ToolAnnotations

from ameide.architect.ports import EvidenceReader, RepositoryReader
from ameide.rpc import scopes
from ameide.rpc.clients import Clients
from ameide.rpc.interceptors import Caller
from ameide.secret_shapes import masked
from ameide_core_proto.agent.transformation.v1.architect_service_pb import ConverseRequest, ConverseResponse
from ameide_core_proto.common.v1.metadata_pb import Scope

Converse = Callable[["Guest", ConverseRequest], AsyncGenerator[ConverseResponse]]
"""One turn with the Architect agent, for the caller."""
Tell = Callable[[str], Awaitable[None]]
"""Progress in a few words, for a client that asked for it."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every call reaches: the Domain's address, repositories, evidence and the agent.

    `redact` takes secrets out of what was read.
    """

    address: str
    repositories: RepositoryReader
    evidence: EvidenceReader
    converse: Converse
    redact: Callable[[str], str] = masked


@dataclass(frozen=True, slots=True)
class Guest:
    """The caller as the Domain knows it, and the token that it showed."""

    caller: Caller
    token: str = field(repr=False)

    def may(self, offer: Offer) -> bool:
        """Whether roles and scopes admit a tool. The Domain decides again, call by call."""
        return bool(offer.roles & self.caller.roles) and (not self.caller.scopes or offer.scope in self.caller.scopes)


@dataclass(frozen=True, slots=True)
class Visit:
    """One call. `clients` speak to the Domain by the caller's own token, and for nobody else."""

    guest: Guest
    around: Surroundings
    clients: Clients
    tell: Tell

    @property
    def scope(self) -> Scope:
        """The tenant that the token names."""
        return Scope(tenant_id=self.guest.caller.tenant_id)


@dataclass(frozen=True, slots=True)
class Offer:
    """One tool: how clients see it, which scope and one of which roles it needs, and what it does.

    `run` may raise the errors of `ameide.errors`; they become an answer that says so.
    """

    tool: Tool
    scope: str
    roles: frozenset[str]
    run: Callable[[Visit, Mapping[str, object]], Awaitable[CallToolResult]] = field(repr=False)


def reading(title: str, *, open_world: bool = False) -> ToolAnnotations:
    """Hints of a tool that changes nothing."""
    return ToolAnnotations(title=title, read_only_hint=True, open_world_hint=open_world)


def answered(text: str, structured: Mapping[str, object]) -> CallToolResult:
    """An answer for people and models as text, and for programs as the tool's output schema has it."""
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=dict(structured))


def failed(text: str) -> CallToolResult:
    """An answer that tells the model what to correct, or what it may not."""
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)


READ, PROPOSE = scopes.READ, scopes.PROPOSE
