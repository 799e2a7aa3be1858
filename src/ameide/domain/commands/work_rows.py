"""Works and claims as rows. Used by the work commands and the sweeper, inside their transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ameide.contracts.usage import tokens_of
from ameide.domain.decisions.upload import Upload
from ameide.domain.decisions.work import ENDED, Claim, Waiting
from ameide.domain.decisions.work_budget import is_counted
from ameide.domain.decisions.work_claim import Lease
from ameide.domain.statement import intent_metadata
from ameide.domain.unit import Unit
from ameide.errors import NotFound
from ameide.storage import sql
from ameide.storage.db import Row
from ameide_core_proto.transformation.work.v1.facts_pb import WorkExecutionRequested
from ameide_core_proto.transformation.work.v1.work_pb import Budget, EvidenceBundle, Usage, WorkRequest

_SQL = sql.load("work")
_BUDGET = sql.load("budget")


def insert(unit: Unit, work: WorkRequest, waiting: Waiting) -> None:
    """Write a new work and invite to it."""
    unit.tx.later(_SQL["insert"], _columns(unit, work, waiting))
    _hold(unit, work)
    _invite(unit, work)


def save(unit: Unit, work: WorkRequest, waiting: Waiting | None = None) -> None:
    """Write a work that is running or has ended; `waiting` is for one that stays requested."""
    unit.tx.later(_SQL["save"], _columns(unit, work, waiting))
    _hold(unit, work)


def save_and_invite(unit: Unit, work: WorkRequest, waiting: Waiting) -> None:
    """Write a work that is requested again, and invite to it under its new dispatch."""
    save(unit, work, waiting)
    _invite(unit, work)


async def lock(unit: Unit, work_request_id: str) -> WorkRequest:
    """The work, locked until the end. Raises NotFound, also for another tenant's id."""
    row = await unit.tx.fetch_one(_SQL["lock"], (unit.tenant_id, [work_request_id]))
    if row is None:
        raise unknown(work_request_id)
    return WorkRequest.from_binary(row["state"])


async def lock_with_claims(
    unit: Unit, attempts: Sequence[tuple[str, int]]
) -> dict[str, tuple[WorkRequest, Claim | None]]:
    """Works by their ids, locked until the end, each with the claim of an attempt, read under those locks.

    One that is not there is left out, also when it is another tenant's.
    """
    ids, numbers = [id for id, _ in attempts], [number for _, number in attempts]
    works, found = await unit.tx.fetch_each(
        (_SQL["lock"], (unit.tenant_id, ids)), (_SQL["claim"], (ids, numbers, unit.tenant_id))
    )
    claims = {row["work_request_id"]: _claim(row) for row in found}
    states = [WorkRequest.from_binary(row["state"]) for row in works]
    return {work.work_request_id: (work, claims.get(work.work_request_id)) for work in states}


def unknown(work_request_id: str) -> NotFound:
    """The answer to an id that names no work."""
    return NotFound(f"no work {work_request_id}", remedy="`ameide work list` shows those that there are")


async def find(unit: Unit, work_request_id: str) -> WorkRequest | None:
    """The work or None, not locked."""
    row = await unit.tx.fetch_one(_SQL["find"], (unit.tenant_id, work_request_id))
    return WorkRequest.from_binary(row["state"]) if row else None


async def lock_open_of_change(unit: Unit, change_id: str) -> list[WorkRequest]:
    """The works of a change that have not ended, locked until the end."""
    rows = await unit.tx.fetch_all(_SQL["lock_open_of_change"], (unit.tenant_id, change_id))
    return [WorkRequest.from_binary(row["state"]) for row in rows]


async def of_change(unit: Unit, change_id: str) -> tuple[list[WorkRequest], list[Claim]]:
    """All works of a change, oldest first, and all of their claims."""
    return await _with_claims(unit, await unit.tx.fetch_all(_SQL["of_change"], (unit.tenant_id, change_id)))


async def of_queue(unit: Unit, change_id: str, queue: str) -> tuple[list[WorkRequest], list[Claim]]:
    """The works of a change on one queue, oldest first, and their claims."""
    return await _with_claims(unit, await unit.tx.fetch_all(_SQL["of_queue"], (unit.tenant_id, change_id, queue)))


async def _with_claims(unit: Unit, rows: Sequence[Row]) -> tuple[list[WorkRequest], list[Claim]]:
    works = [WorkRequest.from_binary(row["state"]) for row in rows]
    if not works:
        return [], []
    ids = [work.work_request_id for work in works]
    return works, [_claim(row) for row in await unit.tx.fetch_all(_SQL["claims_of"], (unit.tenant_id, ids))]


async def claim_of(unit: Unit, work_request_id: str, attempt: int) -> Claim | None:
    """The claim of one attempt, locked until the end; its work is locked before it."""
    row = await unit.tx.fetch_one(_SQL["claim"], ([work_request_id], [attempt], unit.tenant_id))
    return _claim(row) if row else None


def insert_claim(unit: Unit, work: WorkRequest, claim_id: str, lease: Lease, runner: str) -> None:
    """Write the claim of a new attempt, which is its lease."""
    claim = {
        "tenant_id": unit.tenant_id,
        "work_request_id": work.work_request_id,
        "attempt": work.attempt,
        "claim_id": claim_id,
        "principal_id": work.executor_principal_id,
        "runner": runner,
        "now": unit.now,
        "lease_until": lease.until,
        "run_until": lease.run_until,
        "requested_at": work.requested_at.to_datetime() if work.requested_at else unit.now,
    }
    unit.tx.later(_SQL["insert_claim"], claim)


def end_claim(unit: Unit, work: WorkRequest, ended_by: str, usage: Usage) -> None:
    """End the claim of the current attempt and settle what it used."""
    place = (unit.tenant_id, work.work_request_id, work.attempt)
    unit.tx.later(_SQL["end_claim"], (unit.now, ended_by, usage.to_binary(), *place))
    if is_counted(work):
        unit.tx.later(_BUDGET["use"], (*_counted(unit, work), tokens_of(usage), usage.cost_micros))


def insert_evidence(unit: Unit, work: WorkRequest, evidence: EvidenceBundle) -> None:
    """Keep the bundle of the outcome that ends a work, whole."""
    place = (unit.tenant_id, evidence.evidence_bundle_id, work.work_request_id, work.change_id, evidence.attempt)
    unit.tx.later(_SQL["insert_evidence"], (*place, unit.now, evidence.to_binary()))


async def uploads_of(unit: Unit, work_request_id: str, attempt: int) -> list[Upload]:
    """What an attempt has put through the gateway; its work is locked."""
    rows = await unit.tx.fetch_all(_SQL["uploads"], (unit.tenant_id, work_request_id, attempt))
    return [Upload(**row) for row in rows]


def remove_invitation(unit: Unit, work_request_id: str) -> None:
    """Use up the invitation, if one is waiting."""
    unit.tx.later(_SQL["remove_invitation"], (unit.tenant_id, work_request_id))


def _hold(unit: Unit, work: WorkRequest) -> None:
    """What the work may still use stays reserved until it has ended."""
    if is_counted(work):
        held = Budget() if work.status in ENDED else work.budget or Budget()
        unit.tx.later(_BUDGET["hold"], (*_counted(unit, work), held.max_tokens, held.max_cost_micros))


def _counted(unit: Unit, work: WorkRequest) -> tuple[str, str, datetime]:
    at = work.requested_at.to_datetime() if work.requested_at else unit.now
    return unit.tenant_id, work.work_request_id, at


def _invite(unit: Unit, work: WorkRequest) -> None:
    unit.announce(
        WorkExecutionRequested(
            metadata=intent_metadata(unit, work),
            work_request_id=work.work_request_id,
            queue=work.queue,
            dispatch=work.dispatch,
            work_kind=work.work_kind,
            action_kind=work.action_kind,
        )
    )


def _claim(row: Row) -> Claim:
    ended_at: datetime | None = row["ended_at"]
    return Claim(
        row["work_request_id"],
        row["attempt"],
        row["claim_id"],
        row["principal_id"],
        row["run_until"],
        Usage.from_binary(row["usage"]),
        ended_at,
        row["ended_by"],
        row["by_gateway"],
    )


def _columns(unit: Unit, work: WorkRequest, waiting: Waiting | None) -> dict[str, object]:
    return {
        "tenant_id": unit.tenant_id,
        "work_request_id": work.work_request_id,
        "process_instance_id": work.process_instance_id,
        "change_id": work.change_id,
        "queue": work.queue,
        "status": work.status.name.lower(),
        "attempt": work.attempt,
        "dispatch": work.dispatch,
        "lost_claims": work.lost_claims,
        "cancel_requested": work.cancel_requested,
        "announce_at": waiting.announce_at if waiting else None,
        "claim_deadline": waiting.claim_deadline if waiting else None,
        "version": work.version,
        "state": work.to_binary(),
    }
