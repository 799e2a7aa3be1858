"""The end of a run or a change takes back what is still open, and leaves alone what was decided or done."""

import pytest

from ameide.errors import Refused
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Change,
    ChangeStatus,
    Gate,
    GateStatus,
    GateVerdict,
    Run,
    RunStatus,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.work.v1.work_pb import WorkStatus
from tests.domain.saying import ANNA, cancel, close_run, decide, names, open_gate, start, started, statuses
from tests.domain_work import gates as opening
from tests.domain_work.world import HEAD, Claimed, World, code, verify


class Course:
    """A run with gates and works in every state."""

    def __init__(self, world: World, change: Change, run: Run) -> None:
        self.world, self.change, self.run = world, change, run
        self.gates: dict[GateStatus, str] = {}
        self.waiting, self.ended = "", ""
        self.running: Claimed | None = None

    async def goes_on(self) -> None:
        """A work has ended, one runs, one waits; an acceptance was rejected, another one waits."""
        done = await self.world.run(await self.world.requested(code(self.run)), "author")
        await self.world.succeed(done, commit_sha=HEAD)
        self.ended = done.work.work_request_id
        self.running = await self.world.run(await self.world.requested(verify(self.run)))
        self.waiting = (await self.world.requested(verify(self.run))).work_request_id
        rejected = await self.acceptance("1")
        await decide(self.world, rejected, ANNA, GateVerdict.REJECT, "Say why it is refused.")
        self.gates[GateStatus.REJECTED] = rejected.gate_id
        self.gates[GateStatus.OPEN] = (await self.acceptance("2")).gate_id

    async def acceptance(self, digit: str) -> Gate:
        """A gate on some patch."""
        return await opening.open_gate(self.world, self.run, GateKind.ACCEPTANCE, commit_sha=HEAD, diff_hash=digit * 64)

    def works(self) -> dict[str, str]:
        """Status of every work."""
        rows = self.world.sql("SELECT work_request_id, status FROM ameide.work")
        return {str(row["work_request_id"]): str(row["status"]) for row in rows}


@pytest.fixture
async def course(world: World) -> Course:
    """Approved requirement, two acceptances, three works."""
    await world.register()
    change, artifact, run = await started(world)
    made = Course(world, change, run)
    requirement = await open_gate(world, run, artifact)
    await decide(world, requirement, ANNA)
    made.gates[GateStatus.APPROVED] = requirement.gate_id
    await made.goes_on()
    return made


async def all_is_taken_back(course: Course) -> None:
    """What both ends have in common."""
    world = course.world
    assert course.running is not None
    assert statuses(world, "gate") == {
        course.gates[GateStatus.APPROVED]: "APPROVED",
        course.gates[GateStatus.REJECTED]: "REJECTED",
        course.gates[GateStatus.OPEN]: "VOIDED",
    }
    running = course.running.work.work_request_id
    assert course.works() == {course.ended: "succeeded", running: "started", course.waiting: "canceled"}
    assert world.stated(course.waiting) == ["WorkRequested", "WorkCanceled"]
    assert world.stated(running) == ["WorkRequested", "WorkStarted"]
    assert (await world.heartbeat(course.running)).cancel_requested
    assert (await world.release(course.running)).status == WorkStatus.CANCELED
    with pytest.raises(Refused):
        await world.requested(verify(course.run))


async def test_closing_a_run_takes_back_what_it_has_open(course: Course) -> None:
    closed = await close_run(course.world, course.run, RunStatus.FAILED, "failed")
    assert (closed.status, closed.outcome) == (RunStatus.FAILED, "failed")
    await all_is_taken_back(course)
    assert statuses(course.world, "change") == {course.change.change_id: ChangeStatus.OPEN.name}
    before = names(course.world)
    again = await close_run(course.world, course.run, RunStatus.COMPLETED, "delivered")
    assert again.outcome == "failed"
    assert names(course.world) == before


async def test_canceling_a_change_takes_back_what_its_run_has_open(course: Course) -> None:
    canceled = await cancel(course.world, course.change)
    assert (canceled.status, canceled.cancel_reason) == (ChangeStatus.CANCELED, "not wanted")
    assert names(course.world)[-4:] == ["ChangeCanceled", "RunCancelRequested", "GateVoided", "WorkCanceled"]
    assert statuses(course.world, "run") == {course.run.process_instance_id: RunStatus.OPEN.name}
    await all_is_taken_back(course)
    with pytest.raises(Refused) as refused:
        await cancel(course.world, course.change)
    assert refused.value.reason == "CHANGE_CANCELED"
    await close_run(course.world, course.run, RunStatus.CANCELED, "canceled")
    with pytest.raises(Refused) as refused:
        await start(course.world, course.change)
    assert refused.value.reason == "CHANGE_CANCELED"


async def test_a_delivered_run_closes_its_change(course: Course) -> None:
    await close_run(course.world, course.run, RunStatus.COMPLETED, "merged")
    assert statuses(course.world, "change") == {course.change.change_id: ChangeStatus.CLOSED.name}
    assert names(course.world)[-1] == "ChangeClosed"
