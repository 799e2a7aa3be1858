"""One command in one transaction: what it locked, and the facts that it decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from protobuf import Message
from protobuf.wkt import Timestamp

from ameide.domain.aggregates import State, place_of
from ameide.errors import NotFound
from ameide.rpc.interceptors import Caller
from ameide.storage import sql
from ameide.storage.db import Transaction
from ameide_core_proto.common.v1.metadata_pb import Actor, Scope

S = TypeVar("S", bound=Message[Any])
_SQL = sql.load("domain")


@dataclass(slots=True)
class Unit:
    """A unit of work. Handlers lock states through it in the order change, artifact, gate, and record facts."""

    tx: Transaction
    caller: Caller
    # Database clock at the start of the command; None for that of the transaction's first answer.
    began: datetime | None
    # What caused the command: a message or request id.
    causation_id: str
    facts: list[Message[Any]] = field(default_factory=list[Message[Any]])
    intents: list[Message[Any]] = field(default_factory=list[Message[Any]])
    # Whether anything was put into the outbox.
    stated: bool = False
    # The run that facts without one of their own concern (an artifact's, while its change has an open run).
    process_instance_id: str = ""
    # Where the person whom the caller acts for agreed to the command.
    conversation_id: str = ""

    @property
    def tenant_id(self) -> str:
        """The tenant of the caller, and so of everything that the unit touches."""
        return self.caller.tenant_id

    @property
    def now(self) -> datetime:
        """The database's clock, the same throughout the unit. Ask the database something first."""
        return self.began or self.tx.now

    @property
    def actor(self) -> Actor:
        """The caller, and whom it acts for, for envelopes and records."""
        return Actor(principal_id=self.caller.principal_id, on_behalf_of=self.caller.on_behalf_of)

    @property
    def timestamp(self) -> Timestamp:
        """`now` as a message field."""
        return Timestamp.from_datetime(self.now)

    def scope(self, repository_id: str = "") -> Scope:
        """The scope of a new record."""
        return Scope(tenant_id=self.tenant_id, repository_id=repository_id)

    async def lock(self, kind: str, id: str, state: type[S]) -> S:
        """The state, its row locked until the end. Raises NotFound, also for another tenant's id."""
        row = await self.tx.fetch_one(_SQL["lock_aggregate"], (self.tenant_id, kind, id))
        return _open(row, kind, id, state)

    async def read(self, kind: str, id: str, state: type[S]) -> S:
        """The state, not locked. Raises NotFound."""
        row = await self.tx.fetch_one(_SQL["read_aggregate"], (self.tenant_id, kind, id))
        return _open(row, kind, id, state)

    async def find(self, kind: str, id: str, state: type[S]) -> S | None:
        """The state or None, not locked."""
        row = await self.tx.fetch_one(_SQL["read_aggregate"], (self.tenant_id, kind, id))
        return state.from_binary(row["state"]) if row else None

    async def lock_children(self, kind: str, parent_id: str, state: type[S]) -> list[S]:
        """All states of a kind under a parent, locked in the order of their ids."""
        rows = await self.tx.fetch_all(_SQL["lock_children"], (self.tenant_id, kind, parent_id))
        return [state.from_binary(row["state"]) for row in rows]

    async def children(self, kind: str, parent_id: str, state: type[S]) -> list[S]:
        """All states of a kind under a parent, in the order of their ids, not locked."""
        rows = await self.tx.fetch_all(_SQL["read_children"], (self.tenant_id, kind, parent_id))
        return [state.from_binary(row["state"]) for row in rows]

    def record(self, *facts: Message[Any]) -> None:
        """Facts to state when the unit commits. Each carries its aggregate's resulting state."""
        self.facts.extend(facts)

    def announce(self, intent: Message[Any]) -> None:
        """An execution intent to send when the unit commits."""
        self.intents.append(intent)

    def keep(self, state: State, *, kind: str = "", id: str = "") -> None:
        """Write a state; without recording a fact of it: counters that no one outside reads, or an old version."""
        self.tx.later(_SQL["save_aggregate"], self.row_of(state, kind=kind, id=id))

    def row_of(self, state: State, *, kind: str = "", id: str = "") -> tuple[object, ...]:
        """The row of an aggregate, under its own name or another one."""
        place = place_of(state)
        return (
            self.tenant_id,
            kind or place.kind,
            id or place.id,
            state.version,
            place.parent_id,
            place.status,
            place.due_at,
            state.to_binary(),
        )


_SHOWN_BY = {
    "repository": "`ameide repo list`",
    "policy": "`ameide repo list`",
    "change": "`ameide change list`",
    "gate": "`ameide gate list`",
    "release": "`ameide release list`",
    "promotion": "`ameide promotion list`",
    "principal": "`ameide principal whoami`",
    "conversation": "`ameide conversation list`",
}


def opened(found: bytes | None, kind: str, id: str, state: type[S]) -> S:
    """A state that was read. Raises NotFound for one that is not there."""
    if found is None:
        raise NotFound(
            f"no {kind} {id}", remedy=f"{_SHOWN_BY.get(kind, '`ameide change show CHANGE`')} shows what there is"
        )
    return state.from_binary(found)


def _open(row: dict[str, Any] | None, kind: str, id: str, state: type[S]) -> S:
    return opened(row["state"] if row else None, kind, id, state)
