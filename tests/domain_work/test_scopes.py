"""Tokens with scopes: what each admits, seen at the door with tokens that the Domain issued."""

import importlib
import pkgutil
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import ameide_core_proto
from ameide.errors import InvalidArgument, PermissionDenied
from ameide.rpc import scopes
from ameide.rpc.clients import Clients
from ameide_core_proto.agent.transformation.v1.architect_service_pb import ConverseRequest
from ameide_core_proto.transformation.governance.v1 import access_service_pb as pb
from ameide_core_proto.transformation.governance.v1 import command_service_pb as c
from ameide_core_proto.transformation.knowledge.v1 import command_service_pb as k
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactContent, ArtifactKind
from tests.domain.doors import AGENT, served, token
from tests.domain_work.world import World

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
    """The Domain's door."""
    async with served(world) as address:
        yield address


async def issued(world: World, *admitted: str, **others: Any) -> str:
    """A token with these scopes, of one who has about all roles."""
    return await token(world, "codex", AGENT, *ROLES, scopes=admitted, **others)


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
