"""Handlers of releases and promotions."""

from __future__ import annotations

from ameide.contracts.ids import new_id
from ameide.domain.commands.work_rows import lock as lock_work
from ameide.domain.decisions import delivery as decisions
from ameide.domain.decisions.run import need_open_run
from ameide.domain.unit import Unit
from ameide.errors import Refused
from ameide_core_proto.transformation.governance.v1.command_service_pb import (
    RecordPromotionMergedRequest,
    RecordPromotionMergedResponse,
    RecordPromotionProposedRequest,
    RecordPromotionProposedResponse,
    RecordReleaseRequest,
    RecordReleaseResponse,
    RecordRolloutHealthRequest,
    RecordRolloutHealthResponse,
    RequestPromotionRequest,
    RequestPromotionResponse,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, Promotion, Release, Run
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, Outputs, WorkStatus


async def record_release(unit: Unit, command: RecordReleaseRequest) -> RecordReleaseResponse:
    """What the publish work of this run reported, by digest."""
    run = await _lock_open_run(unit, command.process_instance_id)
    publish = await lock_work(unit, command.build_work_request_id)
    fact = decisions.record_release(command, new_id("rel"), run, publish, unit.timestamp)
    unit.record(fact)
    return RecordReleaseResponse(release=fact.release)


async def request_promotion(unit: Unit, command: RequestPromotionRequest) -> RequestPromotionResponse:
    """A release into an environment, in the policy's order."""
    run = await _lock_open_run(unit, command.process_instance_id)
    release = await unit.read("release", command.release_id, Release)
    others = await unit.children("promotion", release.release_id, Promotion)
    fact = decisions.request_promotion(new_id("prm"), command.environment, release, run, others, unit.timestamp)
    unit.record(fact)
    return RequestPromotionResponse(promotion=fact.promotion)


async def record_promotion_proposed(
    unit: Unit, command: RecordPromotionProposedRequest
) -> RecordPromotionProposedResponse:
    """The pull request that carries the digest."""
    promotion = await unit.lock("promotion", command.promotion_id, Promotion)
    outputs = await _deployed(unit, command.work_request_id, promotion)
    if outputs is not None and outputs.pr_url != command.pr_url:
        raise _other(command.work_request_id, "pr_url")
    fact = decisions.propose(promotion, command.pr_url)
    unit.record(fact)
    return RecordPromotionProposedResponse(promotion=fact.promotion)


async def record_promotion_merged(unit: Unit, command: RecordPromotionMergedRequest) -> RecordPromotionMergedResponse:
    """The digest is on the environment's branch."""
    promotion = await unit.lock("promotion", command.promotion_id, Promotion)
    outputs = await _deployed(unit, command.work_request_id, promotion)
    if outputs is not None and not (outputs.merged and outputs.gitops_commit_sha == command.gitops_commit_sha):
        raise _other(command.work_request_id, "gitops_commit_sha")
    fact = decisions.merge(promotion, command.gitops_commit_sha, unit.timestamp)
    unit.record(fact)
    return RecordPromotionMergedResponse(promotion=fact.promotion)


async def record_rollout_health(unit: Unit, command: RecordRolloutHealthRequest) -> RecordRolloutHealthResponse:
    """What the smoke check saw."""
    promotion = await unit.lock("promotion", command.promotion_id, Promotion)
    fact = decisions.record_health(promotion, command.healthy, command.summary)
    unit.record(fact)
    return RecordRolloutHealthResponse(promotion=fact.promotion)


async def _lock_open_run(unit: Unit, process_instance_id: str) -> Run:
    known = await unit.read("run", process_instance_id, Run)
    await unit.lock("change", known.change_id, Change)
    run = await unit.lock("run", process_instance_id, Run)
    need_open_run(run)
    return run


async def _deployed(unit: Unit, work_request_id: str, promotion: Promotion) -> Outputs | None:
    """What the deploy work reported; None when a person merged on the forge and no work is named."""
    if not work_request_id:
        return None
    work = await lock_work(unit, work_request_id)
    done = work.action_kind == ActionKind.DEPLOY and work.status == WorkStatus.SUCCEEDED
    if not done or work.process_instance_id != promotion.process_instance_id or work.result is None:
        raise _other(work_request_id, "work_request_id")
    return work.result.outputs


def _other(work_request_id: str, field: str) -> Refused:
    return Refused(
        f"work {work_request_id} reported something else",
        field=field,
        remedy="Name the deploy work of this promotion and what it reported",
        reason="NOT_DEPLOYED",
    )
