"""RequestWork of an ANALYZE: by who may ask, without a run, with nothing to write to."""

from __future__ import annotations

import pytest

from ameide.contracts import topics
from ameide.domain.commands import changes
from ameide.errors import InvalidArgument, PermissionDenied
from ameide_core_proto.transformation.governance.v1 import command_service_pb as governance
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, RunStatus
from ameide_core_proto.transformation.work.v1 import command_service_pb as pb
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    GatePass,
    WorkInputs,
    WorkKind,
    WorkRequest,
    WorkStatus,
)
from tests.domain_work.world import HEAD, MAIN, PROCESS, World, caller, code, key, success

REQUESTER = caller("rita", "requester")


def analysis(kind: WorkKind = WorkKind.AGENT_WORK, change: Change | None = None) -> pb.RequestWorkRequest:
    return pb.RequestWorkRequest(
        client_request_id=key(),
        change_id=change.change_id if change else "",
        work_kind=kind,
        action_kind=ActionKind.ANALYZE,
        repository_id="orders",
        commit_sha=HEAD,
        inputs=WorkInputs(question="Where are orders kept?"),
    )


@pytest.mark.parametrize(
    ("kind", "queue"), [(WorkKind.AGENT_WORK, topics.QUEUE_ANALYST), (WorkKind.TOOL_RUN, topics.QUEUE_VERIFY)]
)
async def test_a_requester_asks_for_one_without_a_run_and_without_a_change(
    world: World, kind: WorkKind, queue: str
) -> None:
    await world.register()
    answer = await world.request(analysis(kind), REQUESTER)
    assert answer.work is not None
    assert (answer.work.queue, answer.work.process_instance_id, answer.work.change_id) == (queue, "", "")
    assert answer.work.inputs is not None
    assert answer.work.inputs.question == "Where are orders kept?"
    with pytest.raises(PermissionDenied):
        await world.request(analysis(kind), caller("vera", "viewer"))
    claimed = await world.run(answer.work, "analyst")
    with pytest.raises(InvalidArgument, match="the work was about"):
        await world.outcome(claimed, success(claimed, commit_sha=MAIN))
    ended = await world.outcome(claimed, success(claimed, commit_sha=HEAD))
    assert ended.work is not None
    assert ended.work.status == WorkStatus.SUCCEEDED


async def test_it_has_a_question_and_nothing_to_write_to(world: World) -> None:
    await world.register()
    wrong = {name: analysis() for name in ("inputs.question", "inputs.branch", "gate_pass")}
    wrong["inputs.question"].inputs = WorkInputs(question="  ")
    wrong["inputs.branch"].inputs = WorkInputs(question="Where?", branch="agent/notes")
    wrong["gate_pass"].gate_pass = GatePass(gate_id="gat-1", subject_hash="0" * 64)
    for field, command in wrong.items():
        with pytest.raises(InvalidArgument) as refused:
            await world.request(command, REQUESTER)
        assert refused.value.field == field
    plain = analysis(WorkKind.TOOL_RUN)
    plain.inputs = None
    assert (await world.request(plain, REQUESTER)).work is not None, "a tool run reports on all of it"


async def test_it_outlives_a_run_of_its_change_that_it_does_not_belong_to(world: World) -> None:
    run = await world.open_run()
    own = await world.requested(code(run))
    asked = analysis()
    asked.change_id = run.change_id
    other = (await world.request(asked, REQUESTER)).work
    assert other is not None
    await world.service.execute(
        PROCESS,
        "CloseRun",
        governance.CloseRunRequest(
            client_request_id=key(),
            process_instance_id=run.process_instance_id,
            status=RunStatus.FAILED,
            outcome="failed",
        ),
        governance.CloseRunResponse,
        changes.close_run,
    )
    rows = world.sql("SELECT state FROM ameide.work")
    works = [WorkRequest.from_binary(row["state"]) for row in rows if isinstance(row["state"], bytes)]
    status = {work.work_request_id: work.status for work in works}
    assert status == {own.work_request_id: WorkStatus.CANCELED, other.work_request_id: WorkStatus.REQUESTED}
