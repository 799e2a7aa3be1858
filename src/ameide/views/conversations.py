"""Conversations with an agent, the consents asked for in them, and the mark that they leave at gates."""

from __future__ import annotations

from ameide.storage.sql import load
from ameide.views.reading import Filter, Reading, not_found
from ameide_core_proto.transformation.governance.v1.governance_pb import Consent, Conversation, Gate
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetConversationResponse

_SQL = load("views")


async def whole_conversation(reading: Reading, conversation_id: str) -> GetConversationResponse:
    """A conversation and its consents, oldest first. Raises NotFound."""
    conversation = await reading.get(Conversation, conversation_id)
    rows = await reading.tx.fetch_all(_SQL["consents_of_conversation"], {"conversation": conversation_id})
    return GetConversationResponse(conversation=conversation, consents=[reading.opened(Consent, row) for row in rows])


async def own_consent(reading: Reading, consent_id: str) -> Consent:
    """A consent as the Domain has it now; cited once the projection has got that far. Raises NotFound."""
    row = await reading.tx.fetch_one(_SQL["own_state"], {"kind": "consent", "id": consent_id})
    if row is None:
        raise not_found("consent", consent_id)
    projected = await reading.tx.fetch_one(_SQL["get_state"], {"kind": "consent", "id": consent_id})
    if projected is not None and projected["version"] == row["version"]:
        return reading.opened(Consent, projected)
    return Consent.from_binary(row["state"])


async def of_change(reading: Reading, change_id: str) -> list[Conversation]:
    """All conversations about a change, oldest first."""
    return await reading.every(Conversation, Filter(change=change_id))


async def marked(reading: Reading, gate: Gate) -> list[Conversation]:
    """Conversations about the gate's change whose agent read what anybody may have written, oldest first."""
    if not gate.change_id:
        return []
    return await reading.every(
        Conversation, Filter(change=gate.change_id), lambda conversation: conversation.untrusted_count > 0
    )
