"""Who may say where a repository lies: executors and the agent go to that address with the credential that it names."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ameide.errors import InvalidArgument, PermissionDenied
from ameide.rpc.clients import Clients
from ameide_core_proto.transformation.governance.v1.command_service_pb import RegisterRepositoryRequest
from tests.domain.doors import AGENT, PERSON, served, token
from tests.domain_work.world import World, key

OTHERS = ("viewer", "requester", "approver", "releaser", "executor", "process")


@pytest.fixture
async def address(world: World) -> AsyncIterator[str]:
    """A Domain."""
    async with served(world) as address:
        yield address


def registering(name: str, url: str = "https://git.example/orders.git") -> RegisterRepositoryRequest:
    """A repository at that address."""
    return RegisterRepositoryRequest(client_request_id=key(), name=name, url=url, default_branch="main")


async def test_an_operator_or_an_admin_registers_and_nobody_else(world: World, address: str) -> None:
    for role in OTHERS:
        async with Clients(address, await token(world, f"with-{role}", PERSON, role)) as one:
            with pytest.raises(PermissionDenied, match="none of the roles"):
                await one.governance.register_repository(registering("orders"))
    async with Clients(address, await token(world, "ada", PERSON, "admin")) as ada:
        assert (await ada.governance.register_repository(registering("payments"))).repository
    operator = await token(world, "olga", PERSON, "viewer", "operator")
    agent = await token(world, "architect", AGENT, "viewer", "operator")
    async with Clients(address, operator) as olga, Clients(address, agent, on_behalf_of=operator) as for_olga:
        with pytest.raises(PermissionDenied) as refused:
            await for_olga.governance.register_repository(registering("orders"))
        assert refused.value.reason == "NOT_FOR_OTHERS"
        made = (await olga.governance.register_repository(registering("orders"))).repository
        assert made is not None
        assert made.url == "https://git.example/orders.git"
        for url in ("ext::sh -c true", "git://git.example/orders.git", "ftp://git.example/orders.git", "-u"):
            with pytest.raises(InvalidArgument) as wrong:
                await olga.governance.register_repository(registering("others", url))
            assert wrong.value.field == "url"
