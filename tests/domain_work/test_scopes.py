"""Tokens with scopes: what each admits, seen at the door with tokens that the Domain issued."""

import asyncio
import importlib
import pkgutil
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import uvicorn

import ameide_core_proto
from ameide.domain import access
from ameide.domain.commands.governance import GovernanceCommands
from ameide.domain.commands.knowledge import KnowledgeCommands
from ameide.domain.server import Server
from ameide.domain.tokens import KnownTokens
from ameide.domain.unit import Unit
from ameide.errors import InvalidArgument, PermissionDenied
from ameide.rpc import scopes
from ameide.rpc.clients import Clients
from ameide.rpc.interceptors import Door
from ameide.rpc.probes import Probes
from ameide_core_proto.agent.transformation.v1.architect_service_pb import ConverseRequest
from ameide_core_proto.transformation.governance.v1 import access_service_pb as pb
from ameide_core_proto.transformation.governance.v1 import command_service_pb as c
from ameide_core_proto.transformation.governance.v1.access_service_connect import AccessServiceASGIApplication
from ameide_core_proto.transformation.governance.v1.command_service_connect import (
    GovernanceCommandServiceASGIApplication,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import PrincipalKind
from ameide_core_proto.transformation.knowledge.v1 import command_service_pb as k
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactContent, ArtifactKind
from ameide_core_proto.transformation.knowledge.v1.command_service_connect import (
    KnowledgeCommandServiceASGIApplication,
)
from tests.domain_work.world import World, caller

ROLES = ["viewer", "requester", "approver", "executor", "operator", "admin"]


def methods() -> Iterator[tuple[str, str]]:
    """Every service of ours with each of its methods."""
    for module in pkgutil.walk_packages(ameide_core_proto.__path__, "ameide_core_proto."):
        if module.name.endswith("service_pb"):
            for service in importlib.import_module(module.name).desc().services:
                for method in service.methods:
                    yield service.type_name, method.name


def test_what_the_scopes_admit_is_known_of_every_method() -> None:
    admitted: dict[str, set[str]] = {"read": set(), "propose": set(), "": set()}
    for service, method in methods():
        admitted[scopes.scope_of(service, method, object())].add(f"{service.rpartition('.')[2]}/{method}")
    assert admitted["propose"] == {
        "GovernanceCommandService/OpenChange",
        "KnowledgeCommandService/ProposeArtifact",
        "KnowledgeCommandService/ReviseArtifact",
        "KnowledgeCommandService/SubmitArtifact",
    }
    assert {name for name in admitted["read"] if "QueryService/" not in name} == {
        "ArchitectService/GetTranscript",
        "ArchitectService/GetArchitect",
        "ConversationCommandService/OpenConversation",
        "ConversationCommandService/RecordConversationProgress",
    }
    assert {"GovernanceQueryService/GetChange", "WorkQueryService/GetWork"} <= admitted["read"]
    for name in ("GovernanceCommandService/DecideGate", "ConversationCommandService/DecideConsent"):
        assert name in admitted[""]
    assert {"AccessService/IssueToken", "WorkCommandService/RequestWork", "ArchitectService/Converse"} <= admitted[""]


def test_a_turn_that_only_answers_is_read_and_another_is_beyond_all_scopes() -> None:
    converse = ("ameide_core_proto.agent.transformation.v1.ArchitectService", "Converse")
    assert converse in set(methods())
    scopes.need({"read"}, *converse, ConverseRequest(read_only=True))
    with pytest.raises(PermissionDenied, match="Use a token without scopes"):
        scopes.need({"read", "propose"}, *converse, ConverseRequest())


@pytest.fixture
async def address(world: World) -> AsyncIterator[str]:
    """The doors for governance, artifacts and tokens, which know the Domain's own tokens."""
    tokens = KnownTokens(world.app)
    door = (Door(tokens.authenticate),)
    services = [
        GovernanceCommandServiceASGIApplication(GovernanceCommands(world.service), interceptors=door),
        KnowledgeCommandServiceASGIApplication(KnowledgeCommands(world.service), interceptors=door),
        AccessServiceASGIApplication(access.Access(world.service, tokens.forget), interceptors=door),
    ]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(Server(services, Probes()), log_config=None, lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        await serving


async def issued(world: World, *admitted: str, **others: Any) -> str:
    """A token with these scopes, of one who has about all roles."""
    await access.bootstrap(world.service, "default", "codex", PrincipalKind.AGENT, ROLES, [])

    async def handler(unit: Unit) -> pb.IssueTokenResponse:
        return await access.issue_token(
            unit, pb.IssueTokenRequest(principal_id="codex", scopes=list(admitted), **others)
        )

    return (await world.service.perform(caller("olga", "admin"), "IssueToken", None, handler)).secret


async def test_a_token_that_reads_proposes_nothing_and_says_why(world: World, address: str) -> None:
    async with Clients(address, await issued(world, "read")) as clients:
        who = await clients.access.who_am_i(pb.WhoAmIRequest())
        assert (who.scopes, who.roles) == (["read"], ["admin", "approver", "operator", "requester", "viewer"])
        with pytest.raises(PermissionDenied, match="--scope propose") as refused:
            await clients.governance.open_change(
                c.OpenChangeRequest(client_request_id="k", repository_id="orders", title="t")
            )
        assert refused.value.reason == scopes.REASON
        assert world.sql("SELECT 1 FROM ameide.aggregate WHERE kind = 'change'") == []


async def test_a_token_that_proposes_does_that_and_nothing_else_that_its_principal_may(
    world: World, address: str
) -> None:
    await world.register()
    async with Clients(address, await issued(world, "propose")) as clients:
        change = (
            await clients.governance.open_change(
                c.OpenChangeRequest(client_request_id="k", repository_id="orders", title="t")
            )
        ).change
        assert change is not None
        artifact = (
            await clients.knowledge.propose_artifact(
                k.ProposeArtifactRequest(
                    client_request_id="k2",
                    change_id=change.change_id,
                    kind=ArtifactKind.REQUIREMENT,
                    content=ArtifactContent(title="t", text="x", acceptance_criteria=["c"]),
                )
            )
        ).artifact
        assert artifact is not None
        await clients.knowledge.submit_artifact(
            k.SubmitArtifactRequest(client_request_id="k3", artifact_id=artifact.artifact_id, expected_number=1)
        )
        with pytest.raises(PermissionDenied, match="Use a token without scopes"):
            await clients.governance.cancel_change(
                c.CancelChangeRequest(client_request_id="k4", change_id=change.change_id, reason="r")
            )
        with pytest.raises(PermissionDenied):
            await clients.access.issue_token(pb.IssueTokenRequest(principal_id="codex"))


async def test_a_token_with_scopes_serves_no_queue(world: World) -> None:
    with pytest.raises(InvalidArgument, match="scopes"):
        await issued(world, "read", only_executes=True)


async def test_an_unlimited_token_has_no_scopes(world: World, address: str) -> None:
    async with Clients(address, await issued(world)) as clients:
        assert (await clients.access.who_am_i(pb.WhoAmIRequest())).scopes == []
        assert [t.scopes for t in (await clients.access.list_tokens(pb.ListTokensRequest())).tokens] == [[], []]
