"""Release: ready to release, build and publish, then the same digest through the environments in policy's order."""

from __future__ import annotations

from ameide.process.steps import (
    RECORD_PROMOTION_MERGED,
    RECORD_PROMOTION_PROPOSED,
    RECORD_RELEASE,
    RECORD_ROLLOUT_HEALTH,
    REQUEST_PROMOTION,
)
from ameide.process.workflows import gates, orders
from ameide.process.workflows.context import RunContext
from ameide.process.workflows.delegation import delegate, outputs
from ameide.process.workflows.failures import after_merge_failure, ask_human, code_of, findings_of
from ameide.process.workflows.state import Deployed, Ending, Step
from ameide_core_proto.process.transformation.v1.facts_pb import ActivityTransition
from ameide_core_proto.transformation.governance.v1.command_service_pb import (
    RecordPromotionMergedRequest,
    RecordPromotionProposedRequest,
    RecordReleaseRequest,
    RecordRolloutHealthRequest,
    RequestPromotionRequest,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    GateSubject,
    PromotionStatus,
    RunStatus,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import Environment, GateKind
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, WorkResult, WorkStatus

_ON_THE_BRANCH = (PromotionStatus.MERGED, PromotionStatus.HEALTHY, PromotionStatus.UNHEALTHY)
_UNHEALTHY = (FailureCode.VERIFICATION_FAILED, FailureCode.TOOL_FAILED)
_MAX_SUMMARY = 2000


async def ready_to_release(run: RunContext) -> Step:
    """Without a gitops target a change ends at its merge. Rejected: the run ends after the merge, too."""
    if run.repository.gitops is None:
        return ending(run, RunStatus.COMPLETED, "merged")
    if gates.required(run, GateKind.READY_TO_RELEASE):
        subject = GateSubject(commit_sha=run.state.merge_commit)
        decided = await gates.gate(run, GateKind.READY_TO_RELEASE, subject)
        if decided.status not in gates.PASSED:
            return ending(run, RunStatus.COMPLETED, "merged_not_released")
    return Step.BUILD


async def build(run: RunContext) -> Step:
    """TOOL_RUN BUILD at the merge commit."""
    work = await delegate(run, "build", orders.build(run.run, run.state))
    if work.status != WorkStatus.SUCCEEDED:
        return after_merge_failure(run, Step.BUILD, work)
    run.state.build_uri, run.state.build_digest = outputs(work).build_uri, outputs(work).build_digest
    return Step.PUBLISH


async def publish(run: RunContext) -> Step:
    """TOOL_RUN PUBLISH, once per pass of the gate."""
    order = orders.publish(run.run, run.state, gates.taken(run, GateKind.READY_TO_RELEASE))
    work = await delegate(run, "publish", order)
    if work.status != WorkStatus.SUCCEEDED:
        return after_merge_failure(run, Step.PUBLISH, work)
    gates.retire(run, GateKind.READY_TO_RELEASE)
    run.state.image_ref = outputs(work).image_ref
    run.state.publish_work_request_id = work.work_request_id
    return Step.RELEASE


async def release(run: RunContext) -> Step:
    """`RecordRelease`; the fact is the truth."""
    state = run.state
    if not state.release_id:
        answer = await run.command(
            RECORD_RELEASE,
            RecordReleaseRequest(
                scope=run.run.scope,
                client_request_id=run.key("record_release", 1),
                process_instance_id=run.run.process_instance_id,
                component=orders.component(run.run),
                image_ref=state.image_ref,
                commit_sha=state.merge_commit,
                build_work_request_id=state.publish_work_request_id,
            ),
        )
        state.release_id = answer.release.release_id if answer.release else ""
    await run.until(lambda: run.state.inbox.about("release", run.state.release_id) is not None)
    return Step.PROMOTION


def _environment(run: RunContext) -> Environment | None:
    environments = run.policy.environments
    return environments[run.state.environment] if run.state.environment < len(environments) else None


async def promotion(run: RunContext) -> Step:
    """The next environment: ask for the promotion, pass its gate where policy has one.

    Rejected or expired, this environment and those after it are skipped.
    """
    state = run.state
    environment = _environment(run)
    if environment is None:
        return ending(run, RunStatus.COMPLETED, "delivered")
    if not state.promotion_id:
        answer = await run.command(
            REQUEST_PROMOTION,
            RequestPromotionRequest(
                scope=run.run.scope,
                client_request_id=run.key("request_promotion", state.environment + 1),
                process_instance_id=run.run.process_instance_id,
                release_id=state.release_id,
                environment=environment.name,
            ),
        )
        state.promotion_id = answer.promotion.promotion_id if answer.promotion else ""
    if environment.gate_required:
        subject = GateSubject(release_id=state.release_id, image_ref=state.image_ref, environment=environment.name)
        decided = await gates.gate(run, GateKind.PROMOTION, subject)
        if decided.status not in gates.PASSED:
            for number, skipped in enumerate(run.policy.environments[state.environment :], state.environment + 1):
                reason = f"{skipped.name}: {gates.comment_of(decided)}"
                run.journal.activity("deploy", number, ActivityTransition.SKIPPED, reason=reason)
            return ending(run, RunStatus.COMPLETED, "partially_delivered")
    return Step.DEPLOY


async def deploy(run: RunContext) -> Step:
    """TOOL_RUN DEPLOY: a Git change that copies the digest."""
    environment = _environment(run)
    if environment is None:
        return Step.PROMOTION
    order = orders.deploy(run.run, run.state, environment, gates.taken(run, GateKind.PROMOTION))
    work = await delegate(run, "deploy", order)
    if work.status != WorkStatus.SUCCEEDED:
        return after_merge_failure(run, Step.DEPLOY, work)
    gates.retire(run, GateKind.PROMOTION)
    left = outputs(work)
    run.state.deployed = Deployed(work.work_request_id, left.pr_url, left.gitops_commit_sha, left.merged)
    return Step.ROLLOUT


async def rollout(run: RunContext) -> Step:
    """Record the proposal and its merge, or wait until someone merges it and the watcher says so."""
    state = run.state
    deployed = state.deployed
    if deployed is None:
        return Step.DEPLOY
    gitops = run.repository.gitops
    if _promotion_status(run) not in (PromotionStatus.PROPOSED, *_ON_THE_BRANCH):
        await run.command(
            RECORD_PROMOTION_PROPOSED,
            RecordPromotionProposedRequest(
                scope=run.run.scope,
                client_request_id=run.key("record_promotion_proposed", state.environment + 1),
                promotion_id=state.promotion_id,
                # A gitops repository without a forge has no pull requests: then its own address says where to look.
                pr_url=deployed.pr_url or (gitops.url if gitops else ""),
                work_request_id=deployed.work_request_id,
            ),
        )
    if deployed.merged and _promotion_status(run) not in _ON_THE_BRANCH:
        await run.command(
            RECORD_PROMOTION_MERGED,
            RecordPromotionMergedRequest(
                scope=run.run.scope,
                client_request_id=run.key("record_promotion_merged", state.environment + 1),
                promotion_id=state.promotion_id,
                gitops_commit_sha=deployed.commit_sha,
                work_request_id=deployed.work_request_id,
            ),
        )
    if not deployed.merged:
        run.note_awaiting("promotion", state.promotion_id)
    await run.until(lambda: _promotion_status(run) in _ON_THE_BRANCH)
    environment = _environment(run)
    return Step.SMOKE if environment is not None and environment.smoke else _next_environment(run)


def _promotion_status(run: RunContext) -> PromotionStatus:
    known = run.state.inbox.about("promotion", run.state.promotion_id)
    return known.promotion.status if known and known.promotion else PromotionStatus.UNSPECIFIED


async def smoke(run: RunContext) -> Step:
    """TOOL_RUN SMOKE; unhealthy is for a person to judge, who may have it looked at again."""
    state = run.state
    environment = _environment(run)
    if environment is None:
        return Step.PROMOTION
    work = await delegate(run, "smoke", orders.smoke(run.run, state, environment))
    healthy = work.status == WorkStatus.SUCCEEDED
    if not healthy and code_of(work) not in _UNHEALTHY:
        return after_merge_failure(run, Step.SMOKE, work)
    summary = (work.result or WorkResult()).summary[:_MAX_SUMMARY]
    await run.command(
        RECORD_ROLLOUT_HEALTH,
        RecordRolloutHealthRequest(
            scope=run.run.scope,
            client_request_id=run.key("record_rollout_health", run.next_iteration("record_rollout_health")),
            promotion_id=state.promotion_id,
            healthy=healthy,
            summary=summary,
            work_request_id=work.work_request_id,
        ),
    )
    if healthy:
        return _next_environment(run)
    return ask_human(run, f"{environment.name} is unhealthy. {summary}", findings_of(work), resume=Step.SMOKE)


def _next_environment(run: RunContext) -> Step:
    run.state.inbox.close("promotion", run.state.promotion_id)
    run.state.environment += 1
    run.state.promotion_id = ""
    run.state.deployed = None
    return Step.PROMOTION


def gate_again(run: RunContext, step: Step) -> Step | None:
    """The gate whose pass was refused to this step, to be decided anew; None when the course has none before it."""
    if step == Step.PUBLISH and gates.required(run, GateKind.READY_TO_RELEASE):
        gates.retire(run, GateKind.READY_TO_RELEASE)
        return Step.READY_TO_RELEASE
    environment = _environment(run)
    if step == Step.DEPLOY and environment is not None and environment.gate_required:
        gates.retire(run, GateKind.PROMOTION)
        return Step.PROMOTION
    return None


def ending(run: RunContext, status: RunStatus, outcome: str) -> Step:
    """The run ends like this."""
    run.state.ending = Ending(status, outcome)
    return Step.CLOSE
