"""The Domain's door with real tokens, served for a test: commands, access and queries."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from connectrpc.server import ConnectASGIApplication

from ameide.domain import access
from ameide.domain.commands.conversations import ConversationCommands
from ameide.domain.commands.governance import GovernanceCommands
from ameide.domain.commands.knowledge import KnowledgeCommands
from ameide.domain.commands.uploads import Uploads
from ameide.domain.commands.work import WorkCommands
from ameide.domain.decisions.upload import Bounds
from ameide.domain.evidence_door import EvidenceDoor
from ameide.domain.server import Server
from ameide.domain.tokens import KnownTokens
from ameide.domain.unit import Unit
from ameide.events.archived import ArchivedLog
from ameide.infra.object_store import ObjectStore
from ameide.rpc.interceptors import Door
from ameide.rpc.probes import Probes
from ameide.views.server import GovernanceQueries
from ameide_core_proto.transformation.governance.v1 import access_service_pb as pb
from ameide_core_proto.transformation.governance.v1.access_service_connect import AccessServiceASGIApplication
from ameide_core_proto.transformation.governance.v1.command_service_connect import (
    GovernanceCommandServiceASGIApplication,
)
from ameide_core_proto.transformation.governance.v1.conversation_service_connect import (
    ConversationCommandServiceASGIApplication,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import PrincipalKind
from ameide_core_proto.transformation.governance.v1.query_service_connect import GovernanceQueryServiceASGIApplication
from ameide_core_proto.transformation.knowledge.v1.command_service_connect import KnowledgeCommandServiceASGIApplication
from ameide_core_proto.transformation.work.v1.command_service_connect import WorkCommandServiceASGIApplication
from tests.domain_work.world import World, caller

AGENT, PERSON, SERVICE = PrincipalKind.AGENT, PrincipalKind.PERSON, PrincipalKind.SERVICE


async def token(
    world: World,
    principal_id: str,
    kind: PrincipalKind,
    *roles: str,
    tenant: str = "default",
    expires_in_seconds: int = 0,
    only_executes: bool = False,
    scopes: tuple[str, ...] = (),
) -> str:
    """A token of a principal, who is admitted with these roles."""
    await access.bootstrap(world.service, tenant, principal_id, kind, roles, [])

    async def handler(unit: Unit) -> pb.IssueTokenResponse:
        request = pb.IssueTokenRequest(
            principal_id=principal_id,
            expires_in_seconds=expires_in_seconds,
            only_executes=only_executes,
            scopes=list(scopes),
        )
        return await access.issue_token(unit, request)

    admin = caller("olga", "admin", tenant=tenant)
    return (await world.service.perform(admin, "IssueToken", None, handler)).secret


@asynccontextmanager
async def served(world: World) -> AsyncGenerator[str]:
    """The address of the Domain's door, as an installation serves it."""
    tokens = KnownTokens(world.app)
    door = (Door(tokens.authenticate, for_others=True),)
    with tempfile.TemporaryDirectory() as folder:
        objects = ObjectStore(Path(folder).as_uri())
        archived = ArchivedLog(world.app, objects)
        services: list[ConnectASGIApplication[Any]] = [
            AccessServiceASGIApplication(access.Access(world.service, tokens.forget), interceptors=door),
            ConversationCommandServiceASGIApplication(ConversationCommands(world.service), interceptors=door),
            GovernanceCommandServiceASGIApplication(GovernanceCommands(world.service), interceptors=door),
            GovernanceQueryServiceASGIApplication(
                GovernanceQueries(world.app, world.wakeups, archived), interceptors=door
            ),
            KnowledgeCommandServiceASGIApplication(KnowledgeCommands(world.service), interceptors=door),
            WorkCommandServiceASGIApplication(WorkCommands(world.service, world.wakeups), interceptors=door),
        ]
        uploads = Uploads(world.service, Bounds(1000, 1000))
        server = Server(services, Probes(), EvidenceDoor(tokens.authenticate, uploads, objects))
        with socket.create_server(("127.0.0.1", 0)) as listening:
            program = uvicorn.Server(uvicorn.Config(server, log_config=None, lifespan="off"))
            serving = asyncio.create_task(program.serve(sockets=[listening]))
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            program.should_exit = True
            await serving
