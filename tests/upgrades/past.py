"""What a database has seen before it is upgraded: something of every kind, finished and under way."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime

from ameide.contracts import topics
from ameide.contracts.ids import new_message_id
from ameide.domain.access import bootstrap
from ameide.events.messages import OutboxMessage
from ameide.events.outbox import append
from ameide_core_proto.transformation.governance.v1.governance_pb import PrincipalKind, Run, RunStatus
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.work.v1.command_service_pb import RequestWorkRequest
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    GatePass,
    Usage,
    WorkInputs,
    WorkKind,
    WorkRequest,
)
from tests.domain.saying import cancel, close_run
from tests.domain_work.gates import open_gate, passed
from tests.domain_work.world import CANDIDATE, DIFF, HEAD, MAIN, Claimed, World, caller
from tests.views.readers import Readers
from tests.views.story import told

# Under these the past is spoken to again.
OLD_TOKEN, OLD_SECRET = "tok-" + "0" * 32, "k" * 43
PARKED_KEY = "default:gat-unreadable"
RUNNING, CANCELING, WAITING, RELEASED, LOST, PENDING = (
    "running",
    "canceling",
    "waiting",
    "released",
    "lost once",
    "in the outbox",
)


def old_claim(name: str) -> str:
    """The claim_id under which the work of this name was claimed."""
    return uuid.uuid5(uuid.NAMESPACE_URL, name).hex


async def lived(readers: Readers) -> None:
    """Let all of it happen. Log and views are behind at the end, as in a program that was stopped under load."""
    world = readers.world
    run = (await told(readers)).run
    await _pushed(world, run)
    await _ended(world)
    await _parked(readers)
    await readers.caught_up()
    await _under_way(world, run)
    await _token(world)
    _seen(world)
    await world.relayed()
    # From here on nothing is in the log.
    await world.register("later")
    await world.requested(asked(PENDING, run.process_instance_id))


def asked(name: str, process_instance_id: str) -> RequestWorkRequest:
    """The request of one of these works, the same each time it is sent."""
    return RequestWorkRequest(
        client_request_id=f"before the upgrade: {name}",
        process_instance_id=process_instance_id,
        work_kind=WorkKind.TOOL_RUN,
        action_kind=ActionKind.VERIFY,
        repository_id="orders",
        commit_sha=HEAD,
    )


def pushing(process_instance_id: str, gate: GatePass) -> RequestWorkRequest:
    """The push of the accepted candidate."""
    return RequestWorkRequest(
        client_request_id=f"push/{gate.gate_id}",
        process_instance_id=process_instance_id,
        work_kind=WorkKind.TOOL_RUN,
        action_kind=ActionKind.MERGE,
        repository_id="orders",
        commit_sha=CANDIDATE,
        inputs=WorkInputs(push=True, candidate_sha=CANDIDATE, expected_main_sha=MAIN),
        gate_pass=gate,
    )


async def _pushed(world: World, run: Run) -> None:
    """An acceptance whose pass a push has used, and a gate that nobody has decided."""
    gate = await passed(world, run, GateKind.ACCEPTANCE, commit_sha=CANDIDATE, diff_hash=DIFF)
    await world.requested(pushing(run.process_instance_id, gate))
    await open_gate(world, run, GateKind.NEEDS_HUMAN, reason="stuck")


async def _ended(world: World) -> None:
    """Changes that are over, and another tenant."""
    await close_run(world, await world.start_run(await world.open_change()), RunStatus.COMPLETED, "merged")
    unwanted = await world.open_change()
    await world.start_run(unwanted)
    await cancel(world, unwanted)
    await world.register(tenant="other")


async def _parked(readers: Readers) -> None:
    """A message that cannot be read, and the next one of its key behind it."""
    now = datetime.now(UTC)
    common = (topics.GOVERNANCE_FACTS, "fact", PARKED_KEY)
    for version, payload in enumerate((b"\xff\xff", b"\xfa\x7d\x00"), 1):
        message = OutboxMessage(
            "default",
            *common,
            new_message_id(),
            "GateOpened",
            "gate",
            PARKED_KEY,
            version,
            "",
            "",
            "",
            "",
            now,
            payload,
        )
        async with readers.world.app.transaction("default") as tx:
            append(tx, [message])


async def _under_way(world: World, run: Run) -> None:
    """Works in every state in which one can be found."""
    works = {
        name: await world.requested(asked(name, run.process_instance_id))
        for name in (RUNNING, CANCELING, WAITING, RELEASED, LOST, "canceled", "failed")
    }
    await world.heartbeat(await _claimed(world, works, RUNNING), Usage(input_tokens=7, output_tokens=5), "so far")
    await world.cancel((await _claimed(world, works, CANCELING)).work.work_request_id)
    await world.release(await _claimed(world, works, RELEASED))
    await _claimed(world, works, LOST)
    world.expire_lease(works[LOST].work_request_id)
    assert await world.sweeper.sweep() == 1
    await world.cancel(works["canceled"].work_request_id)
    await world.fail(await _claimed(world, works, "failed"))


async def _claimed(world: World, works: dict[str, WorkRequest], name: str) -> Claimed:
    work, claim_id = works[name], old_claim(name)
    by = caller("verifier", "executor", queues=(work.queue,))
    answer = await world.claim(work.work_request_id, by, claim_id)
    assert answer.work is not None
    return Claimed(answer.work, answer.attempt, claim_id, by)


def _seen(world: World) -> None:
    """Who was at work."""
    world.sql("INSERT INTO ameide.role_seen (role, seen_at) VALUES ('relay', now())")
    world.sql(
        "INSERT INTO ameide.queue_served (tenant_id, queue, principal_id, seen_at, served_until)"
        " VALUES ('default', %s, 'verifier', now(), now())",
        topics.QUEUE_VERIFY,
    )


async def _token(world: World) -> None:
    """A principal whose token's secret is known."""
    await bootstrap(world.service, "default", "verifier", PrincipalKind.SERVICE, ["executor"], [topics.QUEUE_VERIFY])
    digest = hashlib.sha256(OLD_SECRET.encode()).digest()
    world.sql("UPDATE ameide.api_token SET token_id = %s, secret_sha256 = %s", OLD_TOKEN, digest)
