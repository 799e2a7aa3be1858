"""What changes a main branch, a registry or an environment: gates are used once, under the change's lock."""

import asyncio

import pytest

from ameide.domain.decisions.default_policy import default_policy
from ameide.errors import InvalidArgument, NotFound, Refused
from ameide_core_proto.transformation.governance.v1.facts_pb import GateConsumed
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.work.v1.command_service_pb import RequestWorkRequest
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    Budget,
    FailureCode,
    GatePass,
    Usage,
    WorkInputs,
)
from tests.domain.saying import revise
from tests.domain_work.gates import open_gate, passed, void
from tests.domain_work.steps import DIGEST, IMAGE, accepted, done, push, released, step
from tests.domain_work.world import CANDIDATE, DIFF, HEAD, World, code, verify


async def refusal(world: World, command: RequestWorkRequest) -> str:
    with pytest.raises(Refused) as refused:
        await world.request(command)
    return refused.value.reason


async def test_of_two_pushes_at_once_one_uses_the_pass(world: World) -> None:
    run, gate = await accepted(world)
    answers = await asyncio.gather(*(world.request(push(run, gate)) for _ in range(4)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    assert [one.reason for one in refused] == ["GATE_CONSUMED"] * 3
    consumed = [fact for fact in world.governance_facts() if isinstance(fact, GateConsumed)]
    assert len(consumed) == 1
    assert consumed[0].gate is not None
    works = world.sql("SELECT work_request_id FROM ameide.work WHERE queue LIKE '%%publish%%'")
    assert works == [{"work_request_id": consumed[0].gate.consumed_by}]


async def test_the_same_push_may_use_the_pass_again_after_a_failure(world: World) -> None:
    run, gate = await accepted(world)
    first = await world.requested(push(run, gate))
    assert await refusal(world, push(run, gate)) == "GATE_CONSUMED"
    await world.fail(await world.run(first), FailureCode.CHECKOUT_FAILED)
    second = await world.requested(push(run, gate))
    await world.cancel(second.work_request_id)
    third = await world.requested(push(run, gate))
    await world.succeed(await world.run(third), commit_sha=CANDIDATE)
    assert await refusal(world, push(run, gate)) == "GATE_CONSUMED"
    versions = [fact.gate.version for fact in world.governance_facts() if isinstance(fact, GateConsumed) and fact.gate]
    assert versions == [4, 5, 6]


async def test_a_gate_voided_before_the_push_stops_it(world: World) -> None:
    run, gate = await accepted(world)
    await void(world, gate.gate_id)
    assert await refusal(world, push(run, gate)) == "GATE_VOIDED"
    assert await refusal(world, push(run, None)) == "GATE_VOIDED"


async def test_a_pass_used_in_vain_can_be_voided_and_one_in_use_cannot(world: World) -> None:
    run, gate = await accepted(world)
    claimed = await world.run(await world.requested(push(run, gate)))
    with pytest.raises(Refused) as refused:
        await void(world, gate.gate_id)
    assert refused.value.reason == "GATE_CONSUMED"
    await world.fail(claimed, FailureCode.CONFLICT)
    await void(world, gate.gate_id)
    again = await passed(world, run, GateKind.ACCEPTANCE, commit_sha=CANDIDATE, diff_hash=DIFF)
    await done(world, push(run, again), commit_sha=CANDIDATE)


async def test_a_void_and_a_push_at_once_leave_one_winner(world: World) -> None:
    run, gate = await accepted(world)
    pushed, voided = await asyncio.gather(
        world.request(push(run, gate)), void(world, gate.gate_id), return_exceptions=True
    )
    assert isinstance(pushed, BaseException) != isinstance(voided, BaseException)


async def test_an_author_cannot_make_its_own_candidate_green(world: World) -> None:
    run = await world.open_run()
    await done(world, code(run), "author", commit_sha=HEAD)
    gate = await passed(world, run, GateKind.ACCEPTANCE, commit_sha=HEAD, diff_hash=DIFF)
    assert await refusal(world, push(run, gate, HEAD)) == "NOT_VERIFIED"
    claimed = await world.run(await world.requested(verify(run, HEAD)), "author")
    with pytest.raises(Refused):
        await world.succeed(claimed)
    assert await refusal(world, push(run, gate, HEAD)) == "NOT_VERIFIED"


async def test_from_the_merge_to_an_environment(world: World) -> None:
    run, gate = await accepted(world)
    await done(world, push(run, gate), commit_sha=CANDIDATE)
    ready = await passed(world, run, GateKind.READY_TO_RELEASE, commit_sha=CANDIDATE)
    publish = step(run, ActionKind.PUBLISH, ready, CANDIDATE, WorkInputs(build_digest=DIGEST, component="orders"))
    assert await refusal(world, publish) == "NOT_BUILT"
    await done(world, step(run, ActionKind.BUILD, None, CANDIDATE, WorkInputs()), build_digest=DIGEST)
    published = await done(world, publish, image_ref=IMAGE)
    release = await released(world, run, published)
    unnamed = WorkInputs(image_ref=IMAGE, environment="dev")
    with pytest.raises(InvalidArgument) as nameless:
        await world.request(step(run, ActionKind.DEPLOY, None, "", unnamed))
    assert nameless.value.field == "inputs.release_id"
    other = WorkInputs(image_ref=f"orders@sha256:{'8' * 64}", environment="dev", release_id=release.release_id)
    assert await refusal(world, step(run, ActionKind.DEPLOY, None, "", other)) == "RELEASE_MISMATCH"
    dev = WorkInputs(image_ref=IMAGE, environment="dev", release_id=release.release_id)
    await done(world, step(run, ActionKind.DEPLOY, None, "", dev), image_ref=IMAGE)
    staging = WorkInputs(image_ref=IMAGE, environment="staging", release_id=release.release_id)
    assert await refusal(world, step(run, ActionKind.DEPLOY, None, "", staging)) == "GATE_REQUIRED"
    promotion = await passed(world, run, GateKind.PROMOTION, image_ref=IMAGE, environment="staging")
    await done(world, step(run, ActionKind.DEPLOY, promotion, "", staging), image_ref=IMAGE)
    unknown = WorkInputs(image_ref=IMAGE, environment="dev", release_id="rel-0")
    with pytest.raises(NotFound):
        await world.request(step(run, ActionKind.DEPLOY, None, "", unknown))


async def test_a_requirement_is_revised_until_its_code_is_merged(world: World) -> None:
    run, gate = await accepted(world)
    [requirement] = world.sql("SELECT id FROM ameide.aggregate WHERE kind = 'artifact'")
    await revise(world, str(requirement["id"]), 1)
    await done(world, push(run, gate), commit_sha=CANDIDATE)
    with pytest.raises(Refused) as refused:
        await revise(world, str(requirement["id"]), 2)
    assert refused.value.reason == "REQUIREMENT_MERGED"
    ready = await passed(world, run, GateKind.READY_TO_RELEASE, commit_sha=CANDIDATE)
    await done(world, step(run, ActionKind.BUILD, None, CANDIDATE, WorkInputs()), build_digest=DIGEST)
    await world.requested(
        step(run, ActionKind.PUBLISH, ready, CANDIDATE, WorkInputs(build_digest=DIGEST, component="orders"))
    )


async def test_a_requirement_is_not_revised_while_its_code_is_being_merged(world: World) -> None:
    run, gate = await accepted(world)
    [requirement] = world.sql("SELECT id FROM ameide.aggregate WHERE kind = 'artifact'")
    await world.requested(push(run, gate))
    with pytest.raises(Refused) as refused:
        await revise(world, str(requirement["id"]), 1)
    assert refused.value.reason == "REQUIREMENT_MERGED"
    assert "is merging" in str(refused.value)


async def test_works_at_once_never_reserve_more_than_the_change_has(world: World) -> None:
    policy = default_policy("orders", gitops=True)
    policy.change_budget = Budget(max_tokens=1000)
    policy.work_budget = Budget(max_tokens=300)
    run = await world.open_run(policy)
    answers = await asyncio.gather(*(world.request(code(run)) for _ in range(6)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    assert [one.reason for one in refused] == ["BUDGET_EXHAUSTED"] * 3
    works = [answer.work for answer in answers if not isinstance(answer, BaseException)]
    assert works[0] is not None
    claimed = await world.run(works[0], "author")
    await world.heartbeat(claimed, Usage(input_tokens=40, output_tokens=60))
    await world.fail(claimed)
    await world.requested(code(run))
    assert await refusal(world, code(run)) == "BUDGET_EXHAUSTED"


async def test_an_open_gate_is_no_pass(world: World) -> None:
    run, _ = await accepted(world)
    newer = await open_gate(world, run, GateKind.ACCEPTANCE, commit_sha=CANDIDATE, diff_hash=DIFF)
    carried = GatePass(gate_id=newer.gate_id, subject_hash=newer.subject_hash)
    assert await refusal(world, push(run, carried)) == "GATE_NOT_PASSED"
