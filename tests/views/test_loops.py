"""Relay and projector as they run in the control process, while their connections are ended under them."""

import asyncio

from ameide.errors import Unreachable
from ameide_core_proto.transformation.governance.v1.query_service_pb import ListRepositoriesRequest
from tests.views.readers import Readers

ROUNDS = 6


def _end_connections(readers: Readers, role: str) -> None:
    readers.world.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s AND datname = current_database()",
        role,
    )


async def _registered(readers: Readers, name: str) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                return await readers.world.register(name)
            except Unreachable:
                continue


async def test_everything_arrives_once_whatever_connections_end(readers: Readers):
    loops = [asyncio.create_task(readers.world.relay.run()), asyncio.create_task(readers.projector.run())]
    for number in range(ROUNDS):
        await _registered(readers, f"repo-{number}")
        _end_connections(readers, ("ameide_relay", "ameide_projector")[number % 2])
    await _registered(readers, "last")
    client = await readers.reader()
    async with asyncio.timeout(60):
        while True:
            answer = await client.queries.list_repositories(ListRepositoriesRequest(min_position=2 * (ROUNDS + 1)))
            if len(answer.repositories) == ROUNDS + 1:
                break
    assert answer.read_context is not None
    assert answer.read_context.log_position == 2 * (ROUNDS + 1)
    assert not any(loop.done() for loop in loops)
    for loop in loops:
        loop.cancel()
    await asyncio.wait(loops)
    positions = [row["position"] for row in readers.world.sql("SELECT position FROM ameide.log ORDER BY position")]
    assert positions == list(range(1, 2 * (ROUNDS + 1) + 1))
    projected = [row["position"] for row in readers.world.sql("SELECT position FROM ameide.view_fact ORDER BY 1")]
    assert projected == positions
