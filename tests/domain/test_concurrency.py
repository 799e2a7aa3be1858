"""Commands at the same time: the change's lock gives them an order, and each order is a story that holds."""

from collections.abc import Awaitable

import pytest

from ameide_core_proto.transformation.governance.v1.governance_pb import Gate, GateStatus, Run
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact, ArtifactStatus
from tests.domain.meeting import errors, together
from tests.domain.saying import (
    ANNA,
    BERT,
    cancel,
    decide,
    names,
    open_change,
    open_gate,
    propose,
    revise,
    start,
    started,
    statuses,
    submit,
)
from tests.domain_work.world import World


async def test_of_starts_at_once_one_is_the_run(world: World) -> None:
    await world.register()
    change = await open_change(world)
    drafted = await propose(world, change)
    await submit(world, drafted.artifact_id, 1)
    answers = await together(world, change.change_id, *(start(world, change) for _ in range(4)))
    assert [error.reason for error in errors(answers)] == ["RUN_OPEN"] * 3
    [run] = [answer for answer in answers if isinstance(answer, Run)]
    assert statuses(world, "run") == {run.process_instance_id: "OPEN"}
    assert (run.number, names(world).count("RunRequested")) == (1, 1)


@pytest.mark.parametrize("revised_first", [True, False])
async def test_a_version_is_never_approved_after_its_revision(world: World, revised_first: bool) -> None:
    await world.register()
    change, artifact, run = await started(world)
    gate = await open_gate(world, run, artifact)
    both: list[Awaitable[Artifact | Gate]] = [revise(world, artifact.artifact_id, 1), decide(world, gate, ANNA)]
    answers = await together(world, change.change_id, *(both if revised_first else reversed(both)))
    stated = [name for name in names(world) if name in ("GateDecided", "ArtifactRevised", "GateVoided")]
    if revised_first:
        assert [error.reason for error in errors(answers)] == ["GATE_CLOSED"]
        assert stated == ["ArtifactRevised", "GateVoided"]
    else:
        assert errors(answers) == []
        assert stated == ["GateDecided", "ArtifactRevised", "GateVoided"]
    assert statuses(world, "gate") == {gate.gate_id: GateStatus.VOIDED.name}
    assert statuses(world, "artifact") == {artifact.artifact_id: ArtifactStatus.DRAFT.name}


async def test_of_two_revisions_of_one_version_one_counts(world: World) -> None:
    await world.register()
    change, artifact, _ = await started(world)
    answers = await together(world, change.change_id, *(revise(world, artifact.artifact_id, 1) for _ in range(2)))
    assert [error.reason for error in errors(answers)] == ["STALE_VERSION"]
    assert names(world).count("ArtifactRevised") == 1


async def test_of_two_last_voices_one_decides(world: World) -> None:
    await world.register()
    change, artifact, run = await started(world)
    gate = await open_gate(world, run, artifact)
    answers = await together(world, change.change_id, *(decide(world, gate, by) for by in (ANNA, BERT)))
    assert [error.reason for error in errors(answers)] == ["GATE_CLOSED"]
    [decided] = [answer for answer in answers if isinstance(answer, Gate)]
    assert len(decided.votes) == 1
    assert names(world).count("GateDecided") == 1


@pytest.mark.parametrize("canceled_first", [True, False])
async def test_a_decision_and_a_cancel_leave_no_gate_open(world: World, canceled_first: bool) -> None:
    await world.register()
    change, artifact, run = await started(world)
    gate = await open_gate(world, run, artifact)
    calls: list[Awaitable[object]] = [cancel(world, change), decide(world, gate, ANNA)]
    answers = await together(world, change.change_id, *(calls if canceled_first else reversed(calls)))
    if canceled_first:
        assert [error.reason for error in errors(answers)] == ["CHANGE_CANCELED"]
        assert statuses(world, "gate") == {gate.gate_id: GateStatus.VOIDED.name}
    else:
        assert errors(answers) == []
        assert statuses(world, "gate") == {gate.gate_id: GateStatus.APPROVED.name}
    assert statuses(world, "change") == {change.change_id: "CANCELED"}
