"""Consents for what an agent does for a person: asked for, decided, and sent along, below the wire."""

from __future__ import annotations

from ameide.contracts.subjects import command_hash
from ameide.domain.commands import changes, consents, conversations, knowledge, work_requests
from ameide.domain.decisions.consent import ACTIONS
from ameide.rpc.interceptors import Caller
from ameide_core_proto.transformation.governance.v1 import command_service_pb as governance
from ameide_core_proto.transformation.governance.v1 import conversation_service_pb as pb
from ameide_core_proto.transformation.governance.v1.governance_pb import Consent, ConsentAction
from ameide_core_proto.transformation.knowledge.v1 import command_service_pb as kb
from ameide_core_proto.transformation.work.v1 import command_service_pb as wb
from tests.domain_work.world import World, key

Effect = (
    governance.OpenChangeRequest
    | governance.StartRunRequest
    | kb.ProposeArtifactRequest
    | kb.ReviseArtifactRequest
    | kb.SubmitArtifactRequest
    | wb.RequestWorkRequest
)
Effected = (
    governance.OpenChangeResponse
    | governance.StartRunResponse
    | kb.ProposeArtifactResponse
    | kb.ReviseArtifactResponse
    | kb.SubmitArtifactResponse
    | wb.RequestWorkResponse
)


def action_of(command: Effect) -> ConsentAction:
    """The action that a command is."""
    return ACTIONS[type(command).__name__.removesuffix("Request")]


def named_in(command: Effect) -> str:
    """The conversation that a command names, if any."""
    match command:
        case kb.ProposeArtifactRequest() | kb.ReviseArtifactRequest():
            return command.provenance.conversation_id if command.provenance else ""
        case governance.OpenChangeRequest() | governance.StartRunRequest():
            return command.conversation_id
        case _:
            return ""


async def conversation_of(world: World, by: Caller) -> str:
    """A new conversation of an agent's with the person for whom it acts."""
    command = pb.OpenConversationRequest(client_request_id=key(), title="Can an order be canceled?")
    answer = await world.service.execute(
        by, "OpenConversation", command, pb.OpenConversationResponse, conversations.open_conversation
    )
    assert answer.conversation is not None
    return answer.conversation.conversation_id


async def ask(
    world: World, by: Caller, command: Effect, *, conversation_id: str = "", again: str = "", seconds: int = 0
) -> Consent:
    """The agent asks for a command, in the conversation that it names; `again` is the key of a call that is repeated,
    `seconds` how long it holds."""
    asking = pb.AskConsentRequest(
        client_request_id=again or key(),
        conversation_id=conversation_id or named_in(command) or await conversation_of(world, by),
        action=action_of(command),
        summary="do it",
        subject_hash=command_hash(command),
        expires_after_seconds=seconds,
    )
    answer = await world.service.execute(by, "AskConsent", asking, pb.AskConsentResponse, consents.ask_consent)
    assert answer.consent is not None
    return answer.consent


async def answer(
    world: World, consent: Consent, by: Caller, *, agree: bool = True, seen: str = "", again: str = ""
) -> Consent:
    """Somebody answers about what they saw."""
    command = pb.DecideConsentRequest(
        client_request_id=again or key(),
        consent_id=consent.consent_id,
        agree=agree,
        subject_hash=seen or consent.subject_hash,
    )
    said = await world.service.execute(by, "DecideConsent", command, pb.DecideConsentResponse, consents.decide_consent)
    assert said.consent is not None
    return said.consent


async def agreed(world: World, by: Caller, command: Effect, conversation_id: str = "") -> Effect:
    """The command with a consent of the person's, if it is an agent's for one; else as it is."""
    if by.on_behalf_of:
        consent = await ask(world, by, command, conversation_id=conversation_id)
        await answer(world, consent, Caller(by.tenant_id, by.on_behalf_of, "PERSON", frozenset()))
        command.consent_id = consent.consent_id
    return command


async def send(world: World, by: Caller, command: Effect) -> Effected:
    """The command, as it is."""
    service = world.service
    match command:
        case governance.OpenChangeRequest():
            return await service.execute(by, "OpenChange", command, governance.OpenChangeResponse, changes.open_change)
        case governance.StartRunRequest():
            return await service.execute(by, "StartRun", command, governance.StartRunResponse, changes.start_run)
        case kb.ProposeArtifactRequest():
            return await service.execute(
                by, "ProposeArtifact", command, kb.ProposeArtifactResponse, knowledge.propose_artifact
            )
        case kb.ReviseArtifactRequest():
            return await service.execute(
                by, "ReviseArtifact", command, kb.ReviseArtifactResponse, knowledge.revise_artifact
            )
        case kb.SubmitArtifactRequest():
            return await service.execute(
                by, "SubmitArtifact", command, kb.SubmitArtifactResponse, knowledge.submit_artifact
            )
        case wb.RequestWorkRequest():
            return await service.execute(
                by, "RequestWork", command, wb.RequestWorkResponse, work_requests.request_work, asks_first=True
            )
