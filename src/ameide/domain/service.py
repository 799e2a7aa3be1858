"""Executes a command in one way: replay check, lock, decide, save, outbox - one transaction, one commit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from protobuf import Message

from ameide.contracts.ids import new_message_id
from ameide.domain import consents
from ameide.domain.aggregates import place_of, state_of
from ameide.domain.decisions.consent import need_for_others
from ameide.domain.statement import state_facts
from ameide.domain.unit import Unit
from ameide.errors import Conflict, NotFound
from ameide.rpc.interceptors import Caller
from ameide.storage import sql
from ameide.storage.db import Database, Opening, Row
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.transformation.work.v1.work_pb import WorkRequest

_SQL = sql.load("domain")
# Not business: the same intention may be sent with another envelope around it.
_NOT_FINGERPRINTED = frozenset({"scope", "clientRequestId", "requestedBy"})


class Command(Protocol):
    """What every command has."""

    scope: Scope | None
    client_request_id: str

    def to_json(self) -> str: ...


class Answer(Protocol):
    """What every answer to a command has."""

    idempotent_replay: bool

    def to_binary(self) -> bytes: ...


C = TypeVar("C", bound=Command)
A = TypeVar("A", bound=Answer)
R = TypeVar("R")


class Service:
    """Commands on the database, as the application role."""

    def __init__(self, database: Database, wake: Callable[[], None]) -> None:
        self._database = database
        self._wake = wake

    @property
    def database(self) -> Database:
        """The pool, for what is no command."""
        return self._database

    async def execute(
        self,
        caller: Caller,
        name: str,
        command: C,
        answer: type[A],
        handler: Callable[[Unit, C], Awaitable[A]],
        *,
        asks_first: bool = False,
    ) -> A:
        """Run the handler once per (tenant, name, client_request_id); a replay gets the first answer, marked as one.

        With `asks_first` the handler begins by asking the database; its question travels with the command's opening.
        An agent's command for a person uses up that person's consent with its effect.
        Raises Conflict when the key was used for another intention, what `consents.lock_given` raises, and whatever the
        handler refuses with; then nothing was written.
        """
        check_scope(caller, command.scope)
        need_for_others(caller.on_behalf_of, name)
        key = (caller.tenant_id, name, command.client_request_id)
        fingerprint = fingerprint_of(command, caller.principal_id, caller.on_behalf_of)
        opening = Opening(_SQL["open_command"], key, _new)
        try:
            async with self._database.transaction(opening, point=f"service.{name}") as tx:
                unit = Unit(tx, caller, None, causation_id=command.client_request_id)
                if caller.on_behalf_of or not asks_first:
                    await tx.open()
                consent = await consents.lock_given(unit, name, command)
                response = await handler(unit, command)
                consents.use(unit, consent, command.client_request_id, response)
                await _save(unit)
                state_facts(unit)
                tx.later(_SQL["finish_command"], (*key, fingerprint, response.to_binary()))
        except _Known as known:
            return _replay(known.row, key, fingerprint, answer)
        self._wake()
        return response

    async def perform(
        self, caller: Caller, name: str, scope: Scope | None, handler: Callable[[Unit], Awaitable[R]]
    ) -> R:
        """Run a handler that carries its own idempotency: claims by their lease row, process facts by (epoch, seq)."""
        check_scope(caller, scope)
        need_for_others(caller.on_behalf_of, name)
        async with self._database.transaction(caller.tenant_id, point=f"service.{name}") as tx:
            unit = Unit(tx, caller, None, causation_id=new_message_id())
            result = await handler(unit)
            await _save(unit)
            state_facts(unit)
        # Most polls find nothing: nobody is woken for them.
        if unit.stated:
            self._wake()
        return result


def check_scope(caller: Caller, scope: Scope | None) -> None:
    """The tenant is the token's. Another one in the request answers as if it did not exist."""
    if scope is not None and scope.tenant_id and scope.tenant_id != caller.tenant_id:
        raise NotFound(f"no tenant {scope.tenant_id}", remedy="Use a token of that tenant")


def fingerprint_of(command: Command, principal_id: str, on_behalf_of: str = "") -> bytes:
    """SHA-256 over the business fields, who says it and for whom, in a canonical form.

    Two people's decisions are two intentions: neither may take the other's answer for its own.
    """
    fields: dict[str, Any] = json.loads(command.to_json())
    business = {key: value for key, value in fields.items() if key not in _NOT_FINGERPRINTED}
    who = [principal_id, on_behalf_of] if on_behalf_of else [principal_id]
    return hashlib.sha256(json.dumps([*who, business], sort_keys=True).encode()).digest()


class _Known(Exception):
    """The key has an answer already; the handler hears of it at its first statement, and nothing is written."""

    def __init__(self, row: Row) -> None:
        super().__init__()
        self.row = row


def _new(opened: Row) -> None:
    if opened["fingerprint"] is not None:
        raise _Known(opened)


def _replay(row: Row, key: tuple[str, str, str], fingerprint: bytes, answer: type[A]) -> A:
    if bytes(row["fingerprint"]) != fingerprint:
        raise Conflict(
            f"{key[2]!r} was used for another {key[1]}",
            field="client_request_id",
            remedy="Use a new client_request_id for a new intention",
            reason="IDEMPOTENCY_KEY_REUSED",
        )
    stored = from_binary(answer, row["response"])
    stored.idempotent_replay = True
    return stored


def from_binary(message: type[A], data: bytes) -> A:
    """Parse a stored answer."""
    assert issubclass(message, Message)
    return message.from_binary(bytes(data))


async def _save(unit: Unit) -> None:
    for fact in unit.facts:
        state = state_of(fact)
        # Works have a hot table of their own, written by the work commands.
        if isinstance(state, WorkRequest):
            continue
        if state.version != 1:
            unit.keep(state)
        elif await unit.tx.execute(_SQL["insert_aggregate"], unit.row_of(state)) == 0:
            place = place_of(state)
            raise Conflict(
                f"{place.kind} {place.id} is there already",
                remedy="Choose another name, or work on the one that is there",
                reason="ALREADY_EXISTS",
            )
