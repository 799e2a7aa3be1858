"""The gateway: invitations become claims, each once, whoever asks."""

import asyncio

import pytest

from ameide.contracts import topics
from ameide.domain.commands.gateway import Gateway
from ameide.errors import PermissionDenied, Refused
from ameide_core_proto.transformation.work.v1.command_service_pb import ClaimAnswer, PollWorkRequest
from tests.domain_work.world import World, caller, key, verify

QUEUE = topics.QUEUE_VERIFY


async def test_the_oldest_invitation_is_claimed_and_used_up(world: World) -> None:
    run = await world.open_run()
    works = [await world.requested(verify(run)) for _ in range(3)]
    await world.relayed()
    for work in works:
        answer = await world.poll(QUEUE, key())
        assert answer.work is not None
        assert (answer.answer, answer.attempt) == (ClaimAnswer.RUN, 1)
        assert answer.work.work_request_id == work.work_request_id
    assert (await world.poll(QUEUE, key())).answer == ClaimAnswer.NONE
    assert world.sql("SELECT 1 FROM ameide.queue_item") == []


async def test_a_repeated_poll_gets_the_same_run(world: World) -> None:
    run = await world.open_run()
    for _ in range(5):
        await world.requested(verify(run))
    await world.relayed()
    claim_id = key()
    answers = await asyncio.gather(*(world.poll(QUEUE, claim_id) for _ in range(5)))
    assert len({answer.work.work_request_id for answer in answers if answer.work}) == 1
    assert {(answer.answer, answer.attempt) for answer in answers} == {(ClaimAnswer.RUN, 1)}
    assert len(world.sql("SELECT 1 FROM ameide.attempt")) == 1


async def test_pollers_and_direct_claims_share_each_work_once(world: World) -> None:
    run = await world.open_run()
    works = [await world.requested(verify(run)) for _ in range(10)]
    await world.relayed()
    executor = caller("verifier", "executor", queues=(QUEUE,))
    polls = [world.poll(QUEUE, key(), wait=1) for _ in range(10)]
    claims = [world.claim(work.work_request_id, executor, key()) for work in works]
    answers = await asyncio.gather(*polls, *claims)
    assert sum(answer.answer == ClaimAnswer.RUN for answer in answers) == 10
    rows = world.sql("SELECT work_request_id, attempt FROM ameide.attempt")
    assert len(rows) == len({row["work_request_id"] for row in rows}) == 10
    assert world.stated().count("WorkStarted") == 10


async def test_a_stale_invitation_is_used_up_without_a_run(world: World) -> None:
    run = await world.open_run()
    gone = await world.requested(verify(run))
    kept = await world.requested(verify(run))
    await world.cancel(gone.work_request_id)
    await world.relayed()
    assert len(world.sql("SELECT 1 FROM ameide.queue_item")) == 2
    answer = await world.poll(QUEUE, key())
    assert answer.work is not None
    assert answer.work.work_request_id == kept.work_request_id
    assert world.sql("SELECT 1 FROM ameide.queue_item") == []


async def test_a_poll_waits_for_an_invitation(world: World) -> None:
    run = await world.open_run()
    poll = asyncio.create_task(world.poll(QUEUE, key(), wait=30))
    work = await world.requested(verify(run))
    await world.relayed()
    answer = await asyncio.wait_for(poll, 20)
    assert answer.work is not None
    assert answer.work.work_request_id == work.work_request_id
    assert world.sql("SELECT principal_id, runner FROM ameide.attempt") == [
        {"principal_id": "verifier", "runner": "pool-1"}
    ]


async def test_tenants_and_queues_stay_apart(world: World) -> None:
    run = await world.open_run()
    await world.requested(verify(run))
    await world.relayed()
    stranger = caller("verifier", "executor", tenant="other", queues=(QUEUE,))
    assert (await world.poll(QUEUE, key(), stranger)).answer == ClaimAnswer.NONE
    author = caller("author", "executor", queues=(topics.QUEUE_CODER,))
    with pytest.raises(PermissionDenied):
        await world.poll(QUEUE, key(), author)
    other = await world.gateway.poll(author, PollWorkRequest(queues=[topics.QUEUE_CODER], claim_id=key()))
    assert other.answer == ClaimAnswer.NONE
    assert (await world.poll(QUEUE, key())).answer == ClaimAnswer.RUN


async def test_a_queue_of_kafka_is_not_polled_here(world: World) -> None:
    executor = caller("verifier", "executor", queues=(QUEUE, topics.QUEUE_CODER))
    gateway = Gateway(world.service, world.wakeups, elsewhere=(topics.QUEUE_CODER,))
    with pytest.raises(Refused, match=r"KAFKA_BROKERS and AMEIDE_QUEUE_TRANSPORT=coder=kafka") as refused:
        await gateway.poll(executor, PollWorkRequest(queues=[QUEUE, topics.QUEUE_CODER], claim_id=key()))
    assert refused.value.reason == "QUEUE_ON_KAFKA"
    answer = await gateway.poll(executor, PollWorkRequest(queues=[QUEUE], claim_id=key()))
    assert answer.answer == ClaimAnswer.NONE
