"""Two who speak about one gate at the same time, in both orders: one of them wins, and nothing unapproved ships."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from ameide.domain.decisions.default_policy import default_policy
from ameide.errors import Conflict, Refused
from ameide_core_proto.transformation.governance.v1.facts_pb import GateConsumed
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, Gate, GateStatus, GateVerdict, Run
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.work.v1.command_service_pb import RequestWorkResponse
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, GatePass, WorkInputs
from tests.domain.meeting import errors, nobody_commits, together, waiting
from tests.domain.saying import cancel, decide, revise, statuses
from tests.domain_work.gates import ANNA, open_gate, passed, void
from tests.domain_work.steps import DIGEST, IMAGE, accepted, done, push, released, step
from tests.domain_work.world import CANDIDATE, DIFF, HEAD, World, code, verify
from tests.views.story import open_gate_on_requirement

ORDERS = pytest.mark.parametrize("first", [0, 1], ids=["one first", "other first"])


async def in_order(
    world: World, run: Run, first: int, one: Awaitable[object], other: Awaitable[object]
) -> tuple[object, object]:
    """Both meet at the change's lock; the answers of the one and the other."""
    calls = (one, other) if first == 0 else (other, one)
    answers = await together(world, run.change_id, *calls)
    for answer in answers:
        assert not isinstance(answer, BaseException) or isinstance(answer, Refused | Conflict), answer
    return (answers[0], answers[1]) if first == 0 else (answers[1], answers[0])


def reason(answer: object) -> str:
    """Why it was refused; empty when it was not."""
    return answer.reason if isinstance(answer, Refused | Conflict) else ""


def shipping(world: World) -> list[str]:
    """The status of every work that changes a main branch, a registry or an environment."""
    rows = world.sql("SELECT status FROM ameide.work WHERE queue LIKE '%%publish%%' ORDER BY work_request_id")
    return [str(row["status"]) for row in rows]


def consumptions(world: World) -> int:
    """How often a pass was used."""
    return sum(isinstance(fact, GateConsumed) for fact in world.governance_facts())


@ORDERS
async def test_a_void_after_the_pass_and_the_push(world: World, first: int) -> None:
    run, gate = await accepted(world)
    voided, pushed = await in_order(world, run, first, void(world, gate.gate_id), world.request(push(run, gate)))
    if first == 0:
        assert (reason(voided), reason(pushed)) == ("", "GATE_VOIDED")
        assert (shipping(world), consumptions(world)) == ([], 0)
    else:
        assert (reason(voided), reason(pushed)) == ("GATE_CONSUMED", "")
        assert statuses(world, "gate")[gate.gate_id] == GateStatus.APPROVED.name
        assert (shipping(world), consumptions(world)) == (["requested"], 1)


@ORDERS
async def test_a_revision_and_the_push(world: World, first: int) -> None:
    run = await world.open_run()
    stabilized = await decide(world, await open_gate_on_requirement(world, run), ANNA)
    await done(world, code(run), "author", commit_sha=HEAD)
    await done(world, verify(run, CANDIDATE), diff_hash=DIFF)
    gate = await passed(world, run, GateKind.ACCEPTANCE, commit_sha=HEAD, diff_hash=DIFF)
    assert stabilized.subject is not None
    artifact_id = stabilized.subject.artifact_id
    revised, pushed = await in_order(world, run, first, revise(world, artifact_id, 1), world.request(push(run, gate)))
    if first == 0:
        assert (reason(revised), reason(pushed)) == ("", "GATE_VOIDED")
        assert statuses(world, "gate")[stabilized.gate_id] == GateStatus.VOIDED.name
        assert (shipping(world), consumptions(world)) == ([], 0)
    else:
        assert (reason(revised), reason(pushed)) == ("REQUIREMENT_MERGED", "")
        assert statuses(world, "artifact")[artifact_id] == "APPROVED"
        assert (shipping(world), consumptions(world)) == (["requested"], 1)


@ORDERS
@pytest.mark.parametrize("verdict", [GateVerdict.APPROVE, GateVerdict.REJECT])
async def test_a_decision_and_the_push(world: World, first: int, verdict: GateVerdict) -> None:
    run = await world.open_run()
    await done(world, code(run), "author", commit_sha=HEAD)
    await done(world, verify(run, CANDIDATE), diff_hash=DIFF)
    gate = await open_gate(world, run, GateKind.ACCEPTANCE, commit_sha=HEAD, diff_hash=DIFF)
    carried = GatePass(gate_id=gate.gate_id, subject_hash=gate.subject_hash)
    decided, pushed = await in_order(
        world, run, first, decide(world, gate, ANNA, verdict, "because"), world.request(push(run, carried))
    )
    assert reason(decided) == ""
    ships = first == 0 and verdict == GateVerdict.APPROVE
    assert reason(pushed) == ("" if ships else "GATE_NOT_PASSED")
    assert (shipping(world), consumptions(world)) == ((["requested"], 1) if ships else ([], 0))


@ORDERS
async def test_a_newer_gate_and_the_push(world: World, first: int) -> None:
    run, gate = await accepted(world)
    newer = open_gate(world, run, GateKind.ACCEPTANCE, commit_sha=CANDIDATE, diff_hash=DIFF)
    opened, pushed = await in_order(world, run, first, newer, world.request(push(run, gate)))
    assert isinstance(opened, Gate)
    assert reason(pushed) == ("GATE_SUPERSEDED" if first == 0 else "")
    assert consumptions(world) == first


@ORDERS
async def test_a_cancel_and_the_push(world: World, first: int) -> None:
    run, gate = await accepted(world)
    change = Change(change_id=run.change_id)
    canceled, pushed = await in_order(world, run, first, cancel(world, change), world.request(push(run, gate)))
    assert reason(canceled) == ""
    assert reason(pushed) == ("CHANGE_CANCELED" if first == 0 else "")
    assert shipping(world) == ([] if first == 0 else ["canceled"])


async def test_one_push_sent_twice_at_once_is_one_push(world: World) -> None:
    run, gate = await accepted(world)
    command = push(run, gate)
    answers = await asyncio.gather(*(world.request(command) for _ in range(4)))
    assert sorted(answer.idempotent_replay for answer in answers) == [False, True, True, True]
    assert len({answer.work.work_request_id for answer in answers if answer.work}) == 1
    assert (shipping(world), consumptions(world)) == (["requested"], 1)


async def test_of_two_publications_and_two_deployments_one_uses_its_pass(world: World) -> None:
    run, gate = await accepted(world)
    await done(world, push(run, gate), commit_sha=CANDIDATE)
    ready = await passed(world, run, GateKind.READY_TO_RELEASE, commit_sha=CANDIDATE)
    await done(world, step(run, ActionKind.BUILD, None, CANDIDATE, WorkInputs()), build_digest=DIGEST)

    def publish() -> Awaitable[RequestWorkResponse]:
        inputs = WorkInputs(build_digest=DIGEST, component="orders")
        return world.request(step(run, ActionKind.PUBLISH, ready, CANDIDATE, inputs))

    answers = await together(world, run.change_id, publish(), publish())
    assert [error.reason for error in errors(answers)] == ["GATE_CONSUMED"]
    [published] = [answer.work for answer in answers if isinstance(answer, RequestWorkResponse)]
    assert published is not None
    await world.succeed(await world.run(published), image_ref=IMAGE)
    release = await released(world, run, published)
    promotion = await passed(world, run, GateKind.PROMOTION, image_ref=IMAGE, environment="staging")

    def deploy() -> Awaitable[RequestWorkResponse]:
        inputs = WorkInputs(image_ref=IMAGE, environment="staging", release_id=release.release_id)
        return world.request(step(run, ActionKind.DEPLOY, promotion, "", inputs))

    answers = await together(world, run.change_id, deploy(), deploy())
    assert [error.reason for error in errors(answers)] == ["GATE_CONSUMED"]
    assert consumptions(world) == 3


@ORDERS
async def test_an_expiry_and_a_decision(world: World, first: int) -> None:
    """The one that comes second finds the gate locked, and then closed."""
    policy = default_policy("orders", gitops=True)
    for rule in policy.gates:
        rule.expires_after_seconds = 3600
    run = await world.open_run(policy)
    gate = await open_gate(world, run, GateKind.ACCEPTANCE, commit_sha=HEAD, diff_hash=DIFF)
    world.sql("UPDATE ameide.aggregate SET due_at = now() WHERE kind = 'gate'")
    with nobody_commits(world):
        if first == 0:
            swept = asyncio.ensure_future(world.sweeper.sweep())
            await waiting(world, 1)
            decided = asyncio.ensure_future(decide(world, gate, ANNA))
            await waiting(world, 2)
        else:
            decided = asyncio.ensure_future(decide(world, gate, ANNA))
            await waiting(world, 1)
            async with asyncio.timeout(20):
                assert await world.sweeper.sweep() == 0
            swept = None
    if swept is not None:
        assert await swept == 1
        with pytest.raises(Refused) as refused:
            await decided
        assert refused.value.reason == "GATE_CLOSED"
        assert statuses(world, "gate") == {gate.gate_id: GateStatus.EXPIRED.name}
    else:
        assert (await decided).status == GateStatus.APPROVED
        assert await world.sweeper.sweep() == 0
        assert statuses(world, "gate") == {gate.gate_id: GateStatus.APPROVED.name}
    stated = [type(fact).__name__ for fact in world.governance_facts()]
    assert ("GateExpired" in stated, "GateDecided" in stated) == (first == 0, first == 1)
