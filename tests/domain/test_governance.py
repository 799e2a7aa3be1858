"""From a registered repository to a decided requirement, on the real database."""

import pytest

from ameide.domain.decisions.default_policy import default_policy
from ameide.errors import AmeideError, Conflict, InvalidArgument, NotFound, PermissionDenied, Refused
from ameide_core_proto.transformation.governance.v1.governance_pb import Gate, GateStatus, GateVerdict, RunStatus
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind, Policy
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact, ArtifactStatus
from tests.domain.saying import (
    ANNA,
    BERT,
    RITA,
    adopt,
    close_run,
    decide,
    names,
    open_change,
    open_gate,
    person,
    propose,
    revise,
    start,
    started,
    statuses,
    submit,
)
from tests.domain_work.world import World


def two_voices() -> Policy:
    """The default policy, its requirement gate needing two approvals."""
    policy = default_policy("orders", gitops=True)
    for rule in policy.gates:
        if rule.kind == GateKind.REQUIREMENT_STABILIZED:
            rule.quorum = 2
    return policy


async def test_a_repository_is_registered_once_with_its_policy(world: World) -> None:
    await world.register()
    assert names(world) == ["RepositoryRegistered", "PolicyAdopted"]
    with pytest.raises(Conflict) as refused:
        await world.register()
    assert refused.value.reason == "ALREADY_EXISTS"
    assert names(world) == ["RepositoryRegistered", "PolicyAdopted"]
    await world.register(tenant="other")
    assert len(world.sql("SELECT 1 FROM ameide.aggregate WHERE kind = 'repository' AND id = 'orders'")) == 2


async def test_a_policy_is_adopted_by_whoever_saw_the_newest_version(world: World) -> None:
    await world.register()
    assert (await adopt(world, two_voices(), 1)).version == 2
    with pytest.raises(Conflict) as refused:
        await adopt(world, default_policy("orders", gitops=True), 1)
    assert (refused.value.reason, refused.value.field) == ("STALE_VERSION", "expected_version")
    unfollowable = two_voices()
    unfollowable.gates[0].decider_roles = []
    with pytest.raises(InvalidArgument, match="nobody may decide REQUIREMENT_STABILIZED"):
        await adopt(world, unfollowable, 2)
    assert names(world).count("PolicyAdopted") == 2


async def test_a_run_needs_a_submitted_requirement_and_is_the_only_open_one(world: World) -> None:
    await world.register()
    change = await open_change(world)
    with pytest.raises(Refused) as refused:
        await start(world, change)
    assert refused.value.reason == "NO_REQUIREMENT"
    drafted = await propose(world, change)
    with pytest.raises(Refused) as refused:
        await start(world, change)
    assert refused.value.reason == "REQUIREMENT_NOT_SUBMITTED"
    await submit(world, drafted.artifact_id, 1)
    first = await start(world, change)
    with pytest.raises(Refused) as refused:
        await start(world, change)
    assert refused.value.reason == "RUN_OPEN"
    await close_run(world, first, RunStatus.FAILED, "failed")
    second = await start(world, change)
    assert [run.number for run in (first, second)] == [1, 2]
    assert second.process_instance_id == f"r2r/default/{change.change_id}/2"
    assert second.input is not None
    assert second.input.policy is not None
    assert second.input.policy.version == 1


async def test_a_revision_voids_the_gate_on_the_version_before_in_the_same_transaction(world: World) -> None:
    await world.register()
    change, artifact, run = await started(world)
    gate = await open_gate(world, run, artifact)
    revised = await revise(world, artifact.artifact_id, 1)
    assert revised.current is not None
    assert (revised.current.number, revised.current.status) == (2, ArtifactStatus.DRAFT)
    assert statuses(world, "gate") == {gate.gate_id: GateStatus.VOIDED.name}
    [kept] = world.sql("SELECT id, state FROM ameide.aggregate WHERE kind = 'artifact_version'")
    assert kept["id"] == f"{artifact.artifact_id}@1"
    assert isinstance(kept["state"], bytes)
    former = Artifact.from_binary(kept["state"]).current
    assert former is not None
    assert artifact.current is not None
    assert (former.content, former.status) == (artifact.current.content, ArtifactStatus.SUPERSEDED)
    rows = world.sql(
        "SELECT name, xmin::text AS transaction, correlation_id, process_instance_id FROM ameide.outbox "
        "WHERE name IN ('ArtifactRevised', 'GateVoided')"
    )
    assert {str(row["name"]) for row in rows} == {"ArtifactRevised", "GateVoided"}
    assert len({row["transaction"] for row in rows}) == 1
    assert {row["correlation_id"] for row in rows} == {change.change_id}
    assert {row["process_instance_id"] for row in rows} == {run.process_instance_id}
    with pytest.raises(Refused) as refused:
        await decide(world, gate, ANNA)
    assert refused.value.reason == "GATE_CLOSED"
    with pytest.raises(Refused) as refused:
        await open_gate(world, run, artifact)
    assert refused.value.reason == "SUBJECT_CHANGED"


async def test_two_principals_approve_a_requirement_and_its_requester_may_not(world: World) -> None:
    await world.register(policy=two_voices())
    _, artifact, run = await started(world)
    gate = await open_gate(world, run, artifact)
    assert gate.quorum == 2

    async def refused(by: str, error: type[AmeideError], *roles: str) -> str:
        with pytest.raises(error) as told:
            await decide(world, gate, RITA if by == "rita" else person(by, *roles))
        assert told.value.remedy
        return told.value.reason

    assert await refused("rita", PermissionDenied) == "SELF_APPROVAL"
    assert await refused("carl", PermissionDenied, "releaser") == "NOT_A_DECIDER"
    first = await decide(world, gate, ANNA)
    assert (first.status, len(first.votes)) == (GateStatus.OPEN, 1)
    assert await refused("anna", Refused, "approver") == "ALREADY_VOTED"
    second = await decide(world, gate, BERT)
    assert second.status == GateStatus.APPROVED
    assert [(vote.actor.principal_id, vote.policy_version) for vote in second.votes if vote.actor] == [
        ("anna", 1),
        ("bert", 1),
    ]
    assert names(world)[-4:] == ["GateVoteRecorded", "GateVoteRecorded", "GateDecided", "ArtifactApproved"]
    assert statuses(world, "artifact") == {artifact.artifact_id: ArtifactStatus.APPROVED.name}


async def test_who_decides_is_read_from_the_policy_in_force(world: World) -> None:
    await world.register()
    _, artifact, run = await started(world)
    gate = await open_gate(world, run, artifact)
    policy = default_policy("orders", gitops=True)
    policy.gates[0].decider_roles = ["releaser"]
    await adopt(world, policy, 1)
    with pytest.raises(PermissionDenied) as refused:
        await decide(world, gate, ANNA)
    assert refused.value.reason == "NOT_A_DECIDER"
    decided = await decide(world, gate, person("carl", "releaser"))
    assert [vote.policy_version for vote in decided.votes] == [2]


async def test_a_rejection_needs_a_reason_and_sends_the_requirement_back(world: World) -> None:
    await world.register()
    _, artifact, run = await started(world)
    gate = await open_gate(world, run, artifact)
    with pytest.raises(InvalidArgument) as refused:
        await decide(world, gate, ANNA, GateVerdict.REJECT)
    assert refused.value.field == "comment"
    decided = await decide(world, gate, ANNA, GateVerdict.REJECT, "Who may cancel?")
    assert (decided.status, decided.comment) == (GateStatus.REJECTED, "Who may cancel?")
    assert statuses(world, "artifact") == {artifact.artifact_id: ArtifactStatus.REJECTED.name}


async def test_a_hash_that_is_not_what_the_gate_binds_decides_nothing(world: World) -> None:
    await world.register()
    _, artifact, run = await started(world)
    gate = await open_gate(world, run, artifact)
    another = Gate(gate_id=gate.gate_id, subject_hash="0" * 64)
    with pytest.raises(Refused) as refused:
        await decide(world, another, ANNA)
    assert refused.value.reason == "SUBJECT_CHANGED"
    with pytest.raises(NotFound):
        await decide(world, Gate(gate_id="gat-0", subject_hash="0" * 64), ANNA)
    assert statuses(world, "gate") == {gate.gate_id: GateStatus.OPEN.name}
