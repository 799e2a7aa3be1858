"""What facts about conversations with an agent say, in one sentence for people."""

from __future__ import annotations

from typing import Any

from protobuf import Message

from ameide.contracts.usage import tokens_of
from ameide_core_proto.common.v1.metadata_pb import Actor
from ameide_core_proto.transformation.governance.v1 import facts_pb as governance
from ameide_core_proto.transformation.governance.v1.governance_pb import Consent, ConsentAction, Conversation
from ameide_core_proto.transformation.work.v1.work_pb import Usage


def agent_sentence(fact: Message[Any]) -> str:
    """The sentence of a fact of a conversation or a consent; empty for another one."""
    match fact:
        case governance.ConversationOpened(conversation=Conversation() as conversation):
            return f"{_pair(conversation.opened_by)} opened a conversation: {conversation.title}"
        case governance.ConversationAttached(conversation=Conversation() as conversation):
            read = f", which has {read_of(conversation)}" if conversation.untrusted_count else ""
            return f"conversation {conversation.conversation_id} is about this change now{read}: {conversation.title}"
        case governance.ConversationProgressRecorded(conversation=Conversation() as conversation):
            read = f"; {read_of(conversation)}" if conversation.untrusted_count else ""
            used = conversation.usage or Usage()
            spent = f"{tokens_of(used)} tokens, {used.cost_micros} micros used so far"
            return f"conversation {conversation.conversation_id}, turn {conversation.turns}: {spent}{read}"
        case governance.ConsentAsked(consent=Consent() as consent):
            return f"{_agent(consent)} asks {_person(consent)} for consent to {what(consent.action)}: {consent.summary}"
        case governance.ConsentGiven(consent=Consent() as consent):
            said = f": {consent.comment}" if consent.comment else ""
            return f"{_decider(consent)} consents to {what(consent.action)} by {_agent(consent)}{said}"
        case governance.ConsentDeclined(consent=Consent() as consent):
            said = f": {consent.comment}" if consent.comment else ""
            return f"{_decider(consent)} declines to {what(consent.action)} by {_agent(consent)}{said}"
        case governance.ConsentUsed(consent=Consent() as consent):
            return f"{_agent(consent)} used the consent of {_person(consent)} to {what(consent.action)}"
        case _:
            return ""


def what(action: ConsentAction) -> str:
    """An action as a person reads it, e.g. `propose artifact`."""
    return action.name.lower().replace("_", " ")


def read_of(conversation: Conversation) -> str:
    """How much of what anybody may have written it has read."""
    count = conversation.untrusted_count
    return f"read {count} text{'s' if count != 1 else ''} that anybody may have written"


def _pair(actor: Actor | None) -> str:
    known = actor or Actor()
    return f"{known.on_behalf_of or 'somebody'} and {known.principal_id or 'an agent'}"


def _agent(consent: Consent) -> str:
    return (consent.asked_by or Actor()).principal_id or "an agent"


def _person(consent: Consent) -> str:
    return (consent.asked_by or Actor()).on_behalf_of or "somebody"


def _decider(consent: Consent) -> str:
    return (consent.decided_by or Actor()).principal_id or "somebody"
