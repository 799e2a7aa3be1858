"""A conversation and the change that it writes to: from its first effect there it is about no other one.

So the mark of what its agent read shows at the gates of every change that it had a hand in. The caller has locked the
change, or has just opened it; the conversation is locked after it, once a command.
"""

from __future__ import annotations

from ameide.domain.decisions import conversation as decisions
from ameide.domain.unit import Unit
from ameide.errors import InvalidArgument
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, Conversation
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Provenance


async def attach(unit: Unit, change: Change, named: str = "") -> None:
    """Attach the conversation in which the person agreed to the command; of who calls for themselves the one they name.

    Raises PermissionDenied(NOT_YOUR_CONVERSATION), and Refused (CONVERSATION_ATTACHED, CONVERSATION_MISMATCH).
    """
    if unit.caller.on_behalf_of:
        decisions.need_agreed_in(named, unit.conversation_id)
    conversation_id = unit.conversation_id or named
    if conversation_id:
        await _bind(unit, conversation_id, change)


async def attach_by_words(unit: Unit, change: Change, provenance: Provenance | None) -> None:
    """The same for a version of an artifact, whose words come from a conversation about its change.

    Raises as `attach`; InvalidArgument when an agent does not say where words for a person come from; Refused
    (CONVERSATION_ELSEWHERE) for a conversation about something else.
    """
    named = provenance.conversation_id if provenance else ""
    if unit.caller.on_behalf_of:
        if not named:
            raise InvalidArgument(
                "is empty, but a person reads what an agent wrote for them with its origin",
                field="provenance.conversation_id",
                remedy="Name the conversation that the words come from",
            )
        await attach(unit, change, named)
    elif named:
        decisions.need_about(await unit.read("conversation", named, Conversation), change)


async def _bind(unit: Unit, conversation_id: str, change: Change) -> None:
    conversation = await unit.lock("conversation", conversation_id, Conversation)
    decisions.need_part(conversation, unit.actor)
    fact = decisions.attach(conversation, change)
    if fact is not None:
        unit.record(fact)
