"""The gateway serves PostgreSQL queues to executors: they hold a token and no database credential (contracts 8)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from weakref import WeakValueDictionary

from ameide.contracts.runners import comes_back
from ameide.contracts.topics import short_name
from ameide.domain.commands import claims
from ameide.domain.decisions.work_claim import need_queue
from ameide.domain.service import Service
from ameide.domain.unit import Unit
from ameide.errors import Refused
from ameide.events.presence import QueuePresence
from ameide.events.wakeups import Wakeups
from ameide.rpc.interceptors import Caller
from ameide.storage import sql
from ameide_core_proto.transformation.work.v1.command_service_pb import (
    ClaimAnswer,
    ClaimedWork,
    PollWorkRequest,
    PollWorkResponse,
    RecordWorkStartedResponse,
)
from ameide_core_proto.transformation.work.v1.work_pb import WorkRequest

POLL_SECONDS = 1.0
# The pause after an invitation whose work somebody else is just deciding on.
BUSY_SECONDS = 0.05
_SQL = sql.load("work")


class _Busy(Exception):
    """The work of the oldest invitation is locked; its invitation goes back with the transaction."""


class _Waiting:
    """The waiting polls of the same queues look one after the other: all are woken, and one invitation is for one.

    What one found empty the others leave alone until the bell rings again.
    """

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.empty_at = -1


class Gateway:
    """Long polls: an invitation is taken and its work claimed in one transaction, or neither.

    The invitations of the queues `elsewhere` are handed out by Kafka; a poll of one of these is refused.
    """

    def __init__(
        self,
        service: Service,
        wakeups: Wakeups,
        *,
        lease_seconds: float = claims.LEASE_SECONDS,
        elsewhere: Collection[str] = (),
    ) -> None:
        self._service = service
        self._wakeups = wakeups
        self._lease_seconds = lease_seconds
        self._elsewhere = frozenset(elsewhere)
        self._presence = QueuePresence(service.database)
        self._waiting: WeakValueDictionary[tuple[str, ...], _Waiting] = WeakValueDictionary()

    async def poll(self, caller: Caller, request: PollWorkRequest) -> PollWorkResponse:
        """The claim's RUN if it is current, else the oldest invitation of these queues, claimed; NONE after the wait.

        Raises PermissionDenied when the token doesn't serve one of the queues, Refused when Kafka carries one.
        """
        caller.need(claims.EXECUTOR)
        for queue in request.queues:
            need_queue(queue, caller.queues)
            self._need_here(queue)
        loop = asyncio.get_running_loop()
        arrived = loop.time()
        # An executor counts its lease from when it sent the call: what it waited here must stay a small part of it.
        deadline = arrived + min(request.wait_seconds, self._lease_seconds / 2)
        self._presence.note(
            caller.tenant_id,
            caller.principal_id,
            request.queues,
            deadline - arrived,
            comes_back=comes_back(request.runner),
        )
        waiting = self._waiting.setdefault((caller.tenant_id, *request.queues), _Waiting())
        rung = False
        with self._wakeups.bell("queue") as bell:
            while True:
                # Taken before the claim, so that the answer never promises more than the lease has.
                waited = int(loop.time() - arrived)
                pause = POLL_SECONDS
                try:
                    answers = await (self._in_turn(waiting, caller, request) if rung else self._look(caller, request))
                except _Busy:
                    answers, pause = [], BUSY_SECONDS
                if runs := [answer for answer in answers if answer.answer == ClaimAnswer.RUN]:
                    return _answer(runs, waited)
                if answers:
                    continue
                left = deadline - loop.time()
                if left <= 0 or self._wakeups.closing:
                    return PollWorkResponse(answer=ClaimAnswer.NONE)
                rung = await bell.wait(min(pause, left))

    def note_claim(self, caller: Caller, queue: str) -> None:
        """Who claims what Kafka invited it to serves that queue, though it polls nobody here."""
        if queue in self._elsewhere:
            self._presence.note(caller.tenant_id, caller.principal_id, [queue], 0.0, comes_back=False)

    def _need_here(self, queue: str) -> None:
        if queue in self._elsewhere:
            raise Refused(
                f"Kafka hands out the invitations of {queue}",
                field="queues",
                remedy=f"Give the executor KAFKA_BROKERS and AMEIDE_QUEUE_TRANSPORT={short_name(queue)}=kafka, as the "
                "Domain has them; or take the queue back to PostgreSQL in the settings of all processes",
                reason="QUEUE_ON_KAFKA",
            )

    async def _in_turn(
        self, waiting: _Waiting, caller: Caller, request: PollWorkRequest
    ) -> list[RecordWorkStartedResponse]:
        async with waiting.turn:
            rings = self._wakeups.rings("queue")
            if waiting.empty_at == rings:
                return []
            answers = await self._look(caller, request)
            if not answers:
                waiting.empty_at = rings
            return answers

    async def _look(self, caller: Caller, request: PollWorkRequest) -> list[RecordWorkStartedResponse]:
        return await self._service.perform(caller, "PollWork", None, lambda unit: self._next(unit, request))

    async def _next(self, unit: Unit, request: PollWorkRequest) -> list[RecordWorkStartedResponse]:
        """The answers of one claim, none when no invitation is waiting. A declined one is used up like any other."""
        most = max(request.max_works, 1)
        asked = (unit.tenant_id, list(request.queues), request.claim_id, unit.caller.principal_id, most)
        answers: list[RecordWorkStartedResponse] = []
        for found in await unit.tx.fetch_all(_SQL["next_works"], asked):
            if found["running"]:
                answer = await claims.record_work_started(
                    unit, found["work_request_id"], request.claim_id, self._lease_seconds, request.runner
                )
            elif found["state"] is None:
                raise _Busy
            else:
                work = WorkRequest.from_binary(found["state"])
                answer = await claims.answer_claim(unit, work, request.claim_id, self._lease_seconds, request.runner)
            answers.append(answer)
        if not answers:
            unit.tx.point = ""
        return answers


def _answer(runs: list[RecordWorkStartedResponse], waited: int) -> PollWorkResponse:
    # Executors count from when they sent the call, so the time it waited here comes on top.
    more = [
        ClaimedWork(attempt=run.attempt, lease_seconds=run.lease_seconds + waited, work=run.work) for run in runs[1:]
    ]
    first = runs[0]
    return PollWorkResponse(
        answer=first.answer,
        attempt=first.attempt,
        lease_seconds=first.lease_seconds + waited,
        work=first.work,
        more=more,
    )
