"""Who a token stands for is remembered for a moment, and forgotten when it may say less."""

import pytest

from ameide.contracts import topics
from ameide.domain import access
from ameide.domain.tokens import KnownTokens
from ameide.domain.unit import Unit
from ameide.errors import Unauthenticated
from ameide_core_proto.transformation.governance.v1 import access_service_pb as pb
from ameide_core_proto.transformation.governance.v1.governance_pb import PrincipalKind
from tests.domain_work.world import World, caller


async def issue(
    world: World, expires_in_seconds: int = 0, roles: tuple[str, ...] = ("executor",), *, only_executes: bool = False
) -> str:
    """A token of an executor."""
    await access.bootstrap(world.service, "default", "verifier", PrincipalKind.SERVICE, roles, [])

    async def handler(unit: Unit) -> pb.IssueTokenResponse:
        request = pb.IssueTokenRequest(
            principal_id="verifier",
            expires_in_seconds=expires_in_seconds,
            queues=[topics.QUEUE_VERIFY],
            only_executes=only_executes,
        )
        return await access.issue_token(unit, request)

    return (await world.service.perform(caller("olga", "admin"), "IssueToken", None, handler)).secret


async def test_a_revoked_token_is_refused_once_it_is_forgotten(world: World) -> None:
    tokens = KnownTokens(world.app)
    token = await issue(world)
    assert (await tokens.authenticate(token)).principal_id == "verifier"
    world.sql("UPDATE ameide.api_token SET revoked_at = now()")
    assert (await tokens.authenticate(token)).principal_id == "verifier"
    tokens.forget()
    with pytest.raises(Unauthenticated):
        await tokens.authenticate(token)


async def test_a_token_is_not_remembered_beyond_its_time(world: World) -> None:
    tokens = KnownTokens(world.app, seconds=0.0)
    token = await issue(world, expires_in_seconds=60)
    await tokens.authenticate(token)
    world.sql("UPDATE ameide.api_token SET expires_at = now()")
    with pytest.raises(Unauthenticated):
        await tokens.authenticate(token)


async def test_a_token_for_executors_outside_has_no_other_role_of_its_principal(world: World) -> None:
    tokens = KnownTokens(world.app)
    whole = await tokens.authenticate(await issue(world, roles=("executor", "operator", "admin")))
    assert whole.roles == {"executor", "operator", "admin"}
    assert not whole.only_executes
    outside = await tokens.authenticate(await issue(world, roles=("executor", "operator"), only_executes=True))
    assert outside.roles == {"executor"}
    assert outside.queues == {topics.QUEUE_VERIFY}
    assert outside.only_executes
    idle = await tokens.authenticate(await issue(world, roles=("admin",), only_executes=True))
    assert idle.roles == set()
