"""Changes, runs, artifacts, releases, promotions: the pure rules."""

from copy import deepcopy

import pytest
from protobuf.wkt import Timestamp

from ameide.contracts.subjects import content_hash
from ameide.domain.decisions import artifact, change, delivery, repository, run
from ameide.domain.decisions.default_policy import default_policy
from ameide.errors import Conflict, InvalidArgument, Refused
from ameide_core_proto.common.v1.metadata_pb import Actor, Scope
from ameide_core_proto.transformation.governance.v1.command_service_pb import (
    AdoptPolicyRequest,
    OpenChangeRequest,
    RecordReleaseRequest,
    RegisterRepositoryRequest,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Change,
    ChangeStatus,
    GitopsTarget,
    Promotion,
    PromotionStatus,
    Release,
    Repository,
    Run,
    RunInput,
    RunStatus,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import GateRule
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import (
    Artifact,
    ArtifactContent,
    ArtifactKind,
    ArtifactStatus,
)
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    Outputs,
    WorkKind,
    WorkRequest,
    WorkResult,
    WorkStatus,
)

NOW = Timestamp(seconds=1_700_000_000)
RITA = Actor(principal_id="rita")
SCOPE = Scope(tenant_id="default", repository_id="orders")
POLICY = default_policy("orders", gitops=True)
DIGEST = f"local/orders@sha256:{'d' * 64}"


def repo() -> Repository:
    made = repository.register(
        RegisterRepositoryRequest(
            name="orders",
            url="/r/orders.git",
            default_branch="main",
            gitops=GitopsTarget(url="/r/g.git", branch="main"),
        ),
        "default",
        NOW,
    )[0].repository
    assert made is not None
    return made


def opened() -> Change:
    made = change.open_change(OpenChangeRequest(title="t"), "chg-1", repo(), RITA, NOW).change
    assert made is not None
    return made


def requirement(status: ArtifactStatus = ArtifactStatus.PROPOSED) -> Artifact:
    content = ArtifactContent(title="cancel", acceptance_criteria=["one", "two"])
    made = artifact.propose("art-1", "chg-1", ArtifactKind.REQUIREMENT, content, SCOPE, RITA, NOW).artifact
    assert made is not None
    assert made.current is not None
    made.current.status = status
    return made


def started(of: Change | None = None) -> Run:
    made = run.start(of or opened(), repo(), POLICY, requirement(), "", RITA, NOW).run
    assert made is not None
    return made


def test_a_run_stores_all_that_its_workflow_starts_with() -> None:
    made = started()
    assert made.process_instance_id == "r2r/default/chg-1/1"
    assert made.workflow_type == "r2r.governance.v1"
    assert made.input is not None
    assert made.input.policy == POLICY
    assert made.input.coder == POLICY.coder


def test_one_run_at_a_time_and_only_of_a_submitted_requirement() -> None:
    busy = opened()
    busy.open_run_id = "r2r/default/chg-1/1"
    with pytest.raises(Refused, match="is open"):
        started(busy)
    with pytest.raises(Refused, match="draft"):
        run.start(opened(), repo(), POLICY, requirement(ArtifactStatus.DRAFT), "", RITA, NOW)


def test_a_canceled_change_starts_and_closes_nothing() -> None:
    canceled = change.cancel(opened(), "no longer needed").change
    assert canceled is not None
    assert canceled.status == ChangeStatus.CANCELED
    with pytest.raises(Refused, match="canceled"):
        started(canceled)
    with pytest.raises(Refused, match="canceled"):
        change.close(canceled)


def test_a_run_closes_once() -> None:
    closed = run.close(started(), RunStatus.COMPLETED, "delivered", NOW)
    assert closed is not None
    assert closed.run is not None
    assert run.close(closed.run, RunStatus.FAILED, "again", NOW) is None


def test_a_revision_keeps_the_former_bytes_and_needs_the_number_seen() -> None:
    first = requirement(ArtifactStatus.APPROVED)
    with pytest.raises(Conflict, match="newest version is 1"):
        artifact.revise(first, 7, ArtifactContent(title="other"), RITA, NOW)
    second = artifact.revise(first, 1, ArtifactContent(title="other"), RITA, NOW).artifact
    assert second is not None
    assert second.current is not None
    assert (second.current.number, second.current.status) == (2, ArtifactStatus.DRAFT)
    kept = artifact.superseded(first)
    assert kept.current is not None
    assert kept.current.content_hash == content_hash(
        ArtifactContent(title="cancel", acceptance_criteria=["one", "two"])
    )


def test_only_a_draft_is_submitted() -> None:
    with pytest.raises(Refused, match="proposed"):
        artifact.submit(requirement(), 1)


def test_a_policy_needs_the_version_seen_and_somebody_who_decides() -> None:
    current = deepcopy(POLICY)
    current.version = 3
    with pytest.raises(Conflict, match="version 3"):
        repository.adopt(current, AdoptPolicyRequest(expected_version=2, policy=POLICY))
    nobody = deepcopy(POLICY)
    nobody.gates = [GateRule(kind=POLICY.gates[0].kind, required=True)]
    with pytest.raises(InvalidArgument, match="nobody may decide"):
        repository.adopt(current, AdoptPolicyRequest(expected_version=3, policy=nobody))


def published(image: str = DIGEST) -> WorkRequest:
    return WorkRequest(
        work_request_id="wrk-1",
        process_instance_id="r2r/default/chg-1/1",
        work_kind=WorkKind.TOOL_RUN,
        action_kind=ActionKind.PUBLISH,
        status=WorkStatus.SUCCEEDED,
        result=WorkResult(outputs=Outputs(image_ref=image)),
    )


def test_a_release_is_what_the_publish_work_reported() -> None:
    command = RecordReleaseRequest(component="orders", image_ref=DIGEST, commit_sha="c" * 40)
    release = delivery.record_release(command, "rel-1", started(), published(), NOW).release
    assert release is not None
    assert release.image_ref == DIGEST
    with pytest.raises(Refused, match="did not publish"):
        delivery.record_release(command, "rel-1", started(), published(DIGEST.replace("d", "e")), NOW)


def test_promotions_follow_the_policy_s_order() -> None:
    release = Release(release_id="rel-1", image_ref=DIGEST)
    course = Run(process_instance_id="r2r/default/chg-1/1", input=RunInput(policy=POLICY))
    with pytest.raises(Refused, match="not in dev"):
        delivery.request_promotion("prm-2", "staging", release, course, [], NOW)
    dev = delivery.request_promotion("prm-1", "dev", release, course, [], NOW).promotion
    assert dev is not None
    assert dev.image_ref == DIGEST
    proposed = delivery.propose(dev, "pr/1").promotion
    assert proposed is not None
    merged = delivery.merge(proposed, "c" * 40, NOW).promotion
    assert merged is not None
    assert delivery.request_promotion("prm-2", "staging", release, course, [merged], NOW).promotion is not None
    with pytest.raises(InvalidArgument, match="not in the policy"):
        delivery.request_promotion("prm-3", "moon", release, course, [merged], NOW)


def test_health_is_recorded_of_what_is_merged() -> None:
    requested = Promotion(promotion_id="prm-1", status=PromotionStatus.REQUESTED)
    with pytest.raises(Refused, match="requested"):
        delivery.record_health(requested, True, "answers")
    merged = Promotion(promotion_id="prm-1", status=PromotionStatus.MERGED)
    healthy = delivery.record_health(merged, False, "silent").promotion
    assert healthy is not None
    assert healthy.status == PromotionStatus.UNHEALTHY
