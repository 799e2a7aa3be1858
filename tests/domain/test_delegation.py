"""An agent that calls for a person by two tokens: both count, and neither does alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import cast

import httpx
import pytest

from ameide.contracts import topics
from ameide.errors import PermissionDenied, Unauthenticated
from ameide.rpc.clients import Clients
from ameide_core_proto.common.v1.metadata_pb import Actor
from ameide_core_proto.transformation.governance.v1 import access_service_pb as access_pb
from ameide_core_proto.transformation.governance.v1 import command_service_pb as pb
from ameide_core_proto.transformation.governance.v1.conversation_service_pb import OpenConversationRequest
from ameide_core_proto.transformation.governance.v1.facts_pb import TransformationGovernanceDomainFact
from ameide_core_proto.transformation.governance.v1.governance_pb import Conversation, GateVerdict
from ameide_core_proto.transformation.governance.v1.query_service_pb import ListRepositoriesRequest
from ameide_core_proto.transformation.work.v1 import command_service_pb as work_pb
from tests.domain.doors import AGENT, PERSON, SERVICE, served, token
from tests.domain_work.world import World, key


@pytest.fixture
async def address(world: World) -> AsyncIterator[str]:
    """A Domain with one repository."""
    await world.register()
    async with served(world) as address:
        yield address


async def architect(world: World) -> str:
    return await token(world, "architect", AGENT, "viewer", "requester", "representative")


async def who(address: str, bearer: str, person: str = "") -> access_pb.WhoAmIResponse:
    async with Clients(address, bearer, on_behalf_of=person) as clients:
        return await clients.access.who_am_i(access_pb.WhoAmIRequest())


async def talked(address: str, bearer: str, person: str = "", again: str = "") -> Conversation:
    """A conversation that an agent opens for a person."""
    command = OpenConversationRequest(client_request_id=again or key(), title="Can an order be canceled?")
    async with Clients(address, bearer, on_behalf_of=person) as clients:
        conversation = (await clients.conversations.open_conversation(command)).conversation
    assert conversation is not None
    return conversation


async def test_both_are_known_and_only_what_both_may_counts(world: World, address: str) -> None:
    rita = await token(world, "rita", PERSON, "requester", "approver", "operator", "admin")
    answer = await who(address, await architect(world), rita)
    assert answer.principal is not None
    assert answer.agent is not None
    assert (answer.principal.principal_id, answer.agent.principal_id) == ("rita", "architect")
    assert answer.roles == ["requester", "viewer"]
    assert (await who(address, rita)).agent is None
    vera = await token(world, "vera", PERSON, "viewer")
    assert (await who(address, await architect(world), vera)).roles == ["viewer"]
    bare = await token(world, "bare", PERSON, "approver")
    assert (await who(address, await architect(world), bare)).roles == []
    root = await token(world, "root", AGENT, "viewer", "operator", "admin", "executor", "process")
    everything = await token(world, "all", PERSON, "operator", "admin", "executor", "process")
    assert (await who(address, root, everything)).roles == ["operator", "viewer"]


async def test_records_and_envelopes_name_both(world: World, address: str) -> None:
    rita = await token(world, "rita", PERSON, "viewer")
    conversation = await talked(address, await architect(world), rita)
    assert conversation.opened_by == Actor(principal_id="architect", on_behalf_of="rita")
    [row] = world.sql("SELECT payload FROM ameide.outbox WHERE name = 'ConversationOpened'")
    fact = TransformationGovernanceDomainFact.from_binary(bytes(cast("bytes", row["payload"])))
    assert fact.metadata is not None
    assert fact.metadata.actor == Actor(principal_id="architect", on_behalf_of="rita")


async def test_a_representative_without_a_person_may_nothing(world: World, address: str) -> None:
    agent = await architect(world)
    answer = await who(address, agent)
    assert answer.principal is not None
    assert (answer.principal.principal_id, answer.roles) == ("architect", [])
    with pytest.raises(PermissionDenied):
        await talked(address, agent)
    command = pb.OpenChangeRequest(client_request_id=key(), repository_id="orders", title="Cancel an order")
    async with Clients(address, agent) as clients:
        with pytest.raises(PermissionDenied):
            await clients.governance.open_change(command)
        with pytest.raises(PermissionDenied):
            await clients.queries.list_repositories(ListRepositoriesRequest())
    # An agent that is none keeps what it may for itself, and no conversation.
    free = await token(world, "eliza", AGENT, "viewer", "requester")
    async with Clients(address, free) as clients:
        assert (await clients.governance.open_change(command)).change is not None
    with pytest.raises(PermissionDenied) as refused:
        await talked(address, free)
    assert refused.value.reason == "AGENT_ONLY"


async def test_tokens_that_do_not_act_for_each_other_are_refused(world: World, address: str) -> None:
    tokens = {
        "architect": await architect(world),
        "rita": await token(world, "rita", PERSON, "viewer", "requester"),
        "bert": await token(world, "bert", PERSON, "viewer"),
        "machine": await token(world, "machine", SERVICE, "viewer", "requester"),
        "executing": await token(world, "author", AGENT, "executor", only_executes=True),
        "outside": await token(world, "carl", PERSON, "executor", "requester", only_executes=True),
    }
    for speaker, person, reason in (
        ("rita", "rita", "NOT_AN_AGENT"),
        ("rita", "bert", "NOT_AN_AGENT"),
        ("machine", "rita", "NOT_AN_AGENT"),
        ("executing", "rita", "NOT_AN_AGENT"),
        ("architect", "architect", "NOT_A_PERSON"),
        ("architect", "machine", "NOT_A_PERSON"),
        ("architect", "outside", "NOT_A_PERSON"),
        ("architect", "executing", "NOT_A_PERSON"),
    ):
        with pytest.raises(PermissionDenied) as refused:
            await who(address, tokens[speaker], tokens[person])
        assert (refused.value.reason, refused.value.field) == (reason, "ameide-on-behalf-of")


async def test_for_another_agent_it_answers_and_does_nothing(world: World, address: str) -> None:
    """Whoever cannot agree to a command has none sent."""
    agent, codex = await architect(world), await token(world, "codex", AGENT, "viewer", "requester")
    assert (await who(address, agent, codex)).scopes == ["read"]
    assert (await talked(address, agent, codex)).opened_by == Actor(principal_id="architect", on_behalf_of="codex")
    async with Clients(address, agent, on_behalf_of=codex) as clients:
        await clients.queries.list_repositories(ListRepositoriesRequest())
        for said in (
            clients.governance.open_change(
                pb.OpenChangeRequest(client_request_id=key(), repository_id="orders", title="t")
            ),
            clients.work.request_work(work_pb.RequestWorkRequest(client_request_id=key(), repository_id="orders")),
        ):
            with pytest.raises(PermissionDenied) as refused:
                await said
            assert refused.value.reason == "SCOPE"


async def test_a_persons_token_of_another_tenant_is_as_good_as_none(world: World, address: str) -> None:
    agent = await architect(world)
    stranger = await token(world, "rita", PERSON, "viewer", "requester", tenant="acme")
    for person in (stranger, "ameide_default_no_token", agent[:-1] + "x"):
        with pytest.raises(Unauthenticated) as refused:
            await who(address, agent, person)
        assert refused.value.field == "ameide-on-behalf-of"
        assert person not in str(refused.value)


async def test_without_a_valid_token_of_the_agent_a_persons_counts_for_nothing(world: World, address: str) -> None:
    rita = await token(world, "rita", PERSON, "viewer", "requester")
    with pytest.raises(Unauthenticated):
        await who(address, "ameide_default_no_token", rita)


async def test_a_header_that_names_nobody_is_no_call_of_the_agents_own(world: World, address: str) -> None:
    agent = await architect(world)
    path = "/ameide_core_proto.transformation.governance.v1.AccessService/WhoAmI"
    async with httpx.AsyncClient(trust_env=False) as client:
        for header in ("", "Bearer", "Basic cml0YQ==", "rita"):
            headers = {"authorization": f"Bearer {agent}", "ameide-on-behalf-of": header}
            answer = await client.post(f"{address}{path}", json={}, headers=headers, timeout=10)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def test_a_revoked_token_of_the_person_ends_what_the_agent_may_at_once(world: World, address: str) -> None:
    agent = await architect(world)
    rita = await token(world, "rita", PERSON, "viewer", "requester")
    olga = await token(world, "olga", PERSON, "admin")
    await talked(address, agent, rita)
    async with Clients(address, olga) as clients:
        await clients.access.revoke_token(access_pb.RevokeTokenRequest(token_id=rita.split("_")[2]))
    with pytest.raises(Unauthenticated):
        await talked(address, agent, rita)


async def test_an_expired_token_of_the_person_is_not_remembered_beyond_its_time(world: World, address: str) -> None:
    agent = await architect(world)
    rita = await token(world, "rita", PERSON, "viewer", "requester", expires_in_seconds=3600)
    await who(address, agent, rita)
    world.sql("UPDATE ameide.api_token SET expires_at = now() WHERE token_id = %s", rita.split("_")[2])
    olga = await token(world, "olga", PERSON, "admin")
    async with Clients(address, olga) as clients:
        await clients.access.admit_principal(
            access_pb.AdmitPrincipalRequest(
                client_request_id=key(), principal_id="someone", kind=PERSON, roles=["viewer"]
            )
        )
    with pytest.raises(Unauthenticated):
        await who(address, agent, rita)


async def test_other_roles_of_the_person_count_at_once(world: World, address: str) -> None:
    agent = await architect(world)
    rita = await token(world, "rita", PERSON, "viewer", "requester")
    olga = await token(world, "olga", PERSON, "admin")
    assert (await who(address, agent, rita)).roles == ["requester", "viewer"]
    async with Clients(address, olga) as clients:
        await clients.access.admit_principal(
            access_pb.AdmitPrincipalRequest(client_request_id=key(), principal_id="rita", kind=PERSON, roles=["viewer"])
        )
    assert (await who(address, agent, rita)).roles == ["viewer"]


async def test_two_people_do_not_share_an_answer(world: World, address: str) -> None:
    agent = await architect(world)
    rita = await token(world, "rita", PERSON, "viewer")
    bert = await token(world, "bert", PERSON, "viewer")
    again = key()
    first = await talked(address, agent, rita, again)
    assert (await talked(address, agent, rita, again)).conversation_id == first.conversation_id
    with pytest.raises(Exception, match="was used for another"):
        await talked(address, agent, bert, again)


async def test_what_a_person_says_alone_is_refused_though_both_had_the_role(world: World, address: str) -> None:
    roles = ("viewer", "requester", "approver", "releaser", "operator", "admin", "executor", "process")
    agent, owner = await token(world, "architect", AGENT, *roles), await token(world, "owner", PERSON, *roles)
    async with Clients(address, agent, on_behalf_of=owner) as clients:
        said = [
            clients.governance.decide_gate(
                pb.DecideGateRequest(
                    client_request_id=key(), gate_id="gat-1", verdict=GateVerdict.APPROVE, subject_hash="0" * 64
                )
            ),
            clients.governance.cancel_change(
                pb.CancelChangeRequest(client_request_id=key(), change_id="chg-1", reason="x")
            ),
            clients.governance.close_change(pb.CloseChangeRequest(client_request_id=key(), change_id="chg-1")),
            clients.access.admit_principal(
                access_pb.AdmitPrincipalRequest(
                    client_request_id=key(), principal_id="eve", kind=PERSON, roles=["admin"]
                )
            ),
            clients.access.issue_token(access_pb.IssueTokenRequest(principal_id="owner")),
            clients.access.list_tokens(access_pb.ListTokensRequest()),
            clients.work.cancel_work(work_pb.CancelWorkRequest(client_request_id=key(), work_request_id="wrk-1")),
            clients.work.poll_work(work_pb.PollWorkRequest(claim_id=key(), queues=[topics.QUEUE_VERIFY])),
        ]
        for call in said:
            with pytest.raises(PermissionDenied):
                await call
        # Reading is what it is for.
        answer = await clients.queries.list_repositories(ListRepositoriesRequest())
        assert answer.read_context is not None


async def test_evidence_is_exchanged_for_nobody_else(world: World, address: str) -> None:
    agent = await token(world, "author", AGENT, "executor")
    rita = await token(world, "rita", PERSON, "viewer")
    headers = {"authorization": f"Bearer {agent}", "ameide-on-behalf-of": f"Bearer {rita}"}
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.put(f"{address}/evidence/wrk-1/1/claim/log", content=b"x", headers=headers, timeout=10)
    assert (answer.status_code, answer.json()["reason"]) == (403, "NOT_FOR_OTHERS")
