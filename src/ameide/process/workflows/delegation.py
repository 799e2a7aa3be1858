"""Delegated work: request it, wait for its terminal fact, watch that it moves."""

from __future__ import annotations

from ameide.process.steps import CANCEL_WORK, REQUEST_WORK
from ameide.process.workflows import reuse
from ameide.process.workflows.context import Refusal, RunContext
from ameide.process.workflows.inbox import Known
from ameide.process.workflows.state import Ask
from ameide_core_proto.process.transformation.v1.facts_pb import ActivityTransition
from ameide_core_proto.transformation.work.v1.command_service_pb import CancelWorkRequest, RequestWorkRequest
from ameide_core_proto.transformation.work.v1.work_pb import Outputs, RequestedBy, WorkRequest, WorkResult, WorkStatus

TERMINAL = (WorkStatus.SUCCEEDED, WorkStatus.FAILED, WorkStatus.CANCELED)


class Stuck(Exception):
    """A work says nothing, not even after it was canceled."""

    def __init__(self, work_request_id: str) -> None:
        super().__init__(f"Work {work_request_id} has said nothing for too long, and nothing after it was canceled.")


async def delegate(run: RunContext, activity: str, order: RequestWorkRequest) -> WorkRequest:
    """Have a step done elsewhere, unless the run before has done the very same; returns the work as its fact left it.

    A step that is taken up again after Continue-As-New waits for the work it has requested before.
    """
    if run.state.ask is None and (known_before := reuse.taken(run, activity, order)) is not None:
        return known_before
    ask = run.ask_for(activity)
    if not ask.ref:
        order.client_request_id = run.key(activity, ask.iteration)
        order.requested_by = RequestedBy(activity_id=order.client_request_id)
        answer = await run.command(REQUEST_WORK, order)
        ask.ref = answer.work.work_request_id if answer.work else ""
        ask.heard_at = run.now()
        run.journal.activity(activity, ask.iteration, ActivityTransition.STARTED, work=ask.ref)
    run.note_awaiting("work", ask.ref)
    known = await outcome_of(run, ask)
    work = known.work or WorkRequest()
    settle(run, ask, known)
    return work


def settle(run: RunContext, ask: Ask, known: Known) -> None:
    """The work is over: say so, and hear no more of it."""
    work = known.work or WorkRequest()
    succeeded = work.status == WorkStatus.SUCCEEDED
    run.journal.activity(
        ask.activity,
        ask.iteration,
        ActivityTransition.COMPLETED if succeeded else ActivityTransition.FAILED,
        work=ask.ref,
        fact=known.fact_id,
        reason="" if succeeded else why(work),
    )
    run.state.inbox.close("work", ask.ref)
    run.state.ask = None


def why(work: WorkRequest) -> str:
    """In a word why a work did not succeed."""
    if work.status == WorkStatus.CANCELED:
        return "canceled"
    return work.result.failure_code.name.lower() if work.result else "unknown"


def outputs(work: WorkRequest) -> Outputs:
    """What a work brought forth; empty when it says nothing."""
    return (work.result or WorkResult()).outputs or Outputs()


async def outcome_of(run: RunContext, ask: Ask) -> Known:
    """Resumes on the work's terminal fact.

    The watchdog: silent for the policy's bound, the work is canceled; silent again, a person is asked (raises Stuck).
    It sends commands only and never polls.
    """
    patience = run.bounds.stuck_after_seconds
    while True:
        known = run.state.inbox.about("work", ask.ref)
        if known is not None and known.work is not None:
            if known.work.status in TERMINAL:
                return known
            if known.version > ask.heard_version:
                ask.heard_version, ask.heard_at = known.version, run.now()
        deadline = ask.heard_at + patience if patience else None
        if await run.until(lambda: _moved(run, ask), deadline):
            continue
        if ask.cancel_sent:
            raise Stuck(ask.ref)
        await cancel(run, ask, f"No news of it for {patience} seconds.")
        ask.heard_at = run.now()


def _moved(run: RunContext, ask: Ask) -> bool:
    known = run.state.inbox.about("work", ask.ref)
    return known is not None and (
        known.version > ask.heard_version or (known.work is not None and known.work.status in TERMINAL)
    )


async def cancel(run: RunContext, ask: Ask, reason: str) -> None:
    """Ask for the work to end. Whether it does is told by its terminal fact; a work that is over already may refuse."""
    number = run.next_iteration("cancel_work")
    request = CancelWorkRequest(
        scope=run.run.scope,
        client_request_id=run.key("cancel_work", number),
        work_request_id=ask.ref,
        reason=reason,
    )
    ask.cancel_sent = True
    try:
        await run.command(CANCEL_WORK, request)
    except Refusal:
        return
