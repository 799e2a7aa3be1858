"""What the run before has done is taken where this run would ask for the very same; all else is done anew."""

from __future__ import annotations

from ameide.contracts.input_digest import digest_of_order
from ameide.process.workflows.context import RunContext
from ameide_core_proto.process.transformation.v1.facts_pb import ActivityTransition
from ameide_core_proto.transformation.work.v1.command_service_pb import RequestWorkRequest
from ameide_core_proto.transformation.work.v1.work_pb import WorkRequest


def taken(run: RunContext, activity: str, order: RequestWorkRequest) -> WorkRequest | None:
    """The earlier work that asked for the same, as its fact left it; None when the step must be done.

    Each is taken once: whoever comes back to a step wants it done again.
    """
    if not run.run.reusable:
        return None
    digest = digest_of_order(order, run.repository, run.policy)
    for known in run.run.reusable:
        fits = (known.activity, known.input_digest) == (activity, digest)
        if not fits or known.work_request_id in run.state.reused:
            continue
        run.state.reused.append(known.work_request_id)
        run.journal.activity(
            activity,
            run.next_iteration(activity),
            ActivityTransition.SKIPPED,
            work=known.work_request_id,
            reason=f"reused from {known.process_instance_id}, same inputs {digest[:12]}",
        )
        return WorkRequest(
            work_request_id=known.work_request_id,
            process_instance_id=known.process_instance_id,
            work_kind=order.work_kind,
            action_kind=order.action_kind,
            commit_sha=order.commit_sha,
            status=known.status,
            result=known.result,
        )
    return None
