"""Tokens that are made for an agent, at the door: where they count, where they don't, and when they end."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator

import httpx
import pytest

import ameide_core_proto
from ameide.domain.decisions.delegation import MOST
from ameide.errors import InvalidArgument, NotFound, PermissionDenied, Unauthenticated
from ameide.rpc.clients import Clients
from ameide.rpc.delegating import delegated
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.transformation.governance.v1 import access_service_pb as pb
from ameide_core_proto.transformation.governance.v1 import command_service_pb as c
from ameide_core_proto.transformation.governance.v1.query_service_pb import ListRepositoriesRequest
from tests.domain.doors import AGENT, PERSON, SERVICE, served, token
from tests.domain_work.world import World, key

ROLES = ("viewer", "requester", "approver", "releaser", "operator", "admin")


@pytest.fixture
async def address(world: World) -> AsyncIterator[str]:
    """A Domain with one repository."""
    await world.register()
    async with served(world) as address:
        yield address


async def architect(world: World) -> str:
    return await token(world, "architect", AGENT, "viewer", "requester", "representative")


async def made(address: str, bearer: str, *scopes: str) -> str:
    return (await delegated(address, bearer, scopes)).secret


async def who(address: str, bearer: str, person: str = "") -> pb.WhoAmIResponse:
    async with Clients(address, bearer, on_behalf_of=person) as clients:
        return await clients.access.who_am_i(pb.WhoAmIRequest())


async def test_an_agent_acts_for_a_person_by_it_as_by_their_own(world: World, address: str) -> None:
    agent, rita = await architect(world), await token(world, "rita", PERSON, *ROLES)
    answer = await delegated(address, rita)
    assert world.sql("SELECT 1 FROM ameide.delegated_token WHERE expires_at - now() < '59 minutes'") == []
    assert world.sql("SELECT 1 FROM ameide.delegated_token WHERE expires_at - now() > '1 hour'") == []
    assert answer.expires_at is not None
    told = await who(address, agent, answer.secret)
    assert told.principal is not None
    assert told.agent is not None
    assert (told.principal.principal_id, told.agent.principal_id) == ("rita", "architect")
    assert (told.roles, told.only_represented) == (["requester", "viewer"], False)
    async with Clients(address, agent, on_behalf_of=answer.secret) as clients:
        assert (await clients.queries.list_repositories(ListRepositoriesRequest())).repositories is not None
    # By itself it says whose it is, for the agent that is shown it.
    alone = await who(address, answer.secret)
    assert alone.principal is not None
    assert (alone.principal.principal_id, alone.only_represented) == ("rita", True)
    assert not (await who(address, rita)).only_represented
    # Nothing of its secret is kept.
    assert answer.secret.rpartition("_")[2] not in str(world.sql("SELECT * FROM ameide.delegated_token"))


async def test_by_itself_it_is_refused_at_every_other_method(world: World, address: str) -> None:
    rita = await token(world, "rita", PERSON, *ROLES)
    secret = await made(address, rita)
    refused: set[str] = set()
    async with httpx.AsyncClient(trust_env=False, headers={"authorization": f"Bearer {secret}"}) as client:
        for module in pkgutil.walk_packages(ameide_core_proto.__path__, "ameide_core_proto."):
            for service in importlib.import_module(module.name).desc().services if "service_pb" in module.name else ():
                for method in service.methods:
                    path = f"/{service.type_name}/{method.name}"
                    answer = await client.post(f"{address}{path}", json={}, timeout=10)
                    # What is served elsewhere is not found.
                    if answer.status_code not in (200, 404):
                        assert answer.status_code == 403, path
                        assert "ONLY_REPRESENTED" in answer.text or "that it was made from" in answer.text, path
                        refused.add(method.name)
                    else:
                        assert answer.status_code == 404 or method.name == "WhoAmI", path
        put = await client.put(f"{address}/evidence/wrk-1/1/claim/log", content=b"x", timeout=10)
    assert (put.status_code, put.json()["reason"]) == (403, "ONLY_REPRESENTED")
    assert {
        "DecideConsent",
        "DecideGate",
        "AdmitPrincipal",
        "IssueToken",
        "DelegateToken",
        "GetChange",
        "OpenChange",
        "RequestWork",
    } <= refused


async def test_the_refusal_says_what_to_do(world: World, address: str) -> None:
    secret = await made(address, await token(world, "rita", PERSON, *ROLES))
    async with Clients(address, secret) as clients:
        with pytest.raises(PermissionDenied, match="the token that it was made from") as refused:
            await clients.access.delegate_token(pb.DelegateTokenRequest())
    assert (refused.value.reason, refused.value.field) == ("ONLY_REPRESENTED", "authorization")
    assert secret not in str(refused.value)


async def test_nobody_makes_one_for_another(world: World, address: str) -> None:
    agent, rita = await architect(world), await token(world, "rita", PERSON, *ROLES)
    for person in (rita, await made(address, rita)):
        async with Clients(address, agent, on_behalf_of=person) as clients:
            with pytest.raises(PermissionDenied) as refused:
                await clients.access.delegate_token(pb.DelegateTokenRequest())
            assert refused.value.reason == "NOT_FOR_OTHERS"
    for bearer in (
        await token(world, "machine", SERVICE, "viewer"),
        await token(world, "author", AGENT, "executor", only_executes=True),
    ):
        with pytest.raises(PermissionDenied) as refused:
            await made(address, bearer)
        assert refused.value.reason == "NOT_REPRESENTED"


async def test_it_carries_the_scopes_of_its_parent(world: World, address: str) -> None:
    agent, rita = await architect(world), await token(world, "rita", PERSON, *ROLES, scopes=("read",))
    secret = await made(address, rita)
    assert (await who(address, secret)).scopes == ["read"]
    assert (await who(address, agent, secret)).scopes == ["read"]
    async with Clients(address, agent, on_behalf_of=secret) as clients:
        with pytest.raises(PermissionDenied) as refused:
            await clients.governance.open_change(
                c.OpenChangeRequest(client_request_id=key(), repository_id="orders", title="t")
            )
        assert refused.value.reason == "SCOPE"


async def test_one_with_scopes_is_good_for_these_by_itself(world: World, address: str) -> None:
    rita = await token(world, "rita", PERSON, *ROLES)
    secret = await made(address, rita, "read", "propose")
    told = await who(address, secret)
    assert (told.scopes, told.only_represented) == (["propose", "read"], False)
    async with Clients(address, secret) as clients:
        command = c.OpenChangeRequest(client_request_id=key(), repository_id="orders", title="t")
        assert (await clients.governance.open_change(command)).change is not None
        with pytest.raises(PermissionDenied):
            await clients.access.list_tokens(pb.ListTokensRequest())
        with pytest.raises(PermissionDenied) as refused:
            await clients.access.delegate_token(pb.DelegateTokenRequest())
        assert refused.value.reason == "DELEGATED"
    reads = await token(world, "vera", PERSON, "viewer", scopes=("read",))
    assert (await who(address, await made(address, reads, "read", "propose"))).scopes == ["read"]
    with pytest.raises(PermissionDenied, match="scopes are read"):
        await made(address, reads, "propose")


async def test_it_ends_at_once_with_the_token_that_it_was_made_from(world: World, address: str) -> None:
    agent, rita = await architect(world), await token(world, "rita", PERSON, *ROLES)
    secret = await made(address, rita)
    await who(address, agent, secret)
    async with Clients(address, await token(world, "olga", PERSON, "admin")) as clients:
        await clients.access.revoke_token(pb.RevokeTokenRequest(token_id=rita.split("_")[2]))
    with pytest.raises(Unauthenticated) as refused:
        await who(address, agent, secret)
    assert refused.value.field == "ameide-on-behalf-of"
    for bearer in (secret, rita):
        with pytest.raises(Unauthenticated):
            await who(address, bearer)
    with pytest.raises(Unauthenticated):
        await made(address, rita)


async def test_it_ends_with_its_time_and_never_after_its_parent(world: World, address: str) -> None:
    agent, rita = await architect(world), await token(world, "rita", PERSON, *ROLES, expires_in_seconds=60)
    async with Clients(address, rita) as clients:
        short = await clients.access.delegate_token(pb.DelegateTokenRequest(expires_in_seconds=5))
        with pytest.raises(InvalidArgument, match="expires_in_seconds"):
            await clients.access.delegate_token(pb.DelegateTokenRequest(expires_in_seconds=3601))
        await clients.access.delegate_token(pb.DelegateTokenRequest())
    for most, count in (("5 seconds", 1), ("60 seconds", 2)):
        within = "SELECT count(*) AS n FROM ameide.delegated_token WHERE expires_at - now() <= %s::interval"
        assert world.sql(within, most) == [{"n": count}]
    world.sql("UPDATE ameide.delegated_token SET expires_at = now()")
    with pytest.raises(Unauthenticated) as refused:
        await who(address, agent, short.secret)
    assert refused.value.field == "ameide-on-behalf-of"


async def test_ended_ones_are_deleted_and_of_one_token_so_many_are_valid(world: World, address: str) -> None:
    agent, rita = await architect(world), await token(world, "rita", PERSON, *ROLES)
    bert = await token(world, "bert", PERSON, "viewer")
    await made(address, bert)
    world.sql("UPDATE ameide.delegated_token SET expires_at = now() - interval '1 minute'")
    first = await made(address, rita)
    assert world.sql("SELECT parent_id FROM ameide.delegated_token") == [{"parent_id": rita.split("_")[2]}]
    others = await made(address, bert)
    made_since = [await made(address, rita) for _ in range(MOST)]
    assert world.sql("SELECT count(*) AS n FROM ameide.delegated_token") == [{"n": MOST + 1}]
    with pytest.raises(Unauthenticated):
        await who(address, agent, first)
    for secret in (others, made_since[0], made_since[-1]):
        await who(address, agent, secret)


async def test_another_tenant_knows_nothing_of_it(world: World, address: str) -> None:
    agent = await architect(world)
    stranger = await token(world, "rita", PERSON, "viewer", tenant="acme")
    secret = await made(address, stranger)
    for person in (secret, secret.replace("_acme_", "_default_"), f"{secret[:-1]}x", secret.replace("dlg-", "tok-")):
        with pytest.raises(Unauthenticated) as refused:
            await who(address, agent, person)
        assert refused.value.field == "ameide-on-behalf-of"
        assert person not in str(refused.value)
    async with Clients(address, stranger) as clients:
        with pytest.raises(NotFound, match="no tenant default"):
            await clients.access.delegate_token(pb.DelegateTokenRequest(scope=Scope(tenant_id="default")))
