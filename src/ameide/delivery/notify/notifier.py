"""Tells of gates that wait: reads the log in order, sends, then moves on, so that a notice may come twice, never not.

One that does not arrive is tried again with growing pauses, then parked like any message that a consumer cannot
process; `ameide events redrive` sends it once the cause is gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from ameide.contracts.facts import open_payload
from ameide.contracts.topics import GOVERNANCE_FACTS
from ameide.delivery.notify.notice import Notice, NotSent, Sender, notice_of
from ameide.errors import AmeideError, Unreachable
from ameide.events.messages import LoggedMessage
from ameide.faults import reach
from ameide.rpc.clients import Clients
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.transformation.governance.v1.facts_pb import GateOpened
from ameide_core_proto.transformation.governance.v1.governance_pb import Gate, GateStatus
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetGateRequest, GetRepositoryRequest

CONSUMER = "notifier"
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
_IDLE_SECONDS = 1.0
_RETRY_SECONDS = 2.0
log = logging.getLogger(__name__)


class Source(Protocol):
    """The log as the notifier reads it; see `ameide.events.consumer.Consumer`."""

    async def next_batch(self, limit: int = 100) -> list[LoggedMessage]: ...

    async def acknowledge(self, position: int) -> None: ...

    def is_parked(self, key: str) -> bool: ...

    async def park(self, message: LoggedMessage, key: str, error: str, *, pause: float | None = None) -> None: ...

    async def wait(self, seconds: float, /) -> None: ...


class Closing(Protocol):
    """Whether the process is about to end; see `ameide.events.wakeups.Wakeups`."""

    @property
    def closing(self) -> bool: ...


class Notifier:
    """Sends a notice of every gate that opens by each of the senders. `domain` tells who may decide, and the mark."""

    def __init__(
        self,
        source: Source,
        senders: Sequence[Sender],
        domain: Clients | None,
        process: Closing,
        *,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self._source, self._senders, self._domain, self._process = source, senders, domain, process
        self._pauses = pauses
        self.sent = 0

    async def run(self) -> None:
        """Work until the process is closing; an unreachable database is waited for."""
        while not self._process.closing:
            try:
                if not await self.step():
                    await self._source.wait(_IDLE_SECONDS)
            except Unreachable as error:
                log.warning("the notifier waits for the database", extra={"error": str(error)})
                await asyncio.sleep(_RETRY_SECONDS)

    async def step(self) -> int:
        """One batch; how many messages it had. Raises Unreachable."""
        batch = await self._source.next_batch()
        for message in batch:
            gate = _opened(message)
            if gate is not None and not await self._tell(message, gate):
                return 0
            if gate is not None or message is batch[-1] or message.redriven:
                await self._source.acknowledge(message.position)
        return len(batch)

    async def _tell(self, message: LoggedMessage, gate: Gate) -> bool:
        """Whether the message is done with; False when the process ends first."""
        key = f"{message.tenant_id}:{gate.gate_id}"
        if self._source.is_parked(key):
            await self._source.park(message, key, "")
            return True
        known = await self._look(gate, message.position)
        if not known.waits:
            return True
        notice, untold = notice_of(gate, known.deciders, known.marked), list(self._senders)
        for pause in (*self._pauses, None):
            try:
                await self._send(notice, untold)
            except NotSent as error:
                if pause is None or not error.retry:
                    log.error("a notice is parked", extra={"gate_id": gate.gate_id, "error": str(error)})
                    await self._source.park(message, key, str(error))
                    return True
                log.warning("a notice did not arrive", extra={"gate_id": gate.gate_id, "error": str(error)})
                await asyncio.sleep(pause)
                if self._process.closing:
                    return False
            else:
                self.sent += 1
                return True
        return True

    async def _send(self, notice: Notice, untold: list[Sender]) -> None:
        """Who was told is taken out of `untold`: a way that fails neither repeats the others nor holds them up."""
        failed: list[NotSent] = []
        for sender in tuple(untold):
            try:
                await sender.send(notice)
            except NotSent as error:
                failed.append(error)
            else:
                untold.remove(sender)
        if failed:
            raise NotSent("; ".join(map(str, failed)), retry=any(error.retry for error in failed))
        reach("notifier.send.after")

    async def _look(self, gate: Gate, position: int) -> _Known:
        """What the views say of a gate. They get seconds to come as far as its opening; the rest is left out."""
        if self._domain is None:
            return _Known()
        own = gate.scope or Scope()
        scope, queries = Scope(tenant_id=own.tenant_id), self._domain.queries
        marked: Sequence[str] = ()
        # The views may not know the gate yet, or be another tenant's.
        with suppress(AmeideError):
            answer = await queries.get_gate(GetGateRequest(scope=scope, min_position=position, gate_id=gate.gate_id))
            if answer.gate is not None and answer.gate.status != GateStatus.OPEN:
                return _Known(waits=False)
            marked = [conversation.conversation_id for conversation in answer.marked_conversations]
        with suppress(AmeideError):
            request = GetRepositoryRequest(scope=scope, repository_id=own.repository_id)
            policy = (await queries.get_repository(request)).policy
            rules = policy.gates if policy else []
            return _Known(
                deciders=next((rule.decider_roles for rule in rules if rule.kind == gate.kind), ()), marked=marked
            )
        return _Known(marked=marked)


@dataclass(frozen=True)
class _Known:
    """What is known of a gate when its notice is written."""

    waits: bool = True
    deciders: Sequence[str] = ()
    marked: Sequence[str] = ()


def _opened(message: LoggedMessage) -> Gate | None:
    """The gate that a message opens; None for any other message."""
    if message.topic != GOVERNANCE_FACTS or message.name != GateOpened.__name__:
        return None
    try:
        fact = open_payload(message.topic, message.payload).fact
    except ValueError:
        return None
    return fact.gate if isinstance(fact, GateOpened) else None
