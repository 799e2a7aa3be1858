"""What an agent does for a person needs that person's consent, in the transaction of its effect."""

from __future__ import annotations

from typing import Any, cast

from protobuf import Message

from ameide.contracts.subjects import command_hash
from ameide.domain.decisions import consent as decisions
from ameide.domain.unit import Unit
from ameide.errors import InvalidArgument, Refused
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, Consent


async def lock_given(unit: Unit, name: str, command: object) -> Consent | None:
    """The consent that a command is sent with, locked first of all and looked at; None where none is needed.

    Raises Refused(CONSENT_REQUIRED), InvalidArgument from who acts for nobody, and what `need_within` and `need_given`
    raise.
    """
    action = decisions.ACTIONS.get(name)
    if action is None:
        return None
    consent_id = str(getattr(command, "consent_id", ""))
    if not unit.caller.on_behalf_of:
        if consent_id:
            raise InvalidArgument(
                "is for an agent that acts for a person",
                field="consent_id",
                remedy="Leave it out: you act for yourself",
            )
        return None
    if not consent_id:
        raise Refused(
            f"{name} for {unit.caller.on_behalf_of} needs their consent",
            field="consent_id",
            remedy="Ask for it with AskConsent, and name it here once it was given",
            reason="CONSENT_REQUIRED",
        )
    decisions.need_within(command)
    consent = await unit.lock("consent", consent_id, Consent)
    decisions.need_given(consent, action, command_hash(cast("Message[Any]", command)), unit.actor, unit.timestamp)
    unit.conversation_id = consent.conversation_id
    return consent


def use(unit: Unit, consent: Consent | None, client_request_id: str, answer: object) -> None:
    """The command that a consent was given for was carried out; what it answers names the change that it opened."""
    if consent is not None:
        change: object = getattr(answer, "change", None)
        opened = change.change_id if isinstance(change, Change) else ""
        unit.record(decisions.use(consent, client_request_id, opened))
