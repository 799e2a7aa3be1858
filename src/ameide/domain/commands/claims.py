"""What executors say: claim, heartbeat, outcome, release. Each carries its own idempotency in the claim's row."""

from __future__ import annotations

from datetime import datetime

from ameide.contracts.topics import QUEUE_CODER
from ameide.domain.commands import work_rows
from ameide.domain.decisions import verification, work_claim, work_lapse, work_outcome
from ameide.domain.decisions.upload import folder_of, need_own_build, need_uploaded
from ameide.domain.decisions.work import Claim, waiting_from
from ameide.domain.decisions.work_claim import Lease
from ameide.domain.unit import Unit
from ameide.errors import AmeideError, InvalidArgument
from ameide.storage import sql
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.work.v1.command_service_pb import (
    ClaimAnswer,
    OutcomeAnswer,
    RecordWorkHeartbeatRequest,
    RecordWorkHeartbeatResponse,
    RecordWorkOutcomeRequest,
    RecordWorkOutcomeResponse,
    RecordWorkOutcomesRequest,
    RecordWorkOutcomesResponse,
    RecordWorkStartedResponse,
    ReleaseWorkRequest,
    ReleaseWorkResponse,
    WorkOutcome,
)
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, Usage, WorkRequest

EXECUTOR = "executor"
# Seconds that a claim holds without a heartbeat.
LEASE_SECONDS = 30.0
_SQL = sql.load("work")


async def record_work_started(
    unit: Unit, work_request_id: str, claim_id: str, lease_seconds: float = LEASE_SECONDS, runner: str = ""
) -> RecordWorkStartedResponse:
    """Answer a claim: RUN for the first, and for that same claim again; DECLINED_… for others. Uses up the invitation.

    `runner` is what the executor calls itself; nothing is decided by it. Raises PermissionDenied when the token doesn't
    serve the work's queue.
    """
    unit.caller.need(EXECUTOR)
    work = await work_rows.lock(unit, work_request_id)
    response = await answer_claim(unit, work, claim_id, lease_seconds, runner)
    work_rows.remove_invitation(unit, work_request_id)
    return response


async def answer_claim(
    unit: Unit, work: WorkRequest, claim_id: str, lease_seconds: float, runner: str
) -> RecordWorkStartedResponse:
    """Answer a claim of a locked work whose invitation the caller uses up."""
    work_claim.need_queue(work.queue, unit.caller.queues)
    principal_id = unit.caller.principal_id
    current = await work_rows.claim_of(unit, work.work_request_id, work.attempt) if work.attempt else None
    answer = work_claim.answer(work, current, claim_id, principal_id)
    if answer != ClaimAnswer.RUN:
        return RecordWorkStartedResponse(answer=answer)
    if current is not None and current.ended_at is None:
        _, lease = await _extend(unit, work.work_request_id, work.attempt, claim_id, lease_seconds)
        return _run(work, lease, unit.now)
    fact = work_claim.start(work, principal_id, unit.timestamp)
    started = fact.work
    assert started is not None
    lease = work_claim.lease_for(started, unit.now, lease_seconds)
    work_rows.save(unit, started)
    work_rows.insert_claim(unit, started, claim_id, lease, runner)
    unit.record(fact)
    return _run(started, lease, unit.now)


async def record_work_heartbeat(
    unit: Unit, command: RecordWorkHeartbeatRequest, lease_seconds: float = LEASE_SECONDS
) -> RecordWorkHeartbeatResponse:
    """Extend the lease, late as well as in time: only the sweeper ends it. Raises Fenced when this is not the claim."""
    unit.caller.need(EXECUTOR)
    cancel_requested, lease = await _extend(
        unit,
        command.work_request_id,
        command.attempt,
        command.claim_id,
        lease_seconds,
        usage=command.usage,
        log_tail=command.log_tail,
    )
    return RecordWorkHeartbeatResponse(cancel_requested=cancel_requested, lease_seconds=lease.seconds(unit.now))


async def record_work_outcome(unit: Unit, command: RecordWorkOutcomeRequest) -> RecordWorkOutcomeResponse:
    """The first outcome of the current claim ends the work; the same again is a replay, another a Conflict.

    Raises Fenced when this is not the claim, InvalidArgument without its evidence, Refused(SELF_GRADING).
    """
    unit.caller.need(EXECUTOR)
    found = await work_rows.lock_with_claims(unit, [(command.work_request_id, command.attempt)])
    return await _end(unit, command, *found.get(command.work_request_id, (None, None)))


async def record_work_outcomes(unit: Unit, command: RecordWorkOutcomesRequest) -> RecordWorkOutcomesResponse:
    """Several outcomes in one transaction. One that is refused is told so, and keeps no other from being recorded.

    Raises InvalidArgument when a work is named twice.
    """
    unit.caller.need(EXECUTOR)
    asked = [(one.work_request_id, one.attempt) for one in command.outcomes]
    if len({id for id, _ in asked}) < len(asked):
        raise InvalidArgument("name a work twice", field="outcomes", remedy="A work ends once; send one outcome for it")
    found = await work_rows.lock_with_claims(unit, asked)
    answers: list[OutcomeAnswer] = []
    for one in command.outcomes:
        answer = OutcomeAnswer(work_request_id=one.work_request_id)
        try:
            ended = await _end(unit, one, *found.get(one.work_request_id, (None, None)))
            answer.idempotent_replay = ended.idempotent_replay
        except AmeideError as error:
            if error.retry:
                raise
            answer.reason, answer.message = error.reason or type(error).__name__, str(error)
        answers.append(answer)
    return RecordWorkOutcomesResponse(answers=answers)


async def _end(
    unit: Unit, command: RecordWorkOutcomeRequest, work: WorkRequest | None, claim: Claim | None
) -> RecordWorkOutcomeResponse:
    principal_id = unit.caller.principal_id
    if work is None:
        raise work_rows.unknown(command.work_request_id)
    if work_outcome.is_replay(work, claim, command, principal_id):
        return RecordWorkOutcomeResponse(work=work, idempotent_replay=True)
    claim = work_claim.need_current(work, claim, command.attempt, command.claim_id, principal_id)
    if command.outcome == WorkOutcome.SUCCESS:
        await _need_independent(unit, work)
    fact = work_outcome.end(work, claim, command, principal_id, unit.timestamp)
    ended = fact.work
    assert ended is not None
    assert ended.result is not None
    assert fact.evidence is not None
    if claim.by_gateway or unit.caller.only_executes:
        uploads = await work_rows.uploads_of(unit, command.work_request_id, command.attempt)
        folder = folder_of(work, command.attempt, command.claim_id)
        need_uploaded(fact.evidence, folder, uploads)
        need_own_build(work, ended.result.outputs.build_uri if ended.result.outputs else "", folder, uploads)
    work_rows.save(unit, ended)
    work_rows.insert_evidence(unit, ended, fact.evidence)
    work_rows.end_claim(unit, ended, ended.status.name.lower(), ended.result.usage or Usage())
    work_rows.remove_invitation(unit, work.work_request_id)
    unit.record(fact)
    return RecordWorkOutcomeResponse(work=ended)


async def release_work(unit: Unit, command: ReleaseWorkRequest) -> ReleaseWorkResponse:
    """Give the claim back: requested again with what is left of its budget, canceled if that was asked for."""
    unit.caller.need(EXECUTOR)
    found = await work_rows.lock_with_claims(unit, [(command.work_request_id, command.attempt)])
    if not found:
        raise work_rows.unknown(command.work_request_id)
    work, claim = found[command.work_request_id]
    claim = work_claim.need_current(work, claim, command.attempt, command.claim_id, unit.caller.principal_id)
    work_rows.end_claim(unit, work, "released", claim.usage)
    return ReleaseWorkResponse(work=await _give_back(unit, work, claim))


async def _give_back(unit: Unit, work: WorkRequest, claim: Claim) -> WorkRequest:
    decided = work_lapse.give_back(work, claim.usage, unit.now)
    if isinstance(decided, WorkRequest):
        work_rows.save_and_invite(unit, decided, waiting_from(decided, unit.now))
        return decided
    assert decided.work is not None
    work_rows.save(unit, decided.work)
    unit.record(decided)
    return decided.work


async def _extend(
    unit: Unit,
    work_request_id: str,
    attempt: int,
    claim_id: str,
    lease_seconds: float,
    *,
    usage: Usage | None = None,
    log_tail: str = "",
) -> tuple[bool, Lease]:
    row = await unit.tx.fetch_one(
        _SQL["extend"],
        {
            "tenant_id": unit.tenant_id,
            "work_request_id": work_request_id,
            "attempt": attempt,
            "claim_id": claim_id,
            "principal_id": unit.caller.principal_id,
            "lease_seconds": lease_seconds,
            "usage": usage.to_binary() if usage is not None else None,
            "log_tail": log_tail or None,
        },
    )
    if row is None:
        raise work_claim.fenced(work_request_id, attempt)
    return row["cancel_requested"], Lease(row["lease_until"], row["run_until"])


async def _need_independent(unit: Unit, work: WorkRequest) -> None:
    if not work.change_id or work.scope is None or work.action_kind != ActionKind.VERIFY:
        return
    # Only its queue has works in which an agent writes code.
    written, claims_of_written = await work_rows.of_queue(unit, work.change_id, QUEUE_CODER)
    verification.need_independent(
        work,
        unit.caller.principal_id,
        await unit.read("policy", work.scope.repository_id, Policy),
        written,
        claims_of_written,
    )


def _run(work: WorkRequest, lease: Lease, now: datetime) -> RecordWorkStartedResponse:
    return RecordWorkStartedResponse(
        answer=ClaimAnswer.RUN, attempt=work.attempt, lease_seconds=lease.seconds(now), work=work
    )
