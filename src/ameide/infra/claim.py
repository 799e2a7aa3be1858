"""One claim at the Domain's door.

Heartbeats that extend the lease, and the one outcome. Nothing is sent once the lease is lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ameide.errors import AmeideError, Fenced
from ameide.faults import reach
from ameide.infra.clock import now
from ameide.infra.lease import Lease
from ameide.rpc.clients import Clients
from ameide.telemetry import tracing
from ameide_core_proto.transformation.work.v1.command_service_pb import (
    RecordWorkHeartbeatRequest,
    RecordWorkOutcomeRequest,
    ReleaseWorkRequest,
    WorkOutcome,
)
from ameide_core_proto.transformation.work.v1.work_pb import EvidenceBundle, FailureCode, Usage, WorkRequest, WorkResult

logger = logging.getLogger(__name__)

_RETRY = 0.5
# A lease of no whole second left must not turn the heartbeat into a busy loop.
_SHORTEST_PAUSE = 0.2


class Claim:
    """The pair (attempt, claim_id) on one work, with its lease."""

    def __init__(self, clients: Clients, work: WorkRequest, attempt: int, claim_id: str, lease: Lease) -> None:
        self.clients = clients
        self.work, self.attempt, self.claim_id, self.lease = work, attempt, claim_id, lease
        self.cancel_requested = asyncio.Event()
        self._usage = Usage()
        self._recording = False

    def spend(self, usage: Usage) -> None:
        """What the work has used so far; goes with the next heartbeat."""
        self._usage = usage

    async def heartbeat(self, log_tail: str) -> None:
        """Extend the lease once. Raises `Fenced` when it is lost, `AmeideError` when the answer did not come."""
        self.lease.check()
        sent = now()
        request = RecordWorkHeartbeatRequest(
            scope=self.work.scope,
            work_request_id=self.work.work_request_id,
            attempt=self.attempt,
            claim_id=self.claim_id,
            usage=self._usage,
            log_tail=log_tail,
        )
        within = max(0.2, min(10.0, self.lease.remaining))
        reach("executor.heartbeat.before")
        answer = await self.clients.work.record_work_heartbeat(request, timeout_ms=int(within * 1000))
        reach("executor.heartbeat.after")
        self.lease.extend(sent, answer.lease_seconds)
        if answer.cancel_requested:
            self.cancel_requested.set()

    async def keep(self, log_tail: Callable[[], str]) -> None:
        """Extend the lease at a third of its length until it is lost; then return."""
        while True:
            await asyncio.sleep(max(_SHORTEST_PAUSE, self.lease.pace / 3))
            while True:
                try:
                    await self.heartbeat(log_tail())
                    break
                except AmeideError as error:
                    if not error.retry:
                        # Once an outcome is on its way it may be what has ended the claim: its own answer decides.
                        if not self._recording:
                            self.lease.lose(f"the Domain answered: {error}")
                        return
                    logger.warning(
                        "heartbeat not answered",
                        extra={"error": str(error), "lease_left": round(self.lease.remaining, 1)},
                    )
                    await asyncio.sleep(min(_RETRY, self.lease.pace / 10))

    async def record(self, outcome: WorkOutcome, result: WorkResult, evidence: EvidenceBundle) -> None:
        """Record the outcome.

        The same payload again while nobody answers and the lease lasts. Raises `Fenced` and what the Domain refuses.
        """
        request = RecordWorkOutcomeRequest(
            scope=self.work.scope,
            work_request_id=self.work.work_request_id,
            attempt=self.attempt,
            claim_id=self.claim_id,
            outcome=outcome,
            result=result,
            evidence=evidence,
        )
        while True:
            self.lease.check()
            self._recording = True
            try:
                within = max(0.2, min(10.0, self.lease.remaining))
                await self.clients.work.record_work_outcome(request, timeout_ms=int(within * 1000))
                tracing.note({"ameide.outcome": outcome.name.lower()})
                if outcome is WorkOutcome.FAILURE:
                    tracing.fail(FailureCode(result.failure_code).name)
                return
            except AmeideError as error:
                if not error.retry:
                    raise
                logger.warning("outcome not answered, sending it again", extra={"error": str(error)})
                await asyncio.sleep(min(_RETRY, self.lease.pace / 10))

    async def release(self, reason: str) -> None:
        """Give the claim back, so that another executor takes it at once.

        The sweeper does it later if nobody answers.
        """
        request = ReleaseWorkRequest(
            scope=self.work.scope,
            work_request_id=self.work.work_request_id,
            attempt=self.attempt,
            claim_id=self.claim_id,
            reason=reason,
        )
        try:
            self.lease.check()
            reach("executor.release.before")
            await self.clients.work.release_work(request)
            reach("executor.release.after")
        except Fenced:
            return
        except AmeideError as error:
            logger.warning("release not answered; the lease will run out", extra={"error": str(error)})
