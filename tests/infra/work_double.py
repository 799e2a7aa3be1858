"""A test double of the Work domain: claims, leases, heartbeats and outcomes in memory, behind the real Connect door."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from connectrpc.request import RequestContext

from ameide.errors import AmeideError, Fenced, InvalidArgument, NotFound, Refused, Unreachable
from ameide.infra.clock import now
from ameide.rpc.mapping import to_connect
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.transformation.work.v1.command_service_connect import (
    WorkCommandService,
    WorkCommandServiceASGIApplication,
)
from ameide_core_proto.transformation.work.v1.command_service_pb import (
    ClaimAnswer,
    PollWorkRequest,
    PollWorkResponse,
    RecordWorkHeartbeatRequest,
    RecordWorkHeartbeatResponse,
    RecordWorkOutcomeRequest,
    RecordWorkOutcomeResponse,
    RecordWorkStartedRequest,
    RecordWorkStartedResponse,
    ReleaseWorkRequest,
    ReleaseWorkResponse,
    WorkOutcome,
)
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    TimeoutPolicy,
    WorkInputs,
    WorkKind,
    WorkRequest,
)

QUEUE = "transformation.work.queue.toolrun.verify.v1"
_PATIENCE = 30.0


def tool_run(work_request_id: str, script: str, *, run_for: int = 60, silent_for: int = 0) -> WorkRequest:
    """A work whose step runs a shell script."""
    return WorkRequest(
        scope=Scope(tenant_id="default", repository_id="orders"),
        work_request_id=work_request_id,
        work_kind=WorkKind.TOOL_RUN,
        action_kind=ActionKind.VERIFY,
        queue=QUEUE,
        change_id="chg-1",
        inputs=WorkInputs(requirement_text=script),
        timeout_policy=TimeoutPolicy(run_for_seconds=run_for, silent_for_seconds=silent_for),
    )


@dataclass
class Held:
    """The current claim of a work."""

    work: WorkRequest
    attempt: int
    claim_id: str
    until: float
    run_until: float
    swept: bool = False


@dataclass
class WorkDouble(WorkCommandService):
    """Keeps what executors said. `lease_seconds` is the length of every lease."""

    lease_seconds: int = 3
    offered: list[WorkRequest] = field(default_factory=list[WorkRequest])
    held: dict[str, Held] = field(default_factory=dict[str, Held])
    runners: dict[str, str] = field(default_factory=dict[str, str])
    attempts: dict[str, int] = field(default_factory=dict[str, int])
    outcomes: dict[str, RecordWorkOutcomeRequest] = field(default_factory=dict[str, RecordWorkOutcomeRequest])
    heartbeats: list[RecordWorkHeartbeatRequest] = field(default_factory=list[RecordWorkHeartbeatRequest])
    released: list[ReleaseWorkRequest] = field(default_factory=list[ReleaseWorkRequest])
    canceled: set[str] = field(default_factory=set[str])
    outcome_calls: list[bytes] = field(default_factory=list[bytes])
    fenced_calls: int = 0
    outcomes_to_lose: int = 0
    claim_ids: list[str] = field(default_factory=list[str])
    polls: int = 0
    claims_to_lose: int = 0
    claims_invalid: bool = False
    success_refused: str = ""
    checks_refused: bool = False
    outcomes_refused: bool = False

    def __post_init__(self) -> None:
        self._changed = asyncio.Condition()

    async def offer(self, work: WorkRequest) -> None:
        """Announce a work."""
        self.offered.append(work)
        await self._tell()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something that executors said makes the condition true."""
        async with asyncio.timeout(_PATIENCE), self._changed:
            await self._changed.wait_for(condition)

    def log_of(self, work_request_id: str) -> str:
        """The live log as last reported."""
        tails = [beat.log_tail for beat in self.heartbeats if beat.work_request_id == work_request_id]
        return tails[-1] if tails else ""

    def sweep(self, work_request_id: str) -> None:
        """End the lease, as the sweeper does once it has run out."""
        held = self.held[work_request_id]
        assert now() > held.until, "the lease has not run out yet"
        held.swept = True

    async def poll_work(
        self, request: PollWorkRequest, ctx: RequestContext[PollWorkRequest, PollWorkResponse], /
    ) -> PollWorkResponse:
        self.polls += 1
        try:
            async with asyncio.timeout(request.wait_seconds), self._changed:
                await self._changed.wait_for(lambda: any(work.queue in request.queues for work in self.offered))
        except TimeoutError:
            return PollWorkResponse(answer=ClaimAnswer.NONE)
        work = next(work for work in self.offered if work.queue in request.queues)
        held = self._claimed(work, request.claim_id, request.runner)
        lease_seconds = self._extended(held)
        await self._tell()
        return PollWorkResponse(answer=ClaimAnswer.RUN, attempt=held.attempt, lease_seconds=lease_seconds, work=work)

    async def record_work_started(
        self,
        request: RecordWorkStartedRequest,
        ctx: RequestContext[RecordWorkStartedRequest, RecordWorkStartedResponse],
        /,
    ) -> RecordWorkStartedResponse:
        self.claim_ids.append(request.claim_id)
        if self.claims_to_lose:
            self.claims_to_lose -= 1
            raise to_connect(Unreachable("the answer was lost"))
        if self.claims_invalid:
            raise to_connect(InvalidArgument("work_request_id: is too long"))
        work = next((work for work in self.offered if work.work_request_id == request.work_request_id), None)
        if work is None:
            if request.work_request_id not in self.held:
                raise to_connect(NotFound(f"no work {request.work_request_id}"))
            return RecordWorkStartedResponse(answer=ClaimAnswer.DECLINED_RUNNING_ELSEWHERE)
        held = self._claimed(work, request.claim_id, request.runner)
        lease_seconds = self._extended(held)
        await self._tell()
        return RecordWorkStartedResponse(
            answer=ClaimAnswer.RUN, attempt=held.attempt, lease_seconds=lease_seconds, work=work
        )

    async def record_work_heartbeat(
        self,
        request: RecordWorkHeartbeatRequest,
        ctx: RequestContext[RecordWorkHeartbeatRequest, RecordWorkHeartbeatResponse],
        /,
    ) -> RecordWorkHeartbeatResponse:
        held = self._current(request.work_request_id, request.attempt, request.claim_id)
        lease_seconds = self._extended(held)
        self.heartbeats.append(request)
        await self._tell()
        return RecordWorkHeartbeatResponse(
            cancel_requested=request.work_request_id in self.canceled, lease_seconds=lease_seconds
        )

    async def record_work_outcome(
        self,
        request: RecordWorkOutcomeRequest,
        ctx: RequestContext[RecordWorkOutcomeRequest, RecordWorkOutcomeResponse],
        /,
    ) -> RecordWorkOutcomeResponse:
        held = self._current(request.work_request_id, request.attempt, request.claim_id)
        self.outcome_calls.append(request.to_binary())
        if self.outcomes_to_lose:
            self.outcomes_to_lose -= 1
            raise to_connect(Unreachable("the answer is lost"))
        if self.success_refused and request.outcome is WorkOutcome.SUCCESS:
            raise to_connect(Refused(self.success_refused, reason="SELF_GRADING"))
        if self.outcomes_refused or (self.checks_refused and request.evidence and request.evidence.check_results):
            raise to_connect(InvalidArgument("is not taken", field="evidence.check_results[0].id"))
        self.outcomes[request.work_request_id] = request
        await self._tell()
        return RecordWorkOutcomeResponse(work=held.work)

    async def release_work(
        self, request: ReleaseWorkRequest, ctx: RequestContext[ReleaseWorkRequest, ReleaseWorkResponse], /
    ) -> ReleaseWorkResponse:
        held = self._current(request.work_request_id, request.attempt, request.claim_id)
        self.released.append(request)
        held.swept = True
        await self._tell()
        return ReleaseWorkResponse(work=held.work)

    def _claimed(self, work: WorkRequest, claim_id: str, runner: str) -> Held:
        self.runners[work.work_request_id] = runner
        self.offered.remove(work)
        attempt = self.attempts.get(work.work_request_id, 0) + 1
        self.attempts[work.work_request_id] = attempt
        run_for = work.timeout_policy.run_for_seconds if work.timeout_policy else 3600
        held = Held(work, attempt, claim_id, 0.0, now() + run_for)
        self.held[work.work_request_id] = held
        return held

    def _extended(self, held: Held) -> int:
        """Whole seconds of the lease from now: like the Domain's, never past run-for."""
        held.until = min(now() + self.lease_seconds, held.run_until)
        return max(0, int(held.until - now() + 0.001))

    def _current(self, work_request_id: str, attempt: int, claim_id: str) -> Held:
        held = self.held.get(work_request_id)
        if held is None or held.swept or (held.attempt, held.claim_id) != (attempt, claim_id):
            self.fenced_calls += 1
            error: AmeideError = Fenced("not the current claim")
            raise to_connect(error)
        return held

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


@asynccontextmanager
async def serving(double: WorkDouble):
    """The address of the double behind a real server."""
    app: Any = WorkCommandServiceASGIApplication(double)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
    task = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        server.force_exit = True
        await task


async def eventually(condition: Callable[[], bool], within: float = _PATIENCE) -> None:
    """Wait for something that nobody announces, such as the end of a process."""
    async with asyncio.timeout(within):
        while not condition():
            try:
                async with asyncio.timeout(0.02):
                    await asyncio.Event().wait()
            except TimeoutError:
                continue
