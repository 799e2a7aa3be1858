"""Consents: a person's word that an agent may send one command for them, which it binds and which is used once."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta

from protobuf.wkt import Timestamp

from ameide.errors import InvalidArgument, PermissionDenied, Refused
from ameide_core_proto.common.v1.metadata_pb import Actor, Scope
from ameide_core_proto.transformation.governance.v1.command_service_pb import StartRunRequest
from ameide_core_proto.transformation.governance.v1.conversation_service_pb import (
    AskConsentRequest,
    DecideConsentRequest,
)
from ameide_core_proto.transformation.governance.v1.facts_pb import (
    ConsentAsked,
    ConsentDeclined,
    ConsentGiven,
    ConsentUsed,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Consent,
    ConsentAction,
    ConsentStatus,
    Conversation,
    RunKind,
)
from ameide_core_proto.transformation.work.v1.command_service_pb import RequestWorkRequest
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind

# What an agent may do for a person with that person's consent, by the command's name.
ACTIONS = {
    "OpenChange": ConsentAction.OPEN_CHANGE,
    "ProposeArtifact": ConsentAction.PROPOSE_ARTIFACT,
    "ReviseArtifact": ConsentAction.REVISE_ARTIFACT,
    "SubmitArtifact": ConsentAction.SUBMIT_ARTIFACT,
    "RequestWork": ConsentAction.REQUEST_WORK,
    "StartRun": ConsentAction.START_RUN,
}
# What it says for a person without one: of the conversation itself. Queries are no commands.
_OF_ITSELF = frozenset({"OpenConversation", "RecordConversationProgress", "ReadBudgets", "AskConsent", "WhoAmI"})
EXPIRES_AFTER_SECONDS = 24 * 3600


def need_for_others(on_behalf_of: str, name: str) -> None:
    """Raises PermissionDenied(NOT_FOR_OTHERS) for what a person says alone: whatever is not listed here."""
    if on_behalf_of and name not in ACTIONS and name not in _OF_ITSELF:
        raise PermissionDenied(
            f"{name} is said by nobody for another one",
            remedy=f"{on_behalf_of} says it by a token of their own",
            reason="NOT_FOR_OTHERS",
        )


def need_within(command: object) -> None:
    """For a person an agent asks for work that reads, and names the version that it starts: what was seen counts.

    Raises PermissionDenied(NOT_FOR_OTHERS), InvalidArgument.
    """
    match command:
        case RequestWorkRequest() if command.action_kind != ActionKind.ANALYZE:
            raise PermissionDenied(
                f"{command.action_kind.name} is requested by nobody for another one",
                field="action_kind",
                remedy="Request ANALYZE, or start a run, which does the rest",
                reason="NOT_FOR_OTHERS",
            )
        case StartRunRequest() if command.kind != RunKind.TRIAGE and not command.artifact_id:
            raise InvalidArgument(
                "is empty, but whoever consents must know which requirement it is about",
                field="artifact_id",
                remedy="Name the requirement",
            )
        case StartRunRequest() if command.kind != RunKind.TRIAGE and not command.expected_number:
            raise InvalidArgument(
                "is empty, but whoever consents must know which version it is about",
                field="expected_number",
                remedy="Name the number of the version that they are shown",
            )
        case _:
            return


def ask(
    command: AskConsentRequest, consent_id: str, conversation: Conversation, scope: Scope, actor: Actor, now: Timestamp
) -> ConsentAsked:
    """The agent's question to the person for whom it acts; `actor` is both. The caller has looked whose talk it is."""
    after = timedelta(seconds=command.expires_after_seconds or EXPIRES_AFTER_SECONDS)
    return ConsentAsked(
        consent=Consent(
            scope=scope,
            consent_id=consent_id,
            conversation_id=conversation.conversation_id,
            change_id=conversation.change_id,
            action=command.action,
            summary=command.summary,
            subject_hash=command.subject_hash,
            asked_by=actor,
            status=ConsentStatus.ASKED,
            asked_at=now,
            expires_at=Timestamp.from_datetime(now.to_datetime() + after),
            version=1,
        )
    )


def decide(
    consent: Consent, command: DecideConsentRequest, actor: Actor, kind: str, now: Timestamp
) -> ConsentGiven | ConsentDeclined:
    """The person's answer. One that was given may be taken back until it is used; nothing else is said twice.

    Raises PermissionDenied(PEOPLE_ONLY, NOT_YOUR_CONSENT), and Refused (SUBJECT_CHANGED, CONSENT_USED,
    CONSENT_DECLINED, CONSENT_GIVEN, CONSENT_EXPIRED).
    """
    if kind != "PERSON" or actor.on_behalf_of:
        raise PermissionDenied(
            "only people consent, each by a token of their own", remedy="Ask the person", reason="PEOPLE_ONLY"
        )
    asked = (consent.asked_by or Actor()).on_behalf_of
    if actor.principal_id != asked:
        raise _not_yours(consent, f"asked of {asked}", f"Only {asked} can answer")
    if command.subject_hash != consent.subject_hash:
        raise Refused(
            "the consent binds another command than the one you saw",
            field="subject_hash",
            remedy="Look at what is asked for again",
            reason="SUBJECT_CHANGED",
        )
    taken_back = consent.status == ConsentStatus.GIVEN and not command.agree
    if consent.status != ConsentStatus.ASKED and not taken_back:
        raise _refused(consent, f"is {consent.status.name.lower()}", f"CONSENT_{consent.status.name}")
    if command.agree:
        _need_in_time(consent, now)
    changed = _next(consent)
    changed.status = ConsentStatus.GIVEN if command.agree else ConsentStatus.DECLINED
    changed.decided_by, changed.decided_at, changed.comment = actor, now, command.comment
    return ConsentGiven(consent=changed) if command.agree else ConsentDeclined(consent=changed)


def need_given(consent: Consent, action: ConsentAction, subject_hash: str, actor: Actor, now: Timestamp) -> None:
    """The command that has come, by its hash, is the one that the person agreed to, just now and never yet.

    Raises PermissionDenied(NOT_YOUR_CONSENT), and Refused (CONSENT_MISMATCH, CONSENT_USED, CONSENT_DECLINED,
    CONSENT_NOT_GIVEN, CONSENT_EXPIRED).
    """
    asked, decided = consent.asked_by or Actor(), consent.decided_by or Actor()
    if (asked.principal_id, asked.on_behalf_of) != (actor.principal_id, actor.on_behalf_of) or not actor.on_behalf_of:
        raise _not_yours(
            consent, f"between {asked.principal_id} and {asked.on_behalf_of}", "Ask the person for whom you act"
        )
    if (consent.action, consent.subject_hash) != (action, subject_hash):
        raise Refused(
            f"consent {consent.consent_id} was asked for another command",
            field="consent_id",
            remedy="Send the command as it was agreed to, or ask for this one",
            reason="CONSENT_MISMATCH",
        )
    given = decided.principal_id == actor.on_behalf_of and not decided.on_behalf_of
    if consent.status != ConsentStatus.GIVEN or not given:
        ended = consent.status in (ConsentStatus.USED, ConsentStatus.DECLINED)
        said = f"is {consent.status.name.lower()}" if ended else "was not given yet"
        raise _refused(consent, said, f"CONSENT_{consent.status.name}" if ended else "CONSENT_NOT_GIVEN")
    _need_in_time(consent, now)


def use(consent: Consent, client_request_id: str, change_id: str) -> ConsentUsed:
    """The command has its effect. `change_id` is what it opened, if the consent was about no change yet."""
    changed = _next(consent)
    changed.status = ConsentStatus.USED
    changed.used_by = client_request_id
    changed.change_id = consent.change_id or change_id
    return ConsentUsed(consent=changed)


def _need_in_time(consent: Consent, now: Timestamp) -> None:
    if consent.expires_at is None or consent.expires_at.to_datetime() <= now.to_datetime():
        raise _refused(consent, "has expired", "CONSENT_EXPIRED")


def _refused(consent: Consent, said: str, reason: str) -> Refused:
    return Refused(
        f"consent {consent.consent_id} {said}",
        field="consent_id",
        remedy="Wait for the person's answer" if reason == "CONSENT_NOT_GIVEN" else "Let the agent ask anew",
        reason=reason,
    )


def _not_yours(consent: Consent, whose: str, remedy: str) -> PermissionDenied:
    return PermissionDenied(
        f"consent {consent.consent_id} is {whose}", field="consent_id", remedy=remedy, reason="NOT_YOUR_CONSENT"
    )


def _next(consent: Consent) -> Consent:
    changed = deepcopy(consent)
    changed.version += 1
    return changed
