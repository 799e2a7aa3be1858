"""What an agent says to the Domain of its conversations with people, below the wire."""

from __future__ import annotations

from ameide.domain.commands import conversations
from ameide.rpc.interceptors import Caller
from ameide_core_proto.transformation.governance.v1 import command_service_pb as governance
from ameide_core_proto.transformation.governance.v1 import conversation_service_pb as pb
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, Conversation, UntrustedSource
from ameide_core_proto.transformation.knowledge.v1 import command_service_pb as kb
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import (
    Artifact,
    ArtifactContent,
    ArtifactKind,
    Provenance,
)
from ameide_core_proto.transformation.work.v1.work_pb import Usage
from tests.domain.consenting import agreed, send
from tests.domain_work.world import World, key


def acting_for(person: str, *, agent: str = "architect", tenant: str = "default") -> Caller:
    """The agent in a call that it makes for a person."""
    return Caller(tenant, agent, "AGENT", frozenset({"viewer", "requester"}), on_behalf_of=person)


FOR_RITA = acting_for("rita")


async def opened(
    world: World, change: Change | None = None, by: Caller = FOR_RITA, repository_id: str = ""
) -> Conversation:
    """A new conversation, about a change if one is given."""
    command = pb.OpenConversationRequest(
        client_request_id=key(),
        repository_id=repository_id,
        change_id=change.change_id if change else "",
        title="Can an order be canceled?",
    )
    answer = await world.service.execute(
        by, "OpenConversation", command, pb.OpenConversationResponse, conversations.open_conversation
    )
    assert answer.conversation is not None
    return answer.conversation


async def progress(
    world: World,
    conversation: Conversation,
    by: Caller = FOR_RITA,
    *,
    tokens: int = 0,
    micros: int = 0,
    read: tuple[str, ...] = (),
    begins_turn: bool = False,
    asks_model: bool = False,
    again: str = "",
) -> pb.RecordConversationProgressResponse:
    """A part of a turn is over; `again` is the key of a call that is repeated."""
    command = pb.RecordConversationProgressRequest(
        client_request_id=again or key(),
        conversation_id=conversation.conversation_id,
        usage=Usage(input_tokens=tokens, cost_micros=micros, model="scripted:one" if tokens or micros else ""),
        untrusted_sources=[UntrustedSource(ref=ref) for ref in read],
        begins_turn=begins_turn,
        asks_model=asks_model,
    )
    return await conversations.record_progress(world.service, by, command)


async def change_from(world: World, conversation: Conversation, by: Caller = FOR_RITA) -> Change:
    """A change that comes from a conversation."""
    command = governance.OpenChangeRequest(
        client_request_id=key(),
        repository_id="orders",
        title="Cancel an order",
        conversation_id=conversation.conversation_id,
    )
    answer = await send(world, by, await agreed(world, by, command))
    assert isinstance(answer, governance.OpenChangeResponse)
    assert answer.change is not None
    return answer.change


async def proposed(
    world: World,
    change: Change,
    kind: ArtifactKind,
    content: ArtifactContent,
    provenance: Provenance | None = None,
    by: Caller = FOR_RITA,
) -> Artifact:
    """A first version of an artifact, by whom it is proposed."""
    command = kb.ProposeArtifactRequest(
        client_request_id=key(), change_id=change.change_id, kind=kind, content=content, provenance=provenance
    )
    answer = await send(world, by, await agreed(world, by, command))
    assert isinstance(answer, kb.ProposeArtifactResponse)
    assert answer.artifact is not None
    return answer.artifact
