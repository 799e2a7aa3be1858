"""Consents: asked for by an agent, decided by the person."""

from __future__ import annotations

from ameide.contracts.ids import new_id
from ameide.domain.decisions import consent as decisions
from ameide.domain.decisions import conversation as conversations
from ameide.domain.unit import Unit
from ameide_core_proto.transformation.governance.v1.conversation_service_pb import (
    AskConsentRequest,
    AskConsentResponse,
    DecideConsentRequest,
    DecideConsentResponse,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import Consent, Conversation


async def ask_consent(unit: Unit, command: AskConsentRequest) -> AskConsentResponse:
    """A question of the agent's, in a conversation that it keeps for this person."""
    conversations.need_delegated(unit.caller.kind, unit.caller.on_behalf_of)
    conversation = await unit.read("conversation", command.conversation_id, Conversation)
    conversations.need_own(conversation, unit.actor)
    scope = unit.scope(conversation.repository_id)
    fact = decisions.ask(command, new_id("cns"), conversation, scope, unit.actor, unit.timestamp)
    unit.record(fact)
    return AskConsentResponse(consent=fact.consent)


async def decide_consent(unit: Unit, command: DecideConsentRequest) -> DecideConsentResponse:
    """The person's answer. Nobody gives it for them, whatever their roles."""
    consent = await unit.lock("consent", command.consent_id, Consent)
    fact = decisions.decide(consent, command, unit.actor, unit.caller.kind, unit.timestamp)
    unit.record(fact)
    return DecideConsentResponse(consent=fact.consent)
