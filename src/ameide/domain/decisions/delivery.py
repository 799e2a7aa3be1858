"""Releases and promotions: a digest, and where it has come to."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

from protobuf.wkt import Timestamp

from ameide.contracts.image_ref import ImageRef
from ameide.errors import InvalidArgument, Refused
from ameide_core_proto.transformation.governance.v1.command_service_pb import RecordReleaseRequest
from ameide_core_proto.transformation.governance.v1.facts_pb import (
    PromotionMerged,
    PromotionProposed,
    PromotionRequested,
    ReleaseRecorded,
    RolloutHealthRecorded,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import Promotion, PromotionStatus, Release, Run
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, WorkRequest, WorkStatus

REACHED = (PromotionStatus.MERGED, PromotionStatus.HEALTHY, PromotionStatus.UNHEALTHY)


def record_release(
    command: RecordReleaseRequest, release_id: str, run: Run, publish: WorkRequest, now: Timestamp
) -> ReleaseRecorded:
    """What was published from the merge commit. The publish work must have reported exactly this digest."""
    image = ImageRef.parse(command.image_ref)
    outputs = publish.result.outputs if publish.result else None
    if (
        publish.process_instance_id != run.process_instance_id
        or publish.action_kind != ActionKind.PUBLISH
        or publish.status != WorkStatus.SUCCEEDED
        or outputs is None
        or outputs.image_ref != str(image)
    ):
        raise Refused(
            f"work {publish.work_request_id} did not publish {image}",
            field="build_work_request_id",
            remedy="Name the publish work of this run that reported the digest",
            reason="NOT_PUBLISHED",
        )
    return ReleaseRecorded(
        release=Release(
            scope=run.scope,
            release_id=release_id,
            change_id=run.change_id,
            repository_id=run.scope.repository_id if run.scope else "",
            process_instance_id=run.process_instance_id,
            component=command.component,
            image_ref=str(image),
            commit_sha=command.commit_sha,
            build_work_request_id=command.build_work_request_id,
            recorded_at=now,
            version=1,
        )
    )


def request_promotion(
    promotion_id: str, environment: str, release: Release, run: Run, others: Sequence[Promotion], now: Timestamp
) -> PromotionRequested:
    """Asks for a release in an environment; those before it in the policy's order must have it."""
    policy = run.input.policy if run.input else None
    order = [item.name for item in policy.environments] if policy else []
    if environment not in order:
        raise InvalidArgument(
            f"{environment!r} is not in the policy", field="environment", remedy=f"Choose one of {', '.join(order)}"
        )
    reached = {other.environment for other in others if other.status in REACHED}
    missing = [name for name in order[: order.index(environment)] if name not in reached]
    if missing:
        raise Refused(
            f"the release is not in {', '.join(missing)} yet", remedy="Promote there first", reason="OUT_OF_ORDER"
        )
    return PromotionRequested(
        promotion=Promotion(
            scope=run.scope,
            promotion_id=promotion_id,
            release_id=release.release_id,
            change_id=release.change_id,
            repository_id=release.repository_id,
            process_instance_id=run.process_instance_id,
            environment=environment,
            image_ref=release.image_ref,
            status=PromotionStatus.REQUESTED,
            requested_at=now,
            component=release.component,
            version=1,
        )
    )


def propose(promotion: Promotion, pr_url: str) -> PromotionProposed:
    """The pull request with the digest is open."""
    _need(promotion, PromotionStatus.REQUESTED)
    changed = _next(promotion, PromotionStatus.PROPOSED)
    changed.pr_url = pr_url
    return PromotionProposed(promotion=changed)


def merge(promotion: Promotion, commit_sha: str, now: Timestamp) -> PromotionMerged:
    """The digest is on the environment's branch."""
    _need(promotion, PromotionStatus.PROPOSED)
    changed = _next(promotion, PromotionStatus.MERGED)
    changed.gitops_commit_sha = commit_sha
    changed.merged_at = now
    return PromotionMerged(promotion=changed)


def record_health(promotion: Promotion, healthy: bool, summary: str) -> RolloutHealthRecorded:
    """What the smoke check saw of the merged promotion; may be looked at again."""
    _need(promotion, *REACHED)
    changed = _next(promotion, PromotionStatus.HEALTHY if healthy else PromotionStatus.UNHEALTHY)
    changed.health_summary = summary
    return RolloutHealthRecorded(promotion=changed)


def _need(promotion: Promotion, *statuses: PromotionStatus) -> None:
    if promotion.status not in statuses:
        raise Refused(
            f"promotion {promotion.promotion_id} is {promotion.status.name.lower()}",
            remedy="`ameide promotion show` tells its course",
            reason="WRONG_STATUS",
        )


def _next(promotion: Promotion, status: PromotionStatus) -> Promotion:
    changed = deepcopy(promotion)
    changed.version += 1
    changed.status = status
    return changed
