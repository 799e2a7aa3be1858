"""The executor: takes invitations from its queues, claims first, and runs each claim in a slot of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import uuid
from dataclasses import replace

from ameide.errors import AmeideError
from ameide.faults import reach
from ameide.infra.attempt import Attempt, Steps
from ameide.infra.claim import Claim
from ameide.infra.clock import now
from ameide.infra.lease import Lease
from ameide.infra.object_store import ObjectStore
from ameide.infra.settings import ExecutorSettings, UnprivilegedUser
from ameide.logs import bound
from ameide.rpc.clients import Clients
from ameide.stopping import unless
from ameide.telemetry import tracing
from ameide.telemetry.context import TraceContext
from ameide_core_proto.transformation.work.v1.command_service_pb import ClaimAnswer, PollWorkRequest, PollWorkResponse
from ameide_core_proto.transformation.work.v1.work_pb import WorkRequest

logger = logging.getLogger(__name__)

_PAUSE = 5.0


class Executor:
    """Serves the queues of `settings` until `stop` is called.

    Knows the Domain's address and the object store, nothing else.
    """

    def __init__(self, settings: ExecutorSettings, steps: Steps, clients: Clients, store: ObjectStore) -> None:
        self._settings, self._steps, self._clients, self._store = settings, steps, clients, store
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Take no more work and give back what runs."""
        self._stop.set()

    async def serve(self) -> None:
        """Run every slot until stopped."""
        logger.info("executor is up", extra={"executor": self._settings.name, "queues": list(self._settings.queues)})
        await asyncio.gather(*(self._slot(number) for number in range(self._settings.slots)))

    async def run_once(self) -> bool:
        """Take and run at most one work; whether there was one."""
        return await self._turn(self._settings, uuid.uuid4().hex, first=True) is not ClaimAnswer.NONE

    async def _slot(self, number: int) -> None:
        settings = self._settings
        if settings.user is not None:
            # A user for each slot, since processes of one user may meddle with each other. Author and verifier
            # alternate.
            step = 2 * number
            settings = replace(settings, user=UnprivilegedUser(settings.user.uid + step, settings.user.gid + step))
        claim_id, first, pause = uuid.uuid4().hex, True, 0.2
        while not self._stop.is_set():
            try:
                await self._turn(settings, claim_id, first=first)
                claim_id, first, pause = uuid.uuid4().hex, True, 0.2
            except AmeideError as error:
                # Without an answer the claim may exist: the same claim_id again makes the Domain repeat it.
                first = False if error.retry else first
                logger.warning("no work taken", extra={"error": str(error)})
                pause = await self._pause(pause)
            except Exception:
                # A defect costs this claim its lease, not the other slots their work.
                logger.exception("a slot broke")
                claim_id, first = uuid.uuid4().hex, True
                pause = await self._pause(pause)

    async def _pause(self, seconds: float) -> float:
        """Wait, not longer than until we are stopped; how long to wait the next time."""
        await unless(self._stop, asyncio.sleep(seconds * random.uniform(0.5, 1.5)))  # noqa: S311 jitter
        return min(_PAUSE, seconds * 2)

    async def _turn(self, settings: ExecutorSettings, claim_id: str, *, first: bool) -> ClaimAnswer:
        sent = now()
        answer = await self._poll(claim_id)
        if answer is None or answer.answer is not ClaimAnswer.RUN or answer.work is None:
            return ClaimAnswer.NONE if answer is None else ClaimAnswer(answer.answer)
        work = answer.work
        claim = Claim(self._clients, work, answer.attempt, claim_id, Lease(sent, answer.lease_seconds))
        trace = TraceContext.parse(work.traceparent, work.tracestate)
        with bound(correlation_id=work.change_id, work_request_id=work.work_request_id, trace_id=trace.trace_id):
            if not first:
                # The lease of a repeated claim began with an earlier call; it counts from one that is answered now.
                await claim.heartbeat("")
            if self._stop.is_set():
                await claim.release("the executor is stopping")
            else:
                logger.info(
                    "claimed", extra={"attempt": answer.attempt, "action": work.action_kind.name, "queue": work.queue}
                )
                with tracing.span(f"process {work.queue}", "consumer", parent=trace, attributes=_about(work, answer)):
                    await Attempt(claim, self._steps, settings, self._store, self._stop).run()
        return ClaimAnswer.RUN

    async def _poll(self, claim_id: str) -> PollWorkResponse | None:
        """The Domain's answer; None when we were stopped before one came and none was on its way."""
        polling = asyncio.create_task(self._ask(claim_id, self._settings.poll_seconds))
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([polling, stopping], return_when=asyncio.FIRST_COMPLETED)
            if polling.done():
                return polling.result()
        finally:
            polling.cancel()
            stopping.cancel()
        # An answer that was lost on the way may be a claim: ask for it once more so that it can be given back.
        with contextlib.suppress(AmeideError):
            return await self._ask(claim_id, 0)
        return None

    async def _ask(self, claim_id: str, wait: int) -> PollWorkResponse:
        request = PollWorkRequest(
            queues=list(self._settings.queues), claim_id=claim_id, wait_seconds=wait, runner=self._settings.name
        )
        reach("executor.claim.before")
        answer = await self._clients.work.poll_work(request, timeout_ms=(wait + 10) * 1000)
        if answer.answer is ClaimAnswer.RUN:
            reach("executor.claim.after")
        return answer


def _about(work: WorkRequest, answer: PollWorkResponse) -> tracing.Attributes:
    return {
        "messaging.system": "ameide",
        "messaging.operation.type": "process",
        "messaging.destination.name": work.queue,
        "ameide.work_request_id": work.work_request_id,
        "ameide.change_id": work.change_id,
        "ameide.action": work.action_kind.name.lower(),
        "ameide.attempt": answer.attempt,
    }
