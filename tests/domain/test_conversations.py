"""Conversations on the real database: whose they are, what they are about, what they count in."""

import asyncio

import pytest

from ameide.domain.commands import attaching
from ameide.domain.decisions.conversation import MAX_SOURCES
from ameide.domain.decisions.default_policy import default_policy
from ameide.domain.unit import Unit
from ameide.errors import AmeideError, InvalidArgument, NotFound, PermissionDenied, Refused
from ameide.rpc.interceptors import Caller
from ameide_core_proto.common.v1.metadata_pb import Actor
from ameide_core_proto.transformation.governance.v1.facts_pb import ConversationOpened
from ameide_core_proto.transformation.governance.v1.governance_pb import BudgetPeriod, Change, Conversation
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.work.v1.work_pb import Budget
from tests.domain.saying import RITA, names, open_change
from tests.domain.talking import FOR_RITA, acting_for, opened, progress
from tests.domain_work.budgets import allot, tokens
from tests.domain_work.world import World, code, key


async def test_an_agent_opens_a_conversation_for_a_person_and_both_are_told(world: World):
    await world.register()
    change = await open_change(world)
    conversation = await opened(world, change)
    assert conversation.opened_by == Actor(principal_id="architect", on_behalf_of="rita")
    assert (conversation.change_id, conversation.repository_id) == (change.change_id, "orders")
    assert conversation.scope is not None
    assert conversation.scope.repository_id == "orders"
    fact = world.governance_facts()[-1]
    assert isinstance(fact, ConversationOpened)
    assert fact.conversation == conversation


async def test_one_may_be_about_a_repository_or_about_nothing_yet(world: World):
    await world.register()
    assert (await opened(world, repository_id="orders")).repository_id == "orders"
    assert (await opened(world)).repository_id == ""


@pytest.mark.parametrize(
    "by",
    [
        RITA,
        Caller("default", "architect", "AGENT", frozenset({"viewer"})),
        Caller("default", "x", "PERSON", frozenset({"viewer"}), on_behalf_of="rita"),
    ],
    ids=["a person", "an agent for itself", "a person for another"],
)
async def test_nobody_else_keeps_a_conversation(world: World, by: Caller):
    with pytest.raises(PermissionDenied) as refused:
        await opened(world, by=by)
    assert refused.value.reason == "AGENT_ONLY"
    assert names(world) == []


async def test_a_change_of_another_repository_is_named(world: World):
    await world.register()
    await world.register("bills")
    change = await open_change(world)
    with pytest.raises(InvalidArgument) as refused:
        await opened(world, change, repository_id="bills")
    assert refused.value.field == "repository_id"


async def test_what_another_tenant_has_is_not_there(world: World):
    await world.register()
    change = await open_change(world)
    conversation = await opened(world, change)
    rival = acting_for("rita", tenant="rival")
    with pytest.raises(NotFound):
        await opened(world, change, by=rival)
    with pytest.raises(NotFound):
        await progress(world, conversation, rival, tokens=5)


@pytest.mark.parametrize("other", [acting_for("anna"), acting_for("rita", agent="another"), RITA])
async def test_only_the_agent_and_the_person_who_opened_it_move_it_on(world: World, other: Caller):
    conversation = await opened(world)
    with pytest.raises(PermissionDenied) as refused:
        await progress(world, conversation, other, tokens=5)
    assert refused.value.reason == "NOT_YOUR_CONVERSATION"


async def test_progress_adds_up_and_is_recorded_once(world: World):
    conversation = await opened(world)
    first = await progress(world, conversation, begins_turn=True)
    assert first.conversation is not None
    assert (first.conversation.turns, first.conversation.last_turn_at) == (1, first.conversation.last_turn_at)
    once = key()
    await progress(world, conversation, tokens=40, micros=7, again=once)
    again = await progress(world, conversation, tokens=40, micros=7, again=once)
    assert again.idempotent_replay
    last = (await progress(world, conversation, tokens=2, micros=1)).conversation
    assert last is not None
    assert last.usage is not None
    assert (last.usage.input_tokens, last.usage.cost_micros, last.usage.model) == (42, 8, "scripted:one")
    assert names(world).count("ConversationProgressRecorded") == 3


async def test_nothing_used_and_nothing_read_states_nothing(world: World):
    conversation = await opened(world)
    answer = await progress(world, conversation)
    assert answer.conversation == conversation
    assert names(world) == ["ConversationOpened"]


async def test_many_parts_at_once_lose_nothing(world: World):
    conversation = await opened(world)
    await asyncio.gather(*(progress(world, conversation, tokens=10, read=(f"orders@{n}",)) for n in range(8)))
    last = (await progress(world, conversation, begins_turn=True)).conversation
    assert last is not None
    assert last.usage is not None
    assert (last.usage.input_tokens, last.untrusted_count, last.version) == (80, 8, 10)


async def test_a_text_that_anybody_may_have_written_marks_it_once_by_the_clock_of_the_domain(world: World):
    conversation = await opened(world)
    await progress(world, conversation, read=("orders@abc:README.md", "orders@abc:README.md"))
    marked = (await progress(world, conversation, read=("orders@abc:README.md", "evd-1"))).conversation
    assert marked is not None
    assert [source.ref for source in marked.untrusted_sources] == ["orders@abc:README.md", "evd-1"]
    assert marked.untrusted_count == 2
    assert all(source.read_at for source in marked.untrusted_sources)


async def test_a_long_reading_is_counted_whole_and_kept_in_part(world: World):
    conversation = await opened(world)
    marked = (await progress(world, conversation, read=tuple(f"{n}:{'x' * 900}" for n in range(90)))).conversation
    assert marked is not None
    assert (marked.untrusted_count, len(marked.untrusted_sources)) == (90, MAX_SOURCES)
    assert len(marked.to_binary()) < 4096


# What it is about


async def bound(world: World, conversation: Conversation, change: Change, by: Caller = FOR_RITA) -> None:
    async def write(unit: Unit) -> None:
        locked = await unit.lock("change", change.change_id, Change)
        unit.conversation_id = conversation.conversation_id
        await attaching.attach(unit, locked)

    await world.service.perform(by, "RecordConversationProgress", None, write)


async def test_who_writes_to_a_change_is_about_it_from_then_on_and_about_no_other(world: World):
    await world.register()
    change, other = await open_change(world), await open_change(world)
    conversation = await opened(world)
    await bound(world, conversation, change)
    await bound(world, conversation, change)
    attached = (await progress(world, conversation, begins_turn=True)).conversation
    assert attached is not None
    assert (attached.change_id, attached.repository_id, attached.version) == (change.change_id, "orders", 3)
    with pytest.raises(Refused) as refused:
        await bound(world, conversation, other)
    assert refused.value.reason == "CONVERSATION_ATTACHED"
    with pytest.raises(PermissionDenied):
        await bound(world, conversation, change, acting_for("anna"))


# What it counts in


def limited(tokens_of_change: int) -> Policy:
    policy = default_policy("orders", gitops=True)
    policy.change_budget, policy.work_budget = tokens(tokens_of_change), tokens(1)
    return policy


async def test_a_used_up_budget_of_the_change_refuses_the_next_question_and_counts_the_last(world: World):
    await world.register(policy=limited(100))
    change = await open_change(world)
    conversation, second = await opened(world, change), await opened(world, change, acting_for("anna"))
    assert (await progress(world, conversation, tokens=60, asks_model=True)).left == Budget(max_tokens=40)
    once = key()
    with pytest.raises(Refused) as refused:
        await progress(world, conversation, tokens=45, asks_model=True, again=once)
    assert refused.value.reason == "BUDGET_EXHAUSTED"
    assert "the change has used all of its 100 tokens" in str(refused.value)
    with pytest.raises(Refused):
        await progress(world, second, acting_for("anna"), begins_turn=True, asks_model=True)
    # What it read before it is told no, and an answer without a model, are no question to a model.
    assert (await progress(world, conversation, read=("evd-1",))).left == Budget(max_tokens=1)


async def test_the_same_call_passes_once_there_is_a_budget(world: World):
    await allot(world, tokens(50))
    conversation = await opened(world)
    once = key()
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            await progress(world, conversation, tokens=50, asks_model=True, again=once)
        assert "the tenant has used all of its 50 tokens" in str(refused.value)
    await allot(world, tokens(80), expected=1)
    answer = await progress(world, conversation, tokens=50, asks_model=True, again=once)
    assert (answer.idempotent_replay, answer.left) == (True, Budget(max_tokens=30))


async def test_the_smaller_of_both_budgets_is_what_is_left(world: World):
    await world.register(policy=limited(100))
    await allot(world, Budget(max_tokens=500, max_cost_micros=9))
    conversation = await opened(world, await open_change(world))
    assert (await progress(world, conversation, tokens=10, micros=2)).left == Budget(max_tokens=90, max_cost_micros=7)


async def test_what_was_talked_leaves_less_for_works_of_the_change_and_of_the_tenant(world: World):
    policy = default_policy("orders", gitops=True)
    policy.change_budget = tokens(1000)
    await world.register(policy=policy)
    change = await open_change(world)
    run = await world.start_run(change)
    conversation = await opened(world)
    await progress(world, conversation, tokens=300)
    await bound(world, conversation, change)
    work = await world.requested(code(run))
    assert work.budget is not None
    assert work.budget.max_tokens == 700


async def test_a_work_that_holds_all_the_rest_does_not_keep_people_from_asking(world: World):
    policy = default_policy("orders", gitops=True)
    policy.change_budget = tokens(1000)
    await world.register(policy=policy)
    change = await open_change(world)
    await world.requested(code(await world.start_run(change)))
    conversation = await opened(world, change)
    assert (await progress(world, conversation, tokens=10, asks_model=True)).left == Budget(max_tokens=990)


async def test_a_tenants_works_meet_what_was_talked(world: World):
    await world.register()
    await allot(world, tokens(100))
    run = await world.start_run(await open_change(world))
    await progress(world, await opened(world), tokens=100)
    with pytest.raises(AmeideError, match="the tenant has 0 of 100 tokens left"):
        await world.requested(code(run))


async def test_a_month_that_is_over_counts_no_more_unless_all_counts(world: World):
    await allot(world, tokens(100))
    conversation = await opened(world)
    await progress(world, conversation, tokens=70)
    world.sql("UPDATE ameide.conversation_spend SET month = month - interval '1 month'")
    assert (await progress(world, conversation, tokens=20)).left == tokens(80)
    await allot(world, tokens(100), expected=1, period=BudgetPeriod.IN_ALL)
    assert (await progress(world, conversation)).left == tokens(10)
