"""Conversations through the door, with the tokens of an agent and of people."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ameide.errors import InvalidArgument, PermissionDenied, Refused
from ameide.rpc.clients import Clients
from ameide_core_proto.transformation.governance.v1 import conversation_service_pb as pb
from ameide_core_proto.transformation.governance.v1.governance_pb import Conversation, UntrustedSource
from ameide_core_proto.transformation.work.v1.work_pb import Usage
from tests.domain.doors import AGENT, PERSON, served, token
from tests.domain_work.budgets import allot, tokens
from tests.domain_work.world import World, key


@pytest.fixture
async def address(world: World) -> AsyncIterator[str]:
    """A Domain that knows an agent and two people."""
    async with served(world) as address:
        yield address


async def told(
    address: str, agent: str, person: str, conversation: Conversation, command: pb.RecordConversationProgressRequest
) -> pb.RecordConversationProgressResponse:
    command.conversation_id = conversation.conversation_id
    async with Clients(address, agent, on_behalf_of=person) as clients:
        return await clients.conversations.record_conversation_progress(command)


async def test_a_turn_is_recorded_for_the_person_and_bounded_by_the_tenant(world: World, address: str):
    agent = await token(world, "architect", AGENT, "viewer", "requester")
    rita, anna = await token(world, "rita", PERSON, "viewer"), await token(world, "anna", PERSON, "viewer")
    await allot(world, tokens(100))
    same = key()

    async def opened(person: str) -> Conversation:
        command = pb.OpenConversationRequest(client_request_id=same, title="Can an order be canceled?")
        async with Clients(address, agent, on_behalf_of=person) as clients:
            made = (await clients.conversations.open_conversation(command)).conversation
        assert made is not None
        return made

    conversation = await opened(rita)
    assert await opened(rita) == conversation
    begins = pb.RecordConversationProgressRequest(client_request_id=key(), begins_turn=True, asks_model=True)
    answer = await told(address, agent, rita, conversation, begins)
    assert answer.left is not None
    assert answer.left.max_tokens == 100
    last = pb.RecordConversationProgressRequest(
        client_request_id=key(), usage=Usage(output_tokens=100), asks_model=True
    )
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            await told(address, agent, rita, conversation, last)
        assert refused.value.reason == "BUDGET_EXHAUSTED"
        assert "ameide budget set" in refused.value.remedy
    with pytest.raises(PermissionDenied) as theirs:
        await told(address, agent, anna, conversation, pb.RecordConversationProgressRequest(client_request_id=key()))
    assert theirs.value.reason == "NOT_YOUR_CONVERSATION"


async def test_what_is_no_usage_or_source_is_named(world: World, address: str):
    agent, rita = await token(world, "architect", AGENT, "viewer"), await token(world, "rita", PERSON, "viewer")
    command = pb.RecordConversationProgressRequest(client_request_id=key(), usage=Usage(input_tokens=-1))
    with pytest.raises(InvalidArgument) as refused:
        await told(address, agent, rita, Conversation(conversation_id="cnv-1"), command)
    assert refused.value.field == "usage.input_tokens"
    command = pb.RecordConversationProgressRequest(client_request_id=key(), untrusted_sources=[UntrustedSource()])
    with pytest.raises(InvalidArgument) as unnamed:
        await told(address, agent, rita, Conversation(conversation_id="cnv-1"), command)
    assert "untrusted_sources" in unnamed.value.field
