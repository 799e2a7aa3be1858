"""Budgets on the real database: of a tenant over its changes, held while a work is open."""

import asyncio
import random

import pytest

from ameide.contracts.usage import tokens_of
from ameide.domain.commands import changes
from ameide.errors import AmeideError, Conflict, Fenced, Refused
from ameide_core_proto.common.v1.metadata_pb import Actor
from ameide_core_proto.transformation.governance.v1 import command_service_pb as governance
from ameide_core_proto.transformation.governance.v1.facts_pb import TenantBudgetAllotted
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    BudgetPeriod,
    Run,
)
from ameide_core_proto.transformation.work.v1.work_pb import Budget, FailureCode, Usage, WorkRequest
from tests.domain_work.budgets import (
    account,
    allot,
    limited,
    refusal,
    runs,
    tokens,
    told,
)
from tests.domain_work.world import OPERATOR, Claimed, World, code, key, success, verify


async def test_works_of_many_changes_at_once_never_reserve_more_than_the_tenant_has(world: World) -> None:
    under_way = await runs(world, 6, limited(work=300))
    await allot(world, tokens(1000))
    answers = await asyncio.gather(*(world.request(code(run)) for run in under_way), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    assert [one.reason for one in refused] == ["BUDGET_EXHAUSTED"] * 3
    assert "the tenant has 100 of 1000 tokens left (900 are held by open works)" in str(refused[0])
    assert "`ameide budget set`" in refused[0].remedy
    assert account(world) == (0, 900)


async def test_who_uses_less_than_was_held_leaves_the_rest_to_others(world: World) -> None:
    first, second = await runs(world, 2, limited(work=600))
    await allot(world, tokens(1000))
    claimed = await world.run(await world.requested(code(first)), "author")
    await refusal(world, second)
    await told(world, claimed, 350)
    assert account(world) == (350, 0)
    await world.requested(code(second))
    assert account(world) == (350, 600)
    assert "has 50 of 1000 tokens left" in await refusal(world, first)


async def test_a_raised_budget_lets_the_next_work_pass_and_tells_who_raised_it(world: World) -> None:
    [run] = await runs(world, 1, limited(work=600))
    assert (await allot(world, tokens(500))).version == 1
    await refusal(world, run)
    raised = await allot(world, tokens(600), expected=1)
    assert (raised.version, raised.allotted_by) == (2, Actor(principal_id=OPERATOR.principal_id))
    await world.requested(code(run))
    facts = [fact for fact in world.governance_facts() if isinstance(fact, TenantBudgetAllotted)]
    assert [fact.tenant_budget.budget for fact in facts if fact.tenant_budget] == [tokens(500), tokens(600)]


async def test_nobody_allots_over_a_version_that_they_did_not_see(world: World) -> None:
    await allot(world, tokens(500))
    with pytest.raises(Conflict) as stale:
        await allot(world, tokens(900))
    assert stale.value.reason == "STALE_VERSION"


async def test_a_month_counts_what_was_requested_in_it_and_all_counts_everything(world: World) -> None:
    first, second = await runs(world, 2, limited(work=600))
    await allot(world, tokens(1000))
    await told(world, await world.run(await world.requested(code(first)), "author"), 600)
    world.sql("UPDATE ameide.spend SET requested_at = date_trunc('month', now(), 'UTC') - interval '1 second'")
    work = await world.requested(code(second))
    assert (work.budget or Budget()).max_tokens == 600
    await world.cancel(work.work_request_id)
    await allot(world, tokens(1000), expected=1, period=BudgetPeriod.IN_ALL)
    await refusal(world, second)


async def test_a_request_that_is_sent_again_reserves_once(world: World) -> None:
    [run] = await runs(world, 1, limited(work=600))
    await allot(world, tokens(1000))
    command = code(run)
    first, again = await world.request(command), await world.request(command)
    assert (first.idempotent_replay, again.idempotent_replay) == (False, True)
    assert account(world) == (0, 600)


async def test_requests_cancels_outcomes_and_a_new_budget_at_once_wait_for_each_other_and_end(world: World) -> None:
    under_way = await runs(world, 5, limited(work=100))
    await allot(world, tokens(1000))
    running = [await world.run(await world.requested(code(run)), "author") for run in under_way]

    async def cancel(run: Run) -> None:
        command = governance.CancelChangeRequest(client_request_id=key(), change_id=run.change_id, reason="enough")
        response = governance.CancelChangeResponse
        await world.service.execute(OPERATOR, "CancelChange", command, response, changes.cancel_change)

    answers = await asyncio.gather(
        *(world.request(code(run)) for run in under_way),
        *(told(world, claimed, 50) for claimed in running),
        *(cancel(run) for run in under_way[:2]),
        allot(world, tokens(2000), expected=1),
        world.sweeper.sweep(),
        return_exceptions=True,
    )
    unexpected = [one for one in answers if isinstance(one, BaseException) and not isinstance(one, Refused)]
    assert unexpected == []
    open_works = world.sql("SELECT 1 FROM ameide.work WHERE status IN ('requested', 'started')")
    assert account(world) == (250, 100 * len(open_works))


async def test_another_tenant_s_works_do_not_count(world: World) -> None:
    [run] = await runs(world, 1, limited(work=600))
    await allot(world, tokens(1000))
    world.sql(
        "INSERT INTO ameide.spend (tenant_id, work_request_id, requested_at, used_tokens) "
        "VALUES ('rival', 'wrk-1', now(), 900)"
    )
    await world.requested(code(run))


async def test_tool_runs_neither_count_nor_wait(world: World) -> None:
    [run] = await runs(world, 1)
    await allot(world, tokens(1))
    claimed = await world.run(await world.requested(verify(run)))
    await world.succeed(claimed)
    assert account(world) == (0, 0)
    assert world.sql("SELECT 1 FROM ameide.spend") == []


# One work


async def test_the_next_attempt_has_what_the_lost_one_left(world: World) -> None:
    [run] = await runs(world, 1, limited(work=500, change=500))
    work = await world.requested(code(run))
    claimed = await world.run(work, "author")
    await world.heartbeat(claimed, Usage(input_tokens=200, output_tokens=100))
    world.expire_lease(work.work_request_id)
    assert await world.sweeper.sweep() == 1
    assert account(world) == (300, 200)
    again = await world.run(work, "author")
    assert again.work.budget == tokens(200)
    assert "has 0 of 500 tokens left" in await refusal(world, run)
    await told(world, again, 50)
    assert account(world) == (350, 0)


@pytest.mark.parametrize("how", ["lost", "released"])
async def test_an_attempt_that_used_all_of_it_is_the_last_one(world: World, how: str) -> None:
    [run] = await runs(world, 1, limited(work=500))
    work = await world.requested(code(run))
    claimed = await world.run(work, "author")
    await world.heartbeat(claimed, Usage(input_tokens=500))
    if how == "lost":
        world.expire_lease(work.work_request_id)
        await world.sweeper.sweep()
    else:
        await world.release(claimed)
    [row] = world.sql("SELECT state, status FROM ameide.work")
    assert row["status"] == "failed"
    assert isinstance(row["state"], bytes)
    ended = WorkRequest.from_binary(row["state"])
    assert ended.result is not None
    assert ended.result.failure_code == FailureCode.BUDGET_EXHAUSTED
    assert world.stated(work.work_request_id)[-1] == "WorkFailed"
    assert account(world) == (500, 0)


async def test_an_outcome_cannot_take_back_what_a_heartbeat_said(world: World) -> None:
    [run] = await runs(world, 1, limited(change=1000))
    claimed = await world.run(await world.requested(code(run)), "author")
    await world.heartbeat(claimed, Usage(input_tokens=400, output_tokens=100, cost_micros=7))
    ended = await told(world, claimed, 90)
    assert ended.result is not None
    assert ended.result.usage == Usage(input_tokens=400, output_tokens=100, cost_micros=7)
    assert account(world) == (500, 0)


async def test_whatever_becomes_of_works_each_attempt_counts_once_and_nothing_stays_held(world: World) -> None:
    under_way = await runs(world, 3, limited(work=400))
    await allot(world, tokens(100_000))
    dice = random.Random(5)
    works = [await world.requested(code(run)) for run in under_way for _ in range(4)]
    claimed: list[Claimed] = []

    async def act(work: WorkRequest) -> None:
        try:
            match dice.choice(("claim", "claim", "beat", "beat", "lose", "release", "fail", "succeed", "cancel")):
                case "claim":
                    claimed.append(await world.run(work, "author"))
                case "beat" if claimed:
                    await world.heartbeat(dice.choice(claimed), Usage(input_tokens=dice.randrange(300)))
                case "lose":
                    world.expire_lease(work.work_request_id)
                    await world.sweeper.sweep()
                case "release" if claimed:
                    await world.release(dice.choice(claimed))
                case "fail" if claimed:
                    await told(world, dice.choice(claimed), dice.randrange(300))
                case "succeed" if claimed:
                    await world.outcome(one := dice.choice(claimed), success(one, commit_sha="c" * 40))
                case "cancel":
                    await world.cancel(work.work_request_id)
                case _:
                    pass
        except (Fenced, AmeideError, AssertionError):
            # A claim that is declined, or a word that comes too late.
            pass

    used = 0
    for _ in range(40):
        await asyncio.gather(*(act(dice.choice(works)) for _ in range(4)))
        rows = world.sql("SELECT usage FROM ameide.attempt WHERE ended_at IS NOT NULL")
        used = sum(tokens_of(Usage.from_binary(row["usage"])) for row in rows if isinstance(row["usage"], bytes))
        assert account(world)[0] == used
    for run in under_way:
        await world.service.execute(
            OPERATOR,
            "CancelChange",
            governance.CancelChangeRequest(client_request_id=key(), change_id=run.change_id, reason="enough"),
            governance.CancelChangeResponse,
            changes.cancel_change,
        )
    while world.sql("SELECT 1 FROM ameide.work WHERE status IN ('requested', 'started')"):
        world.sql("UPDATE ameide.attempt SET lease_until = now() - interval '1 s' WHERE ended_at IS NULL")
        await world.sweeper.sweep()
    assert account(world)[1] == 0
    assert used > 0


# The gate
