"""The coder `codex` when its model fails, its budget is spent, it goes round in circles, or it is canceled."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest

from ameide_core_proto.transformation.work.v1.command_service_pb import WorkOutcome
from ameide_core_proto.transformation.work.v1.work_pb import (
    Budget,
    FailureCode,
    FindingClass,
    TimeoutPolicy,
)
from tests.infra.codex_world import ADD_CANCEL, CHANGE, CodexWorld, result_of
from tests.infra.responses_endpoint import (
    Fail,
    Hang,
    Patch,
    Run,
    Say,
    Usage,
    conversation,
    in_turn,
)


async def test_a_limited_rate_is_waited_for_inside_the_attempt(world: CodexWorld) -> None:
    limit = Fail(429, "Rate limit reached", "rate_limit_exceeded", "tokens", (("retry-after", "1"),))
    async with world.model(in_turn(limit, limit, *CHANGE), stream_max_retries=1) as endpoint:
        outcome = await world.run()
    assert result_of(outcome).failure_code is FailureCode.UNSPECIFIED, result_of(outcome).summary
    assert len(endpoint.calls) == 4
    assert endpoint.times[1] - endpoint.times[0] >= 1, "Codex minds what the server says"
    assert outcome.attempt == 1
    assert world.double.released == []
    assert "the model is busy, trying again" in await world.evidence(outcome, "work.log")


@pytest.mark.parametrize("failure", [Fail(500), Fail(429, "slow down", "rate_limit_exceeded")])
async def test_a_model_that_stays_busy_ends_the_attempt_in_time(world: CodexWorld, failure: Fail) -> None:
    async with world.model(in_turn(failure)):
        result = result_of(await world.run(wait_seconds=1))
    assert result.failure_code is FailureCode.TIMEOUT, result.summary
    assert "AMEIDE_CODEX_WAIT_SECONDS" in result.summary


@pytest.mark.parametrize(
    ("failure", "code", "remedy"),
    [
        (Fail(403, "no access"), FailureCode.MISSING_CREDENTIALS, "codex login"),
        (Fail(429, "gone", "insufficient_quota", "insufficient_quota"), FailureCode.TOOL_FAILED, "Raise its limit"),
        (Fail(400, "The model does not exist", "model_not_found"), FailureCode.TOOL_FAILED, "config.toml"),
    ],
)
async def test_other_errors_of_the_model_say_what_to_do(
    world: CodexWorld, failure: Fail, code: FailureCode, remedy: str
) -> None:
    async with world.model(in_turn(failure)):
        result = result_of(await world.run())
    assert result.failure_code is code, result.summary
    assert remedy in result.summary
    assert failure.message in result.summary or failure.code == "insufficient_quota"


async def test_a_hang_ends_at_the_silence_limit(world: CodexWorld) -> None:
    work = world.work()
    work.timeout_policy = TimeoutPolicy(run_for_seconds=60, silent_for_seconds=3)
    async with world.model(conversation(Run("echo begun > note.txt"), Hang())):
        outcome = await world.run(work)
    result = result_of(outcome)
    assert result.failure_code is FailureCode.TIMEOUT
    assert "silent_for_seconds" in result.summary
    assert result.usage
    assert result.usage.input_tokens == 100
    assert "echo begun" in await world.evidence(outcome, "codex-events.jsonl")


@pytest.mark.parametrize(
    ("budget", "named"),
    [(Budget(max_tokens=200), "max_tokens"), (Budget(max_cost_micros=250), "max_cost_micros")],
)
async def test_a_spent_budget_ends_the_agent_while_it_works(
    world: CodexWorld, tmp_path: Path, budget: Budget, named: str
) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text('["gpt-5.5"]\ninput = 1_000_000\noutput = 2_000_000\n')
    work = world.work()
    work.budget = budget
    async with world.model(conversation(Run("true"), Run("sleep 30"), *CHANGE)) as endpoint:
        result = result_of(await world.run(work, prices=prices))
    assert result.failure_code is FailureCode.BUDGET_EXHAUSTED, result.summary
    assert named in result.summary
    assert len(endpoint.calls) == 2
    assert result.usage
    assert (result.usage.input_tokens, result.usage.output_tokens) == (200, 40)


async def test_the_last_call_counts_against_the_budget_too(world: CodexWorld) -> None:
    work = world.work()
    work.budget = Budget(max_tokens=500)
    async with world.model(conversation(Patch(ADD_CANCEL), Say("done", Usage(tokens_in=400)))):
        result = result_of(await world.run(work))
    assert result.failure_code is FailureCode.BUDGET_EXHAUSTED, result.summary


async def test_a_limit_in_money_without_a_price_is_refused_before_anything_is_spent(world: CodexWorld) -> None:
    work = world.work()
    work.budget = Budget(max_cost_micros=1000)
    async with world.model(conversation(*CHANGE)) as endpoint:
        result = result_of(await world.run(work))
    assert result.failure_code is FailureCode.TOOL_FAILED
    assert "AMEIDE_PRICES" in result.summary
    assert endpoint.calls == []


async def test_an_agent_in_a_circle_is_ended_and_its_action_named(world: CodexWorld) -> None:
    circle = (Run("echo tried $RANDOM; false"),)
    async with world.model(conversation(*circle)) as endpoint:
        result = result_of(await world.run(repeats=3))
    assert result.failure_code is FailureCode.TOOL_FAILED, result.summary
    [finding] = result.findings
    assert (finding.id, finding.class_) == ("repeated_action", FindingClass.GUARDRAIL_BUG_SUSPECTED)
    assert "echo tried $RANDOM; false" in finding.what_failed
    assert len(endpoint.calls) < 20


async def test_usage_is_reported_while_codex_works(world: CodexWorld) -> None:
    async with world.model(conversation(Run("sleep 2.5"), *CHANGE)):
        outcome = await world.run()
    assert result_of(outcome).failure_code is FailureCode.UNSPECIFIED
    assert 100 in [beat.usage.input_tokens for beat in world.double.heartbeats if beat.usage]


async def test_canceled_codex_leaves_nothing_behind_but_what_it_used(world: CodexWorld) -> None:
    work = world.work()
    async with world.model(conversation(Run("exec sleep 297"), *CHANGE)):
        running = asyncio.create_task(world.run(work))
        await world.double.until(lambda: "$ exec sleep 297" in world.double.log_of(work.work_request_id))
        world.double.canceled.add(work.work_request_id)
        outcome = await running
    assert outcome.outcome is WorkOutcome.CANCELED
    usage = result_of(outcome).usage
    assert usage
    assert usage.input_tokens == 100
    assert not [found for found in psutil.process_iter(["cmdline"]) if "297" in (found.info["cmdline"] or [])]
    assert list((world.settings.work_root).iterdir()) == []
    assert "sleep 297" in await world.evidence(outcome, "codex-session.jsonl")
