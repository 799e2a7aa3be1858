"""Loads that need more than the door: a process is stopped, a workflow ended, a message spoilt and mended."""

from __future__ import annotations

import signal
from collections.abc import Callable

from ameide.app import upkeep
from ameide.process.temporal import connect
from tests.faults.rig import loads
from tests.faults.rig.client import RigClient
from tests.faults.rig.installation import PATIENCE
from tests.faults.rig.patience import pause, until
from tests.faults.rig.policies import PLAIN
from tests.faults.rig.steps import SLOW

_SPOILT = b"\xff\xff\xff"
# A field that nobody knows (1999, with this length): more than a topic of ours takes.
_LARGE = 1_200_000
_FIELD = bytes([0xFA, 0x7C, 0x80, 0x9F, 0x49]) + bytes(_LARGE)


async def released_by_its_executor(client: RigClient) -> None:
    """A work whose executor is asked to stop in the middle of it."""
    executor = client.rig.members["verifier"]
    work = await loads.request(client, summary=f"{SLOW}5")
    await until(
        lambda: any(done.work_request_id == work.work_request_id for done in client.rig.folder.effects_done()),
        "the work to begin",
        PATIENCE,
    )
    executor.send(signal.SIGTERM)
    await executor.ended.wait()


async def ended_in_temporal(client: RigClient) -> None:
    """A run whose workflow somebody terminates, and whose change is canceled then: the run is closed all the same."""
    change_id = await loads.until_coding(client)
    settings = client.rig.settings
    temporal = await connect(settings.temporal_address, settings.temporal_namespace)
    await temporal.get_workflow_handle(f"r2r/{settings.tenant}/{change_id}/1").terminate("by hand")
    await loads.cancel_change(client, change_id)


async def parked(client: RigClient) -> None:
    """A fact of a run that nobody can read, until an operator mends it and has it delivered again."""
    await _spoil(client, lambda _: _SPOILT, ("ingress", "projector"))


async def refused_by_the_broker(client: RigClient) -> None:
    """A fact of a run that is larger than what Kafka takes, until an operator makes it smaller."""
    await _spoil(client, lambda payload: payload + _FIELD, ("forwarder",))


async def moved(client: RigClient) -> None:
    """A work that waits in a queue whose carrier changes; it is canceled in the end."""
    work = await loads.request(client, suite="ui")
    await client.rig.sql(
        "INSERT INTO ameide.carriage VALUES (%s, false, false) ON CONFLICT (topic) DO UPDATE SET announced = false",
        work.queue,
    )
    while await client.rig.sql("SELECT topic FROM ameide.carriage WHERE NOT announced"):
        await pause()
    await loads.cancel_work(client, work)


async def _spoil(client: RigClient, spoil: Callable[[bytes], bytes], consumers: tuple[str, ...]) -> None:
    sql = client.rig.sql
    relay = client.rig.members["relay"]
    relay.send(signal.SIGSTOP)
    try:
        change_id = await loads.start_run(client, PLAIN)
        [(message_id, payload)] = await sql(
            "SELECT message_id, payload FROM ameide.outbox WHERE name = 'RunRequested' AND correlation_id = %s",
            change_id,
        )
        await sql("UPDATE ameide.outbox SET payload = %s WHERE message_id = %s", spoil(payload), message_id)
    finally:
        relay.send(signal.SIGCONT)
    find = "SELECT consumer, key FROM ameide.parked WHERE message_id = %s ORDER BY consumer"
    while len(waiting := await sql(find, message_id)) < len(consumers):
        await pause()
    await sql("UPDATE ameide.log SET payload = %s WHERE message_id = %s", payload, message_id)
    await sql("UPDATE ameide.parked SET payload = %s WHERE message_id = %s", payload, message_id)
    for consumer, key in waiting:
        await upkeep.redrive(client.rig.settings, str(consumer), str(key))
