"""RequestWork and CancelWork: what others than executors say about delegated work."""

from __future__ import annotations

from dataclasses import replace

from ameide.contracts.ids import new_id
from ameide.domain.commands import attaching, budgets, work_rows
from ameide.domain.decisions import work_outcome, work_request
from ameide.domain.decisions.work import ENDED, waiting_from
from ameide.domain.decisions.work_request import Grounds
from ameide.domain.unit import S, Unit, opened
from ameide.errors import InvalidArgument, Refused
from ameide.storage import sql
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, Gate, Release, Repository, Run
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.work.v1.command_service_pb import (
    CancelWorkRequest,
    CancelWorkResponse,
    RequestWorkRequest,
    RequestWorkResponse,
)
from ameide_core_proto.transformation.work.v1.facts_pb import WorkRequested
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, Usage, WorkInputs, WorkRequest, WorkStatus

_SQL = sql.load("domain")
MAY_REQUEST = ("process", "operator", "requester")
# A run's works verify, merge and deploy for it, under keys that its process counts: nobody else puts one in between.
MAY_REQUEST_FOR_A_RUN = ("process",)


async def request_work(unit: Unit, command: RequestWorkRequest) -> RequestWorkResponse:
    """One row, one fact, one intent. With the change locked no work slips past its cancel, its gates or its budget."""
    unit.caller.need(*(MAY_REQUEST_FOR_A_RUN if command.process_instance_id else MAY_REQUEST))
    grounds = await _grounds(unit, command)
    if command.action_kind == ActionKind.DEPLOY:
        await _need_released(unit, command)
    facts = work_request.request(command, new_id("wrk"), grounds, unit.actor, unit.timestamp)
    unit.record(*facts)
    work = next(fact.work for fact in facts if isinstance(fact, WorkRequested))
    assert work is not None
    work.traceparent, work.tracestate = unit.caller.trace.traceparent, unit.caller.trace.tracestate
    work_rows.insert(unit, work, waiting_from(work, unit.now))
    return RequestWorkResponse(work=work)


async def cancel_work(unit: Unit, command: CancelWorkRequest) -> CancelWorkResponse:
    """At once when nobody runs it; otherwise its executor is told and says the outcome. An ended work stays ended."""
    unit.caller.need(*MAY_REQUEST)
    work = await work_rows.lock(unit, command.work_request_id)
    return CancelWorkResponse(work=await _cancel(unit, work, command.reason or "canceled on request"))


async def cancel_open_work(
    unit: Unit, change_id: str, why: str = "its change was canceled", *, of_run: str = ""
) -> list[WorkRequest]:
    """Cancel everything that a change has open, or only what belongs to a run. The caller has locked the change."""
    works = await work_rows.lock_open_of_change(unit, change_id)
    return [await _cancel(unit, work, why) for work in works if not of_run or work.process_instance_id == of_run]


async def _cancel(unit: Unit, work: WorkRequest, summary: str) -> WorkRequest:
    if work.status in ENDED or (work.status == WorkStatus.STARTED and work.cancel_requested):
        return work
    if work.status == WorkStatus.STARTED:
        asked = work_outcome.ask_to_cancel(work)
        work_rows.save(unit, asked)
        return asked
    fact = work_outcome.cancel_unclaimed(work, summary, Usage(), unit.timestamp)
    assert fact.work is not None
    work_rows.save(unit, fact.work)
    work_rows.remove_invitation(unit, work.work_request_id)
    unit.record(fact)
    return fact.work


async def _grounds(unit: Unit, command: RequestWorkRequest) -> Grounds:
    asked = (unit.tenant_id, command.process_instance_id, command.change_id, command.repository_id)
    states: dict[str, list[bytes]] = {}
    for row in await unit.tx.fetch_all(_SQL["grounds"], asked):
        states.setdefault(row["kind"], []).append(row["state"])

    def the(kind: str, id: str, state: type[S]) -> S:
        return opened(states.get(kind, [None])[0], kind, id, state)

    run = the("run", command.process_instance_id, Run) if command.process_instance_id else None
    change_id = run.change_id if run else command.change_id
    grounds = Grounds(
        repository=the("repository", command.repository_id, Repository),
        policy=the("policy", command.repository_id, Policy),
        change=the("change", change_id, Change) if change_id else None,
        run=run,
        gates=[Gate.from_binary(state) for state in states.get("gate", [])],
    )
    if grounds.change is not None:
        await attaching.attach(unit, grounds.change)
    if change_id and work_request.looks_back(command, grounds):
        works, claims = await work_rows.of_change(unit, change_id)
        talked = await budgets.talked(unit, change_id) if work_request.counts(command) else None
        grounds = replace(grounds, works=works, claims=claims, talked=talked)
    # Last of all locks, and for no more works than have to wait for each other.
    return replace(grounds, tenant=await budgets.lock_account(unit)) if work_request.counts(command) else grounds


async def _need_released(unit: Unit, command: RequestWorkRequest) -> None:
    """Only what was recorded as a release of this repository is deployed, of whichever run; a rollback's is older."""
    inputs = command.inputs or WorkInputs()
    if not inputs.release_id:
        raise InvalidArgument(
            "is empty, but only a recorded release is deployed",
            field="inputs.release_id",
            remedy="Name one; `ameide release list` shows them",
        )
    release = await unit.read("release", inputs.release_id, Release)
    if release.repository_id != command.repository_id:
        raise Refused(
            f"release {release.release_id} is of {release.repository_id}",
            field="inputs.release_id",
            remedy=f"Name a release of {command.repository_id}",
            reason="RELEASE_MISMATCH",
        )
    if release.image_ref != inputs.image_ref:
        raise Refused(
            f"release {release.release_id} is {release.image_ref}",
            field="inputs.image_ref",
            remedy="Deploy the image of the release",
            reason="RELEASE_MISMATCH",
        )
