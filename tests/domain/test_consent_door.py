"""From question to effect over the wire, with the tokens of an agent and of the person for whom it acts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ameide.contracts.subjects import command_hash
from ameide.errors import NotFound, PermissionDenied, Refused, Unauthenticated
from ameide.rpc.clients import Clients
from ameide_core_proto.transformation.governance.v1 import access_service_pb as access_pb
from ameide_core_proto.transformation.governance.v1 import command_service_pb as governance
from ameide_core_proto.transformation.governance.v1 import conversation_service_pb as pb
from ameide_core_proto.transformation.governance.v1 import query_service_pb as q
from ameide_core_proto.transformation.governance.v1.governance_pb import Consent, ConsentAction, ConsentStatus
from tests.domain.doors import AGENT, PERSON, served, token
from tests.domain.saying import names
from tests.domain_work.world import World, key


@pytest.fixture
async def address(world: World) -> AsyncIterator[str]:
    """A Domain with one repository."""
    await world.register()
    async with served(world) as address:
        yield address


async def asked(agent: Clients, command: governance.OpenChangeRequest) -> Consent:
    """The agent's question in a new conversation."""
    opened = await agent.conversations.open_conversation(
        pb.OpenConversationRequest(client_request_id=key(), title="Can an order be canceled?")
    )
    assert opened.conversation is not None
    answer = await agent.conversations.ask_consent(
        pb.AskConsentRequest(
            client_request_id=key(),
            conversation_id=opened.conversation.conversation_id,
            action=ConsentAction.OPEN_CHANGE,
            summary="Open the change 'Cancel an order' on orders",
            subject_hash=command_hash(command),
        )
    )
    assert answer.consent is not None
    return answer.consent


def agreeing(consent: Consent) -> pb.DecideConsentRequest:
    """Yes, to what was seen."""
    return pb.DecideConsentRequest(
        client_request_id=key(), consent_id=consent.consent_id, agree=True, subject_hash=consent.subject_hash
    )


async def test_the_person_answers_at_the_domain_and_the_agent_goes_on(world: World, address: str) -> None:
    bearer = await token(world, "architect", AGENT, "viewer", "requester")
    rita = await token(world, "rita", PERSON, "viewer", "requester")
    stranger = await token(world, "rita", PERSON, "viewer", "requester", tenant="acme")
    executing = await token(world, "rita", PERSON, "viewer", "requester", only_executes=True)
    command = governance.OpenChangeRequest(client_request_id=key(), repository_id="orders", title="Cancel an order")
    async with (
        Clients(address, bearer, on_behalf_of=rita) as agent,
        Clients(address, bearer) as alone,
        Clients(address, rita) as person,
        Clients(address, stranger) as elsewhere,
        Clients(address, executing) as executor,
    ):
        with pytest.raises(Refused) as bare:
            await agent.governance.open_change(command)
        assert bare.value.reason == "CONSENT_REQUIRED"
        consent = await asked(agent, command)
        seen = (await person.queries.get_consent(q.GetConsentRequest(consent_id=consent.consent_id))).consent
        assert seen == consent
        with pytest.raises(NotFound):
            await elsewhere.queries.get_consent(q.GetConsentRequest(consent_id=consent.consent_id))
        # Neither by the agent, with whichever tokens it has, nor by a token that does something else.
        for speaker, reason in ((agent, "NOT_FOR_OTHERS"), (alone, "PEOPLE_ONLY"), (executor, "ONLY_EXECUTES")):
            with pytest.raises(PermissionDenied) as refused:
                await speaker.conversations.decide_consent(agreeing(consent))
            assert refused.value.reason == reason
        with pytest.raises(NotFound):
            await elsewhere.conversations.decide_consent(agreeing(consent))
        await person.conversations.decide_consent(agreeing(consent))
        told = (await agent.queries.get_consent(q.GetConsentRequest(consent_id=consent.consent_id))).consent
        assert told is not None
        assert told.status == ConsentStatus.GIVEN
        command.consent_id = consent.consent_id
        first, again = await agent.governance.open_change(command), await agent.governance.open_change(command)
        assert (first.idempotent_replay, again.idempotent_replay) == (False, True)
        assert first.change is not None
        told = (await person.queries.get_consent(q.GetConsentRequest(consent_id=consent.consent_id))).consent
        assert told is not None
        assert (told.status, told.change_id) == (ConsentStatus.USED, first.change.change_id)
    assert names(world)[-6:] == [
        *("ConversationOpened", "ConsentAsked", "ConsentGiven"),
        *("ChangeOpened", "ConversationAttached", "ConsentUsed"),
    ]


async def test_a_consent_is_worth_nothing_without_the_persons_token(world: World, address: str) -> None:
    bearer = await token(world, "architect", AGENT, "viewer", "requester")
    rita = await token(world, "rita", PERSON, "viewer", "requester")
    olga = await token(world, "olga", PERSON, "admin")
    command = governance.OpenChangeRequest(client_request_id=key(), repository_id="orders", title="Cancel an order")
    async with (
        Clients(address, bearer, on_behalf_of=rita) as agent,
        Clients(address, rita) as person,
        Clients(address, olga) as admin,
    ):
        consent = await asked(agent, command)
        await person.conversations.decide_consent(agreeing(consent))
        command.consent_id = consent.consent_id
        # Who may no longer ask for changes: their consent grants no more than they may.
        await admin.access.admit_principal(
            access_pb.AdmitPrincipalRequest(client_request_id=key(), principal_id="rita", kind=PERSON, roles=["viewer"])
        )
        with pytest.raises(PermissionDenied):
            await agent.governance.open_change(command)
        await admin.access.revoke_token(access_pb.RevokeTokenRequest(token_id=rita.split("_")[2]))
        with pytest.raises(Unauthenticated):
            await agent.governance.open_change(command)
    assert "ChangeOpened" not in names(world)
