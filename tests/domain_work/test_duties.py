"""Separation of duties: requester, agent, approver and releaser are different principals, in later runs too."""

import pytest

from ameide.domain.commands import changes
from ameide.domain.decisions.default_policy import default_policy
from ameide.errors import PermissionDenied
from ameide.rpc.interceptors import Caller
from ameide_core_proto.transformation.governance.v1 import command_service_pb as governance
from ameide_core_proto.transformation.governance.v1.governance_pb import Gate, GateStatus, GateVerdict, Run, RunStatus
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind, Policy
from tests.domain.saying import close_run, decide, revise, submit
from tests.domain_work.gates import open_gate
from tests.domain_work.steps import done
from tests.domain_work.world import CANDIDATE, DIFF, HEAD, World, code, key

RITA = Caller("default", "rita", "PERSON", frozenset({"requester", "approver", "releaser", "operator"}))
ANNA = Caller("default", "anna", "PERSON", frozenset({"approver", "releaser", "operator"}))
BERT = Caller("default", "bert", "PERSON", frozenset({"approver", "releaser"}))


async def retried(world: World, run: Run, by: Caller) -> Run:
    """Somebody starts the next run of the change."""
    await close_run(world, run, RunStatus.FAILED, "needs_human_rejected")
    command = governance.StartRunRequest(client_request_id=key(), change_id=run.change_id)
    answer = await world.service.execute(by, "StartRun", command, governance.StartRunResponse, changes.start_run)
    assert answer.run is not None
    assert answer.run.requested_by is not None
    assert answer.run.requested_by.principal_id == by.principal_id
    return answer.run


async def acceptance(world: World, run: Run) -> Gate:
    return await open_gate(world, run, GateKind.ACCEPTANCE, commit_sha=HEAD, diff_hash=DIFF)


async def refusal(world: World, gate: Gate, by: Caller, verdict: GateVerdict = GateVerdict.APPROVE) -> str:
    with pytest.raises(PermissionDenied) as refused:
        await decide(world, gate, by, verdict, "because")
    return refused.value.reason


async def test_who_started_this_run_does_not_decide_on_it_and_who_started_another_one_does(world: World) -> None:
    second = await retried(world, await world.open_run(), RITA)
    gate = await acceptance(world, second)
    assert await refusal(world, gate, RITA) == "SELF_APPROVAL"
    third = await retried(world, second, ANNA)
    gate = await acceptance(world, third)
    assert await refusal(world, gate, ANNA) == "SELF_APPROVAL"
    assert (await decide(world, gate, RITA)).status == GateStatus.APPROVED


async def test_overriding_is_deciding(world: World) -> None:
    gate = await acceptance(world, await retried(world, await world.open_run(), RITA))
    assert await refusal(world, gate, RITA, GateVerdict.OVERRIDE) == "SELF_APPROVAL"
    assert (await decide(world, gate, ANNA, GateVerdict.OVERRIDE, "known")).status == GateStatus.OVERRIDDEN


async def test_who_wrote_the_newest_requirement_does_not_accept_what_came_of_it(world: World) -> None:
    run = await world.open_run()
    [artifact] = world.sql("SELECT id FROM ameide.aggregate WHERE kind = 'artifact'")
    await revise(world, str(artifact["id"]), 1)
    await submit(world, str(artifact["id"]), 2)
    gate = await acceptance(world, run)
    assert await refusal(world, gate, RITA) == "SELF_APPROVAL"
    assert (await decide(world, gate, ANNA)).status == GateStatus.APPROVED


@pytest.mark.parametrize("kind", [GateKind.ACCEPTANCE, GateKind.BUDGET, GateKind.NEEDS_HUMAN])
async def test_whoever_ran_the_coder_in_an_earlier_run_decides_on_nothing_whatever_the_policy_says(
    world: World, kind: GateKind
) -> None:
    policy = default_policy("orders", gitops=True)
    for rule in policy.gates:
        rule.requester_may_decide = rule.agents_may_decide = True
    run = await world.open_run(policy)
    await done(world, code(run), "anna", commit_sha=HEAD)
    second = await retried(world, run, RITA)
    gate = await open_gate(world, second, kind, commit_sha=HEAD, diff_hash=DIFF, reason="stuck")
    assert await refusal(world, gate, ANNA, GateVerdict.REJECT) == "SELF_APPROVAL"
    agent = Caller("default", "anna", "AGENT", frozenset({"approver", "operator"}))
    assert await refusal(world, gate, agent, GateVerdict.REJECT) == "SELF_APPROVAL"
    assert (await decide(world, gate, BERT, GateVerdict.REJECT, "no")).status == GateStatus.REJECTED


async def accepted_by(world: World, by: Caller, policy: Policy | None = None) -> Run:
    run = await world.open_run(policy)
    await decide(world, await acceptance(world, run), by)
    return run


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        (GateKind.READY_TO_RELEASE, {"commit_sha": CANDIDATE}),
        (GateKind.PROMOTION, {"image_ref": f"orders@sha256:{'9' * 64}", "environment": "staging"}),
    ],
)
async def test_who_accepted_the_change_does_not_release_it(
    world: World, kind: GateKind, subject: dict[str, str]
) -> None:
    run = await accepted_by(world, ANNA)
    gate = await open_gate(world, run, kind, **subject)
    assert await refusal(world, gate, ANNA) == "ACCEPTED_BEFORE"
    assert (await decide(world, gate, BERT)).status == GateStatus.APPROVED


async def test_a_policy_may_let_one_principal_accept_and_release(world: World) -> None:
    policy = default_policy("orders", gitops=True)
    policy.separate_releaser = False
    run = await accepted_by(world, ANNA, policy)
    gate = await open_gate(world, run, GateKind.READY_TO_RELEASE, commit_sha=CANDIDATE)
    assert (await decide(world, gate, ANNA)).status == GateStatus.APPROVED


async def test_who_only_rejected_may_release_the_next_attempt(world: World) -> None:
    run = await world.open_run()
    await decide(world, await acceptance(world, run), ANNA, GateVerdict.REJECT, "name it better")
    await decide(world, await acceptance(world, run), BERT)
    gate = await open_gate(world, run, GateKind.READY_TO_RELEASE, commit_sha=CANDIDATE)
    assert await refusal(world, gate, BERT) == "ACCEPTED_BEFORE"
    assert (await decide(world, gate, ANNA)).status == GateStatus.APPROVED


async def test_a_quorum_is_of_principals_not_of_tokens(world: World) -> None:
    policy = default_policy("orders", gitops=True)
    next(rule for rule in policy.gates if rule.kind == GateKind.ACCEPTANCE).quorum = 2
    run = await world.open_run(policy)
    gate = await acceptance(world, run)
    await decide(world, gate, ANNA)
    again = Caller("default", "anna", "PERSON", frozenset({"approver"}))
    with pytest.raises(Exception, match="you have voted"):
        await decide(world, gate, again)
    assert (await decide(world, gate, BERT)).status == GateStatus.APPROVED
