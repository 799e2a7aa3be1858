"""What counts as verified and as built. Green counts only from a principal that is not the author's (contracts 9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protobuf.wkt import Timestamp

from ameide.domain.decisions.work import Claim, inputs_of, is_agent_publish
from ameide.errors import Refused
from ameide_core_proto.transformation.governance.v1.governance_pb import Run, RunInput
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    FailureCode,
    Outputs,
    WorkRequest,
    WorkResult,
    WorkStatus,
)


@dataclass(frozen=True, slots=True)
class Verified:
    """A candidate's newest green verification, and the hashes of its patch (see `need_verified`)."""

    work: WorkRequest
    diff_hashes: frozenset[str]


def outputs_of(work: WorkRequest) -> Outputs:
    """What a work left; empty ones when it left nothing."""
    return (work.result or WorkResult()).outputs or Outputs()


def authors_of(works: Sequence[WorkRequest], claims: Sequence[Claim]) -> frozenset[str]:
    """The principals whose executors ran the coder in the change, lost claims included: they may have pushed.

    Those of earlier runs count as well: a later run may go on from their commits.
    """
    written = {work.work_request_id for work in works if is_agent_publish(work)}
    return frozenset(claim.principal_id for claim in claims if claim.work_request_id in written)


def need_independent(
    work: WorkRequest, principal_id: str, policy: Policy, works: Sequence[WorkRequest], claims: Sequence[Claim]
) -> None:
    """Raises Refused(SELF_GRADING) when an author would call its own work green."""
    if work.action_kind != ActionKind.VERIFY or not policy.independent_verification or not work.process_instance_id:
        return
    if principal_id in authors_of(works, claims):
        raise Refused(
            f"{principal_id} wrote code in this change and can't verify it",
            field="outcome",
            remedy="Release the work, and give verify queues to an executor with another principal",
            reason="SELF_GRADING",
        )


def need_verified(
    work: WorkRequest, run: Run, policy: Policy, works: Sequence[WorkRequest], claims: Sequence[Claim]
) -> Verified:
    """The newest green verification of exactly this candidate in this run, with its patch as it was hashed then.

    One of the run before counts where the Domain has let this run take it.
    Only a candidate that is main itself has no patch to hash (people merged the change before): then the hash counts
    that its preparation names. Raises Refused(NOT_VERIFIED).
    """
    candidate = inputs_of(work).candidate_sha
    authors = frozenset[str]()
    if policy.independent_verification:
        authors = authors_of(works, claims)
    offered = {one.work_request_id for one in (run.input or RunInput()).reusable if one.activity == "verify"}

    def independent(action: ActionKind) -> list[WorkRequest]:
        return [w for w in _succeeded(action, work, works) if w.executor_principal_id not in authors]

    taken = [w for w in works if w.work_request_id in offered and w.executor_principal_id not in authors]
    taken = [w for w in taken if w.action_kind == ActionKind.VERIFY and w.status == WorkStatus.SUCCEEDED]
    green = [verify for verify in (*independent(ActionKind.VERIFY), *taken) if verify.commit_sha == candidate]
    if not green:
        raise Refused(
            f"candidate {candidate} was not verified in this run by an independent executor",
            field="inputs.candidate_sha",
            remedy="Request VERIFY at that commit first",
            reason="NOT_VERIFIED",
        )
    patches = [outputs_of(verify) for verify in green if outputs_of(verify).diff_hash]
    if not patches:
        prepared = [outputs_of(merge) for merge in independent(ActionKind.MERGE) if not inputs_of(merge).push]
        patches = [outputs for outputs in prepared if outputs.commit_sha == candidate and outputs.diff_hash]
    newest = max(green, key=_ended)
    red = [w for w in works if _is_red(w, candidate) and _ended(w) > _ended(newest)]
    if red:
        raise Refused(
            f"candidate {candidate} was red when it was last verified",
            field="inputs.candidate_sha",
            remedy="Send the findings to the coder, or verify it again",
            reason="NOT_VERIFIED",
        )
    return Verified(newest, frozenset(outputs.diff_hash for outputs in patches))


def _ended(work: WorkRequest) -> tuple[int, int, str]:
    at = work.ended_at or Timestamp()
    return at.seconds, at.nanos, work.work_request_id


def _is_red(work: WorkRequest, commit: str) -> bool:
    failed = work.result is not None and work.result.failure_code == FailureCode.VERIFICATION_FAILED
    return failed and work.commit_sha == commit and work.action_kind == ActionKind.VERIFY


def need_built(work: WorkRequest, works: Sequence[WorkRequest]) -> None:
    """Raises Refused(NOT_BUILT) unless a BUILD of this run made that digest from that commit."""
    digest = inputs_of(work).build_digest
    for build in _succeeded(ActionKind.BUILD, work, works):
        if build.commit_sha == work.commit_sha and outputs_of(build).build_digest == digest:
            return
    raise Refused(
        f"no BUILD of this run made {digest} from {work.commit_sha}",
        field="inputs.build_digest",
        remedy="Request BUILD at that commit first, and publish what it made",
        reason="NOT_BUILT",
    )


def need_not_merged(process_instance_id: str, works: Sequence[WorkRequest]) -> None:
    """Raises Refused(REQUIREMENT_MERGED) when this run's code is on the main branch, or on its way there.

    A push under way can't be called back: a revision meanwhile would void the gate of what is merged.
    """
    for work in works:
        push = work.action_kind == ActionKind.MERGE and inputs_of(work).push
        unmerged = work.status in (WorkStatus.FAILED, WorkStatus.CANCELED)
        if push and not unmerged and work.process_instance_id == process_instance_id:
            merged = "has merged" if work.status == WorkStatus.SUCCEEDED else "is merging"
            raise Refused(
                f"run {process_instance_id} {merged} this requirement",
                remedy="Wait for the run to end, or open a new change",
                reason="REQUIREMENT_MERGED",
            )


def _succeeded(action: ActionKind, work: WorkRequest, works: Sequence[WorkRequest]) -> list[WorkRequest]:
    return [
        other
        for other in works
        if other.action_kind == action
        and other.status == WorkStatus.SUCCEEDED
        and other.process_instance_id == work.process_instance_id
    ]
