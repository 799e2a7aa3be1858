"""The steps that gates guard, and what must have happened before them."""

from __future__ import annotations

from ameide.domain.commands import delivery
from ameide_core_proto.transformation.governance.v1.command_service_pb import (
    RecordReleaseRequest,
    RecordReleaseResponse,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import Release, Run
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.work.v1.command_service_pb import RequestWorkRequest
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, GatePass, WorkInputs, WorkKind, WorkRequest
from tests.domain_work.gates import passed
from tests.domain_work.world import CANDIDATE, DIFF, HEAD, MAIN, PROCESS, World, code, key, verify

DIGEST = "sha256:" + "9" * 64
IMAGE = f"orders@{DIGEST}"


def step(run: Run, action: ActionKind, gate: GatePass | None, commit: str, inputs: WorkInputs) -> RequestWorkRequest:
    """The request of a step that may carry a pass."""
    return RequestWorkRequest(
        client_request_id=key(),
        process_instance_id=run.process_instance_id,
        work_kind=WorkKind.TOOL_RUN,
        action_kind=action,
        repository_id="orders",
        commit_sha=commit,
        inputs=inputs,
        gate_pass=gate,
    )


def push(run: Run, gate: GatePass | None, candidate: str = CANDIDATE) -> RequestWorkRequest:
    """The push of a candidate to the main branch."""
    inputs = WorkInputs(push=True, candidate_sha=candidate, expected_main_sha=MAIN)
    return step(run, ActionKind.MERGE, gate, candidate, inputs)


async def done(world: World, command: RequestWorkRequest, by: str = "verifier", **outputs: str) -> WorkRequest:
    """A work that was requested, run and succeeded."""
    work = await world.requested(command)
    await world.succeed(await world.run(work, by), **outputs)
    return work


async def accepted(world: World) -> tuple[Run, GatePass]:
    """A run whose code was written, verified as a candidate and accepted."""
    run = await world.open_run()
    await done(world, code(run), "author", commit_sha=HEAD)
    await done(world, verify(run, CANDIDATE), diff_hash=DIFF)
    return run, await passed(world, run, GateKind.ACCEPTANCE, commit_sha=HEAD, diff_hash=DIFF)


async def released(world: World, run: Run, published: WorkRequest) -> Release:
    """The release that a publish work made."""
    command = RecordReleaseRequest(
        client_request_id=key(),
        process_instance_id=run.process_instance_id,
        component="orders",
        image_ref=IMAGE,
        commit_sha=CANDIDATE,
        build_work_request_id=published.work_request_id,
    )
    answer = await world.service.execute(
        PROCESS, "RecordRelease", command, RecordReleaseResponse, delivery.record_release
    )
    assert answer.release is not None
    return answer.release
