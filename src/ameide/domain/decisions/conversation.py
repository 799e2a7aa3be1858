"""Conversations with an agent: whose they are, what they are about, what they used and read.

What was said stays with the agent. The Domain keeps what others must be able to count on: usage, for the budgets, and
the mark of texts that anybody may have written.
"""

from __future__ import annotations

from copy import deepcopy

from protobuf.wkt import Timestamp

from ameide.contracts.usage import added
from ameide.errors import InvalidArgument, PermissionDenied, Refused
from ameide_core_proto.common.v1.metadata_pb import Actor, Scope
from ameide_core_proto.transformation.governance.v1.conversation_service_pb import (
    OpenConversationRequest,
    RecordConversationProgressRequest,
)
from ameide_core_proto.transformation.governance.v1.facts_pb import (
    ConversationAttached,
    ConversationOpened,
    ConversationProgressRecorded,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, Conversation, UntrustedSource
from ameide_core_proto.transformation.work.v1.work_pb import Usage

# Each fact carries them, and stays below the 4 KiB of a message (contracts 3). All are counted.
MAX_SOURCES = 12
_MAX_REF_BYTES = 256


def open_conversation(
    command: OpenConversationRequest,
    conversation_id: str,
    change: Change | None,
    scope: Scope,
    actor: Actor,
    now: Timestamp,
) -> ConversationOpened:
    """A new conversation about a change, a repository or neither; `actor` is the agent on behalf of the person.

    Raises InvalidArgument when the change is one of another repository.
    """
    repository_id = command.repository_id
    if change is not None:
        if repository_id and repository_id != change.repository_id:
            raise InvalidArgument(
                f"change {change.change_id} is one of {change.repository_id}",
                field="repository_id",
                remedy="Leave it empty, or name the change's repository",
            )
        repository_id = change.repository_id
    return ConversationOpened(
        conversation=Conversation(
            scope=Scope(tenant_id=scope.tenant_id, repository_id=repository_id),
            conversation_id=conversation_id,
            repository_id=repository_id,
            change_id=change.change_id if change else "",
            title=command.title,
            opened_by=actor,
            opened_at=now,
            version=1,
        )
    )


def attach(conversation: Conversation, change: Change) -> ConversationAttached | None:
    """From here on it is about this change; None when it is already.

    Raises Refused(CONVERSATION_ATTACHED) for one about another change: its mark shows at the gates of one change only.
    """
    if conversation.change_id == change.change_id:
        return None
    if conversation.change_id:
        raise Refused(
            f"the conversation is about change {conversation.change_id}",
            field="conversation_id",
            remedy="Open another conversation for another change",
            reason="CONVERSATION_ATTACHED",
        )
    changed = _next(conversation)
    changed.change_id, changed.repository_id = change.change_id, change.repository_id
    if changed.scope is not None:
        changed.scope.repository_id = change.repository_id
    return ConversationAttached(conversation=changed)


def progress(
    conversation: Conversation, command: RecordConversationProgressRequest, now: Timestamp
) -> ConversationProgressRecorded | None:
    """Its counts, moved on; None when nothing is to be told. What an agent read is marked by the Domain's clock."""
    used = command.usage or Usage()
    if not command.begins_turn and not command.untrusted_sources and used == Usage():
        return None
    changed = _next(conversation)
    if command.begins_turn:
        changed.turns += 1
        changed.last_turn_at = now
    changed.usage = added([changed.usage or Usage(), used])
    known = {source.ref for source in changed.untrusted_sources}
    for source in command.untrusted_sources:
        ref = source.ref.encode()[:_MAX_REF_BYTES].decode(errors="ignore")
        if ref in known:
            continue
        known.add(ref)
        changed.untrusted_count += 1
        if len(changed.untrusted_sources) < MAX_SOURCES:
            changed.untrusted_sources.append(UntrustedSource(ref=ref, read_at=now))
    return ConversationProgressRecorded(conversation=changed)


def need_own(conversation: Conversation, actor: Actor) -> None:
    """Raises PermissionDenied(NOT_YOUR_CONVERSATION) unless this agent opened it for this person."""
    opened = conversation.opened_by or Actor()
    if (opened.principal_id, opened.on_behalf_of) != (actor.principal_id, actor.on_behalf_of):
        raise _not_yours(conversation, opened)


def need_part(conversation: Conversation, actor: Actor) -> None:
    """Raises PermissionDenied(NOT_YOUR_CONVERSATION) unless the person calls, or the agent for them."""
    opened = conversation.opened_by or Actor()
    if actor.on_behalf_of or actor.principal_id != opened.on_behalf_of:
        need_own(conversation, actor)


def need_about(conversation: Conversation, change: Change) -> None:
    """Raises Refused(CONVERSATION_ELSEWHERE) unless the conversation is about this change."""
    if conversation.change_id != change.change_id:
        raise Refused(
            f"conversation {conversation.conversation_id} is not about change {change.change_id}",
            field="provenance.conversation_id",
            remedy="Name one about this change; `ameide change show` lists them",
            reason="CONVERSATION_ELSEWHERE",
        )


def need_agreed_in(named: str, agreed: str) -> None:
    """Raises Refused(CONVERSATION_MISMATCH) unless a command comes from the conversation in which it was agreed to."""
    if named and named != agreed:
        raise Refused(
            f"the person agreed to it in conversation {agreed}",
            field="conversation_id",
            remedy="Name that one, or ask for consent in the other one",
            reason="CONVERSATION_MISMATCH",
        )


def need_delegated(kind: str, on_behalf_of: str) -> None:
    """Raises PermissionDenied(AGENT_ONLY) unless an agent calls for a person."""
    if kind != "AGENT" or not on_behalf_of:
        raise PermissionDenied(
            "only an agent that acts for a person keeps a conversation",
            remedy="Talk to the agent with `ameide chat`",
            reason="AGENT_ONLY",
        )


def _not_yours(conversation: Conversation, opened: Actor) -> PermissionDenied:
    return PermissionDenied(
        f"conversation {conversation.conversation_id} is {opened.on_behalf_of}'s",
        field="conversation_id",
        remedy="Open a conversation of your own",
        reason="NOT_YOUR_CONVERSATION",
    )


def _next(conversation: Conversation) -> Conversation:
    changed = deepcopy(conversation)
    changed.version += 1
    return changed
