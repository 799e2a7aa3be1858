"""A change that the queries tell of: the first iteration red, the second green, accepted by a person."""

from __future__ import annotations

from dataclasses import dataclass

from protobuf import Oneof

from ameide_core_proto.process.transformation.v1 import facts_pb as process
from ameide_core_proto.process.transformation.v1.facts_pb import ActivityTransition, Phase, TransformationProcessFact
from ameide_core_proto.transformation.governance.v1.governance_pb import Gate, Run
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.work.v1.command_service_pb import RecordWorkOutcomeRequest
from ameide_core_proto.transformation.work.v1.work_pb import (
    CheckResult,
    CheckStatus,
    FailureCode,
    Finding,
    FindingClass,
    WorkRequest,
)
from tests.domain_work.gates import approve, open_gate
from tests.domain_work.world import CANDIDATE, DIFF, HEAD, World, code, failure, success, verify
from tests.views.readers import Readers

TEST = "tests/test_orders.py::test_cancel"
OTHER = "tests/test_orders.py::test_create"


@dataclass(frozen=True)
class Story:
    """What happened, and who can read about it."""

    readers: Readers
    run: Run
    coded: list[WorkRequest]
    verified: list[WorkRequest]
    requirement: Gate
    acceptance: Gate

    @property
    def change_id(self) -> str:
        """The change of the story."""
        return self.run.change_id


def entered(seq: int, phase: Phase) -> TransformationProcessFact:
    """The process enters a phase."""
    return TransformationProcessFact(seq=seq, fact=Oneof("phase_entered", process.PhaseEntered(phase=phase)))


def checked(
    command: RecordWorkOutcomeRequest, work: WorkRequest, checks: dict[str, CheckStatus]
) -> RecordWorkOutcomeRequest:
    """The outcome with the results of its checks."""
    assert command.evidence is not None
    assert command.result is not None
    command.evidence.evidence_bundle_id = f"evd-{work.work_request_id.removeprefix('wrk-')}"
    command.evidence.check_results = [CheckResult(id=id, status=status) for id, status in checks.items()]
    command.result.evidence_bundle_id = command.evidence.evidence_bundle_id
    command.result.findings = [
        Finding(class_=FindingClass.TEST_FAILURE, id=id, what_failed="assert 404 == 200")
        for id, status in checks.items()
        if status == CheckStatus.FAILED
    ]
    return command


async def _code(world: World, run: Run, iteration: int, commit: str) -> WorkRequest:
    command = code(run)
    assert command.inputs is not None
    command.inputs.iteration = iteration
    work = await world.requested(command)
    await world.relayed()
    claimed = await world.run(work, "author")
    await world.outcome(claimed, checked(success(claimed, commit_sha=commit, diff_hash=DIFF), work, {}))
    return work


async def _verify(world: World, run: Run, commit: str, checks: dict[str, CheckStatus]) -> WorkRequest:
    work = await world.requested(verify(run, commit))
    await world.relayed()
    claimed = await world.run(work, "verifier")
    await world.heartbeat(claimed)
    red = CheckStatus.FAILED in checks.values()
    command = failure(claimed, FailureCode.VERIFICATION_FAILED) if red else success(claimed, commit_sha=commit)
    await world.outcome(claimed, checked(command, work, checks))
    return work


async def told(readers: Readers) -> Story:
    """Let it happen, and have it projected."""
    world = readers.world
    run = await world.open_run()
    began = process.ProcessInstanceStarted(workflow_type="r2r.governance.v1")
    await readers.say(
        run,
        TransformationProcessFact(seq=1, fact=Oneof("process_instance_started", began)),
        entered(2, Phase.AWAITING_APPROVAL),
    )
    requirement = await open_gate_on_requirement(world, run)
    await approve(world, requirement)
    await readers.say(run, entered(3, Phase.EXECUTION))
    coded = [await _code(world, run, 1, HEAD)]
    verified = [await _verify(world, run, HEAD, {TEST: CheckStatus.FAILED, OTHER: CheckStatus.PASSED})]
    failed = process.ActivityTransitioned(
        activity="verify",
        iteration=1,
        transition=ActivityTransition.FAILED,
        work_request_id=verified[0].work_request_id,
        reason="VERIFICATION_FAILED",
    )
    await readers.say(run, TransformationProcessFact(seq=4, fact=Oneof("activity_transitioned", failed)))
    coded.append(await _code(world, run, 2, CANDIDATE))
    verified.append(await _verify(world, run, CANDIDATE, {TEST: CheckStatus.PASSED, OTHER: CheckStatus.PASSED}))
    acceptance = await open_gate(world, run, GateKind.ACCEPTANCE, commit_sha=CANDIDATE, diff_hash=DIFF)
    awaiting = process.Awaiting(what="gate", ref=acceptance.gate_id)
    await readers.say(
        run,
        entered(5, Phase.ACCEPTANCE),
        TransformationProcessFact(seq=6, fact=Oneof("awaiting", awaiting)),
    )
    await readers.caught_up()
    return Story(readers, run, coded, verified, requirement, acceptance)


async def open_gate_on_requirement(world: World, run: Run) -> Gate:
    """The gate that binds the run's requirement."""
    assert run.input is not None
    assert run.input.requirement is not None
    assert run.input.requirement.current is not None
    artifact = run.input.requirement
    return await open_gate(
        world,
        run,
        GateKind.REQUIREMENT_STABILIZED,
        artifact_id=artifact.artifact_id,
        artifact_number=run.input.requirement.current.number,
        content_hash=run.input.requirement.current.content_hash,
    )
