"""How a slot comes by a claim: the gateway hands one out, or a broker brings an invitation that is claimed by name.

Both claim before anything else happens, and repeat a claim whose answer was lost under its own `claim_id`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Protocol

from ameide.contracts.topics import consumer_group
from ameide.errors import AmeideError, InvalidArgument, NotFound, PermissionDenied
from ameide.events.ports import IntentQueue, Invitation
from ameide.faults import reach
from ameide.infra.claim import Claim
from ameide.infra.clock import now
from ameide.infra.lease import Lease
from ameide.rpc.clients import Clients
from ameide.stopping import unless
from ameide.telemetry import metrics
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.transformation.work.v1.command_service_pb import (
    ClaimAnswer,
    PollWorkRequest,
    PollWorkResponse,
    RecordWorkStartedRequest,
    RecordWorkStartedResponse,
)

logger = logging.getLogger(__name__)

# How long an invitation is held while the Domain does not answer; then somebody else may try.
_PATIENCE = 60.0
# A broker that does not answer must not cost a claim its lease.
_ACKNOWLEDGED_WITHIN = 5.0
# For so long after brokers did not answer their silence means nothing.
_DOUBT = 10.0
_FIRST_PAUSE, _LAST_PAUSE = 0.2, 5.0
# How long one of several tenants is waited for while the others may have work.
_TURN = 2.0


@dataclass(frozen=True)
class Answered:
    """What became of a turn: `claim` is there when `answer` is RUN, NONE means that nothing was offered.

    `system` is who brought the work, as OpenTelemetry's `messaging.system` names it.
    """

    answer: ClaimAnswer
    claim: Claim | None = None
    system: str = "ameide"


NOTHING = Answered(ClaimAnswer.NONE)


class Source(Protocol):
    """Where one slot's claims come from. It is asked by one task at a time."""

    async def claim(self, queues: Sequence[str], wait: float, bell: asyncio.Event) -> Answered:
        """The next claim on a work of these queues, waiting about `wait` seconds for one, less when the bell rings.

        A claim that was made when the bell rang is answered all the same, so that it can be given back. Raises
        `AmeideError`; asked again afterwards, it repeats a claim that may exist.
        """
        ...

    async def close(self) -> None:
        """Take nothing more, so that others get at once what would come here."""
        ...


class Polling:
    """The gateway's long polls, for queues in PostgreSQL. `runner` is what the executor calls itself."""

    def __init__(self, clients: Clients, runner: str) -> None:
        self._clients, self._runner = clients, runner
        self._claim_id, self._first = uuid.uuid4().hex, True

    async def claim(self, queues: Sequence[str], wait: float, bell: asyncio.Event) -> Answered:
        """See `Source.claim`."""
        sent, claim_id = now(), self._claim_id
        try:
            answer = await self._poll(queues, max(0, ceil(wait)), bell)
            claim = None
            if answer is not None and answer.answer is ClaimAnswer.RUN and answer.work is not None:
                lease = Lease(sent, answer.lease_seconds)
                claim = Claim(self._clients, answer.work, answer.attempt, claim_id, lease)
                if not self._first:
                    # The lease of a repeated claim began with an earlier call; it counts from one that is answered now.
                    await claim.heartbeat("")
        except AmeideError as error:
            # Without an answer the claim may exist: the same claim_id again makes the Domain repeat it.
            self._first = False if error.retry else self._first
            raise
        except BaseException:
            self._renew()
            raise
        self._renew()
        return NOTHING if answer is None else Answered(ClaimAnswer(answer.answer), claim)

    async def close(self) -> None:
        """See `Source.close`."""

    def _renew(self) -> None:
        self._claim_id, self._first = uuid.uuid4().hex, True

    async def _poll(self, queues: Sequence[str], wait: int, bell: asyncio.Event) -> PollWorkResponse | None:
        """The Domain's answer; None when the bell rang before one came and none was on its way."""
        polling = asyncio.create_task(self._ask(queues, wait))
        ringing = asyncio.create_task(bell.wait())
        try:
            await asyncio.wait([polling, ringing], return_when=asyncio.FIRST_COMPLETED)
            if polling.done():
                return polling.result()
        finally:
            polling.cancel()
            ringing.cancel()
        # An answer that was lost on the way may be a claim: ask for it once more so that it can be given back.
        with contextlib.suppress(AmeideError):
            return await self._ask(queues, 0)
        return None

    async def _ask(self, queues: Sequence[str], wait: int) -> PollWorkResponse:
        request = PollWorkRequest(queues=list(queues), claim_id=self._claim_id, wait_seconds=wait, runner=self._runner)
        reach("executor.claim.before")
        answer = await self._clients.work.poll_work(request, timeout_ms=(wait + 10) * 1000)
        if answer.answer is ClaimAnswer.RUN:
            reach("executor.claim.after")
        return answer


class Turns:
    """Several sources that one slot asks in turn, such as those of several tenants."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources, self._next = sources, 0

    async def claim(self, queues: Sequence[str], wait: float, bell: asyncio.Event) -> Answered:
        """See `Source.claim`. What one of them raises keeps the others from nothing; it is raised when all of them do.

        Each remembers for itself which claim may exist.
        """
        deadline = now() + wait
        while True:
            failed = 0
            for _ in self._sources:
                source = self._sources[self._next % len(self._sources)]
                self._next += 1
                try:
                    answered = await source.claim(queues, min(_TURN, max(0.0, deadline - now())), bell)
                except AmeideError as error:
                    failed += 1
                    if failed == len(self._sources):
                        raise
                    logger.warning("no work taken of one tenant", extra={"error": str(error)})
                    continue
                if answered.answer is not ClaimAnswer.NONE or bell.is_set():
                    return answered
            if now() >= deadline:
                return NOTHING

    async def close(self) -> None:
        """See `Source.close`."""
        for source in self._sources:
            await source.close()


class Invited:
    """Invitations of a broker: claimed, acknowledged once the Domain has answered, then worked on.

    `clients` are those of each tenant that this executor has a token for.
    """

    def __init__(self, intents: IntentQueue, clients: Mapping[str, Clients], runner: str, system: str) -> None:
        self._intents, self._clients, self._runner, self._system = intents, clients, runner, system
        self._trouble: AmeideError | None = None
        self._troubled_at = 0.0
        # The claim of the invitation that was last left without an answer. It may exist, and is repeated when that
        # comes again.
        self._unanswered: dict[Invitation, str] = {}

    async def close(self) -> None:
        """See `Source.close`."""
        await self._intents.close()

    async def claim(self, queues: Sequence[str], wait: float, bell: asyncio.Event) -> Answered:
        """See `Source.claim`."""
        deadline = now() + wait
        while True:
            answered: Answered | None = None
            try:
                async with self._intents.receive(queues) as delivery:
                    if delivery is not None:
                        answered = await self._answer(delivery.invitation, bell)
                        async with asyncio.timeout(_ACKNOWLEDGED_WITHIN):
                            await delivery.acknowledge()
            except (AmeideError, TimeoutError) as error:
                if answered is None:
                    if isinstance(error, AmeideError):
                        self._trouble, self._troubled_at = error, now()
                    raise
                # The claim holds all the same; whoever gets the invitation again is declined.
                logger.warning("invitation not acknowledged", extra={"error": str(error)})
            if answered is not None:
                self._trouble = None
                return answered
            if bell.is_set():
                return NOTHING
            if now() >= deadline:
                if self._trouble is not None and now() - self._troubled_at < _DOUBT:
                    # That nothing came in this moment does not say that the brokers are back.
                    raise self._trouble
                return NOTHING

    async def _answer(self, invitation: Invitation, bell: asyncio.Event) -> Answered:
        claim_id = self._unanswered.pop(invitation, "") or uuid.uuid4().hex
        deadline, pause = now() + _PATIENCE, _FIRST_PAUSE
        clients = self._clients.get(invitation.tenant_id)
        if clients is None:
            return self._not_ours(invitation, "no token for this tenant")
        while True:
            sent = now()
            try:
                answer = await self._start(clients, invitation, claim_id)
            except (NotFound, PermissionDenied, InvalidArgument) as error:
                return self._not_ours(invitation, str(error))
            except AmeideError as error:
                if not error.retry:
                    raise
                if now() > deadline or bell.is_set():
                    self._unanswered = {invitation: claim_id}
                    raise
                logger.warning("claim not answered", extra={"error": str(error)})
                await unless(bell, asyncio.sleep(pause))
                pause = min(_LAST_PAUSE, pause * 2)
                continue
            if answer.answer is not ClaimAnswer.RUN or answer.work is None:
                return Answered(ClaimAnswer(answer.answer), system=self._system)
            claim = Claim(clients, answer.work, answer.attempt, claim_id, Lease(sent, answer.lease_seconds))
            if answer.work.queue != invitation.queue:
                # Whoever writes to one queue does not choose who does the works of another.
                await claim.release(f"its invitation came by {invitation.queue}")
                return self._not_ours(invitation, f"it is a work of {answer.work.queue}")
            return Answered(ClaimAnswer.RUN, claim, self._system)

    async def _start(self, clients: Clients, invitation: Invitation, claim_id: str) -> RecordWorkStartedResponse:
        request = RecordWorkStartedRequest(
            scope=Scope(tenant_id=invitation.tenant_id),
            work_request_id=invitation.work_request_id,
            claim_id=claim_id,
            runner=self._runner,
        )
        reach("executor.claim.before")
        answer = await clients.work.record_work_started(request)
        if answer.answer is ClaimAnswer.RUN:
            reach("executor.claim.after")
        return answer

    def _not_ours(self, invitation: Invitation, why: str) -> Answered:
        # The sweeper announces the work again; who consumes this queue needs a token of each tenant in it.
        metrics.EVENTS_PROCESSED.labels(consumer_group(invitation.queue), "not_ours").inc()
        logger.error(
            "an invitation that this executor may not take",
            extra={"tenant_id": invitation.tenant_id, "work_request_id": invitation.work_request_id, "error": why},
        )
        return NOTHING
