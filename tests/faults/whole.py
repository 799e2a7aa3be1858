"""All roles of the program on a test's database, and what a test says to them."""

from __future__ import annotations

import socket

from ameide.domain import access
from ameide.domain.commands import changes
from ameide.engine.engine import Running
from ameide_core_proto.transformation.governance.v1 import command_service_pb as governance
from ameide_core_proto.transformation.governance.v1.governance_pb import PrincipalKind, Run
from tests.domain_work.world import OPERATOR, World, key

EVERYTHING = ("domain", "relay", "sweeper", "ingress", "projector", "worker")


async def everything(world: World, engine: Running) -> dict[str, str]:
    """What a process with all roles must be told."""
    token = await access.bootstrap(world.service, "default", "process", PrincipalKind.SERVICE, ("process",), ())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return {
        "AMEIDE_ADDRESS": f"http://127.0.0.1:{port}",
        "AMEIDE_LISTEN_PORT": str(port),
        "AMEIDE_PROCESS_TOKEN": token,
        "TEMPORAL_ADDRESS": engine.temporal_address,
        "TEMPORAL_NAMESPACE": engine.namespace,
    }


async def cancel(world: World, run: Run) -> None:
    """Cancel the run's change."""
    await world.service.execute(
        OPERATOR,
        "CancelChange",
        governance.CancelChangeRequest(client_request_id=key(), change_id=run.change_id, reason="seen enough"),
        governance.CancelChangeResponse,
        changes.cancel_change,
    )
