"""How a work ends, or goes back. The first terminal word of the current claim wins (contracts 4)."""

from __future__ import annotations

from copy import deepcopy

from protobuf.wkt import Timestamp

from ameide.contracts.image_ref import ImageRef
from ameide.contracts.usage import highest
from ameide.domain.decisions.upload import folder_of
from ameide.domain.decisions.work import Claim, inputs_of
from ameide.errors import Conflict, InvalidArgument
from ameide_core_proto.transformation.work.v1.command_service_pb import RecordWorkOutcomeRequest, WorkOutcome
from ameide_core_proto.transformation.work.v1.facts_pb import WorkCanceled, WorkCompleted, WorkFailed
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    Budget,
    EvidenceBundle,
    FailureCode,
    Outputs,
    Usage,
    WorkKind,
    WorkRequest,
    WorkResult,
    WorkStatus,
)

Ending = WorkCompleted | WorkFailed | WorkCanceled
_STATUS = {
    WorkOutcome.SUCCESS: WorkStatus.SUCCEEDED,
    WorkOutcome.FAILURE: WorkStatus.FAILED,
    WorkOutcome.CANCELED: WorkStatus.CANCELED,
}


def is_replay(work: WorkRequest, claim: Claim | None, command: RecordWorkOutcomeRequest, principal_id: str) -> bool:
    """Whether this claim has ended the work with this very outcome. Raises Conflict when it did with another one."""
    if (
        claim is None
        or (work.attempt, claim.attempt) != (command.attempt, command.attempt)
        or (claim.claim_id, claim.principal_id) != (command.claim_id, principal_id)
        or claim.ended_by not in ("succeeded", "failed", "canceled")
    ):
        return False
    if work.status != _STATUS[command.outcome] or work.result != settle(command, claim.usage):
        raise Conflict(
            f"{work.work_request_id} has ended as {work.status.name.lower()} with another outcome",
            remedy="The first outcome stands; write nothing",
            reason="OUTCOME_RECORDED",
        )
    return True


def end(
    work: WorkRequest, claim: Claim, command: RecordWorkOutcomeRequest, principal_id: str, now: Timestamp
) -> Ending:
    """The outcome of the current claim. A success after a cancel request counts. Raises InvalidArgument."""
    evidence = _evidence(work, command, principal_id)
    result = settle(command, claim.usage)
    _check(work, command.outcome, result)
    ended = _ended(work, _STATUS[command.outcome], result, now)
    if command.outcome == WorkOutcome.SUCCESS:
        return WorkCompleted(work=ended, evidence=evidence)
    if command.outcome == WorkOutcome.FAILURE:
        return WorkFailed(work=ended, evidence=evidence)
    return WorkCanceled(work=ended, evidence=evidence)


def settle(command: RecordWorkOutcomeRequest, last_usage: Usage) -> WorkResult:
    """The result as it is kept: it names its evidence and what was used, which is no less than a heartbeat has said."""
    result = deepcopy(command.result) if command.result else WorkResult()
    if command.evidence is not None:
        result.evidence_bundle_id = command.evidence.evidence_bundle_id
    result.usage = highest(last_usage, result.usage or Usage())
    return result


def fail(work: WorkRequest, code: FailureCode, summary: str, usage: Usage, now: Timestamp) -> WorkFailed:
    """A failure that nobody runs to tell; it has no evidence."""
    result = WorkResult(summary=summary, failure_code=code, usage=usage)
    return WorkFailed(work=_ended(work, WorkStatus.FAILED, result, now))


def cancel_unclaimed(work: WorkRequest, summary: str, usage: Usage, now: Timestamp) -> WorkCanceled:
    """Canceled while nobody runs it; it has no evidence."""
    canceled = _ended(work, WorkStatus.CANCELED, WorkResult(summary=summary, usage=usage), now)
    canceled.cancel_requested = True
    return WorkCanceled(work=canceled)


def ask_to_cancel(work: WorkRequest) -> WorkRequest:
    """Told to whoever runs it with the next heartbeat; no fact until it has ended."""
    asked = deepcopy(work)
    asked.cancel_requested = True
    return asked


def back(work: WorkRequest, left: Budget, *, lost: bool) -> WorkRequest:
    """Requested again, under a new dispatch, without a fact, and with what is left of its budget.

    `lost` spends one of the lost claims.
    """
    again = deepcopy(work)
    again.budget = left
    again.status = WorkStatus.REQUESTED
    again.dispatch += 1
    again.lost_claims += lost
    return again


def announce_again(work: WorkRequest) -> WorkRequest:
    """The same work under a new dispatch, whose invitation replaces the one before."""
    again = deepcopy(work)
    again.dispatch += 1
    return again


def _ended(work: WorkRequest, status: WorkStatus, result: WorkResult, now: Timestamp) -> WorkRequest:
    ended = deepcopy(work)
    ended.status = status
    ended.result = result
    ended.ended_at = now
    ended.version += 1
    return ended


def _evidence(work: WorkRequest, command: RecordWorkOutcomeRequest, principal_id: str) -> EvidenceBundle:
    if command.evidence is None:
        raise InvalidArgument("an outcome needs evidence", field="evidence", remedy="Send the bundle of this attempt")
    evidence = deepcopy(command.evidence)
    if evidence.work_request_id != work.work_request_id:
        raise InvalidArgument(
            f"is {evidence.work_request_id!r}, not this work",
            field="evidence.work_request_id",
            remedy=f"Set it to {work.work_request_id}",
        )
    if evidence.attempt != command.attempt:
        raise InvalidArgument(
            f"is {evidence.attempt}, not this attempt", field="evidence.attempt", remedy=f"Set it to {command.attempt}"
        )
    folder = folder_of(work, command.attempt, command.claim_id)
    for index, artifact in enumerate(evidence.artifacts):
        if not artifact.uri.startswith(folder) or ".." in artifact.uri.split("/"):
            raise InvalidArgument(
                f"{artifact.uri!r} lies outside of this attempt",
                field=f"evidence.artifacts[{index}].uri",
                remedy=f"Store it under {folder}",
            )
    claimed = command.result.evidence_bundle_id if command.result else ""
    if claimed and claimed != evidence.evidence_bundle_id:
        raise InvalidArgument(
            "names another bundle than the evidence", field="result.evidence_bundle_id", remedy="Leave it out"
        )
    evidence.scope = deepcopy(work.scope)
    evidence.principal_id = principal_id
    return evidence


def _check(work: WorkRequest, outcome: WorkOutcome, result: WorkResult) -> None:
    outputs = result.outputs or Outputs()
    if outputs.image_ref:
        ImageRef.parse(outputs.image_ref)
    if outcome == WorkOutcome.CANCELED and not work.cancel_requested:
        raise InvalidArgument(
            "nobody asked to cancel this work",
            field="outcome",
            remedy="Record a failure, or give it back with ReleaseWork",
        )
    if outcome == WorkOutcome.FAILURE and result.failure_code == FailureCode.UNSPECIFIED:
        raise InvalidArgument("a failure has a code", field="result.failure_code", remedy="Set it")
    if outcome != WorkOutcome.SUCCESS:
        return
    if result.failure_code != FailureCode.UNSPECIFIED:
        raise InvalidArgument("a success has none", field="result.failure_code", remedy="Leave it out")
    expected = _commit_of(work)
    if expected and outputs.commit_sha and outputs.commit_sha != expected:
        raise InvalidArgument(
            f"is {outputs.commit_sha}, the work was about {expected}",
            field="result.outputs.commit_sha",
            remedy="Leave it out",
        )
    if work.work_kind == WorkKind.TOOL_RUN and work.action_kind == ActionKind.PUBLISH:
        _check_published(outputs.image_ref, inputs_of(work).build_digest)


def _check_published(image_ref: str, build_digest: str) -> None:
    if not image_ref:
        raise InvalidArgument(
            "is empty, but an image was published", field="result.outputs.image_ref", remedy="Name it by digest"
        )
    if ImageRef.parse(image_ref).digest != build_digest:
        raise InvalidArgument(
            f"is {image_ref}, the work was to publish {build_digest}",
            field="result.outputs.image_ref",
            remedy="Publish the bytes that were built, and record a failure when they cannot be",
        )


def _commit_of(work: WorkRequest) -> str:
    """The commit that a success must be about; empty for steps that make a new one."""
    if work.action_kind in (ActionKind.VERIFY, ActionKind.BUILD, ActionKind.ANALYZE):
        return work.commit_sha
    inputs = inputs_of(work)
    return inputs.candidate_sha if work.action_kind == ActionKind.MERGE and inputs.push else ""
