"""Handlers of repositories, policies, changes and runs."""

from __future__ import annotations

from ameide.contracts.ids import new_id, process_instance_id
from ameide.domain.commands import attaching, queues, work_rows
from ameide.domain.commands.work_requests import cancel_open_work
from ameide.domain.decisions import change as changes
from ameide.domain.decisions import queue, reuse
from ameide.domain.decisions import repository as repositories
from ameide.domain.decisions import run as runs
from ameide.domain.decisions.gate import void
from ameide.domain.unit import Unit
from ameide.errors import InvalidArgument, Refused
from ameide_core_proto.transformation.governance.v1.command_service_pb import (
    AdoptPolicyRequest,
    AdoptPolicyResponse,
    CancelChangeRequest,
    CancelChangeResponse,
    CloseChangeRequest,
    CloseChangeResponse,
    CloseRunRequest,
    CloseRunResponse,
    OpenChangeRequest,
    OpenChangeResponse,
    RegisterRepositoryRequest,
    RegisterRepositoryResponse,
    StartRunRequest,
    StartRunResponse,
)
from ameide_core_proto.transformation.governance.v1.facts_pb import RunRequested
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Change,
    ChangeStatus,
    Gate,
    GateStatus,
    Repository,
    ReusableWork,
    Run,
    RunKind,
    RunStatus,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact


async def register_repository(unit: Unit, command: RegisterRepositoryRequest) -> RegisterRepositoryResponse:
    """A repository and its first policy."""
    registered, adopted = repositories.register(command, unit.tenant_id, unit.timestamp)
    unit.record(registered, adopted)
    return RegisterRepositoryResponse(repository=registered.repository)


async def adopt_policy(unit: Unit, command: AdoptPolicyRequest) -> AdoptPolicyResponse:
    """A new version of a policy. Runs that it makes room for start."""
    await unit.read("repository", command.repository_id, Repository)
    adopted = repositories.adopt(await unit.lock("policy", command.repository_id, Policy), command)
    unit.record(adopted)
    assert adopted.policy is not None
    await queues.admit_waiting(unit, command.repository_id, policy=adopted.policy)
    return AdoptPolicyResponse(policy=adopted.policy)


async def open_change(unit: Unit, command: OpenChangeRequest) -> OpenChangeResponse:
    """A change on a registered repository, and what the conversation that it comes from is about from here on."""
    repository = await unit.read("repository", command.repository_id, Repository)
    fact = changes.open_change(command, new_id("chg"), repository, unit.actor, unit.timestamp)
    unit.record(fact)
    assert fact.change is not None
    await attaching.attach(unit, fact.change, command.conversation_id)
    return OpenChangeResponse(change=fact.change)


async def cancel_change(unit: Unit, command: CancelChangeRequest) -> CancelChangeResponse:
    """The change, the request to its run, its open gates and its open work, in one transaction."""
    change = await unit.lock("change", command.change_id, Change)
    fact = changes.cancel(change, command.reason)
    unit.record(fact)
    if change.open_run_id:
        run = await unit.lock("run", change.open_run_id, Run)
        if run.status == RunStatus.QUEUED:
            # It has no process that would wind down, and takes up no room that another one waits for.
            closed = runs.close(run, RunStatus.CANCELED, "canceled", unit.timestamp)
            assert closed is not None
            assert fact.change is not None
            fact.change.open_run_id = ""
            unit.record(closed)
        elif not run.cancel_requested:
            unit.record(runs.request_cancel(run))
        await void_open_gates(unit, change.open_run_id, "the change was canceled")
    await cancel_open_work(unit, change.change_id)
    return CancelChangeResponse(change=fact.change)


async def close_change(unit: Unit, command: CloseChangeRequest) -> CloseChangeResponse:
    """A change without an open run."""
    fact = changes.close(await unit.lock("change", command.change_id, Change))
    unit.record(fact)
    return CloseChangeResponse(change=fact.change)


async def start_run(unit: Unit, command: StartRunRequest) -> StartRunResponse:
    """The next run of a change, with its input stored; it waits in line when its repository has no room."""
    change = await unit.lock("change", command.change_id, Change)
    await attaching.attach(unit, change, command.conversation_id)
    # Before the repository is locked: see `queues`.
    runs.need_no_run(change)
    repository = await unit.lock("repository", change.repository_id, Repository)
    policy = await unit.read("policy", change.repository_id, Policy)
    if command.kind == RunKind.TRIAGE:
        fact = _triage(unit, command, change, queue.for_others(repository), policy)
    else:
        fact = await _governance(unit, command, change, queue.for_others(repository), policy)
    run = fact.run
    assert run is not None
    change.last_run_number = run.number
    change.open_run_id = run.process_instance_id
    unit.keep(change)
    unit.record(await queues.join(unit, repository, policy, fact))
    return StartRunResponse(run=run)


def _triage(
    unit: Unit, command: StartRunRequest, change: Change, repository: Repository, policy: Policy
) -> RunRequested:
    for field in ("artifact_id", "expected_number", "from_step"):
        if getattr(command, field):
            raise InvalidArgument("is nothing for a triage run", field=field, remedy="Leave it out")
    if command.triage is None:
        raise InvalidArgument("is empty, but a triage run looks at one", field="triage", remedy="Fill it in")
    if command.provenance and command.provenance.conversation_id != command.conversation_id:
        raise InvalidArgument(
            "is another conversation than the run comes from",
            field="provenance.conversation_id",
            remedy="Name the one in conversation_id",
        )
    return runs.start_triage(
        change,
        repository,
        policy,
        command.triage,
        command.coder,
        unit.actor,
        unit.timestamp,
        command.conversation_id,
        command.provenance,
    )


async def _governance(
    unit: Unit, command: StartRunRequest, change: Change, repository: Repository, policy: Policy
) -> RunRequested:
    if command.triage is not None:
        raise InvalidArgument("is for a triage run", field="triage", remedy="Leave it out, or say kind TRIAGE")
    if command.provenance is not None:
        raise InvalidArgument("is of a triage", field="provenance", remedy="Leave it out: a requirement has its own")
    if command.expected_number and not command.artifact_id:
        raise InvalidArgument(
            "is empty, but expected_number is of one", field="artifact_id", remedy="Name the requirement"
        )
    return runs.start(
        change,
        repository,
        policy,
        await _requirement(unit, change, command.artifact_id),
        command.coder,
        unit.actor,
        unit.timestamp,
        command.from_step,
        await _reusable(unit, change, policy, command.from_step),
        command.conversation_id,
        command.expected_number,
    )


async def close_run(unit: Unit, command: CloseRunRequest) -> CloseRunResponse:
    """Ends a run; one that delivered closes its change with it."""
    known = await unit.read("run", command.process_instance_id, Run)
    if known.status == RunStatus.QUEUED:
        # No process has anything to say about it.
        return CloseRunResponse(run=known)
    change = await unit.lock("change", known.change_id, Change)
    await unit.lock("repository", change.repository_id, Repository)
    run = await unit.lock("run", command.process_instance_id, Run)
    fact = runs.close(run, command.status, command.outcome, unit.timestamp)
    if fact is None:
        return CloseRunResponse(run=run)
    unit.record(fact)
    await void_open_gates(unit, run.process_instance_id, "the run ended")
    # Nobody waits for it any more. An analysis that somebody asked for outside of the run goes on.
    await cancel_open_work(unit, change.change_id, "its run ended", of_run=run.process_instance_id)
    if change.open_run_id == run.process_instance_id:
        change.open_run_id = ""
        finished = command.status == RunStatus.COMPLETED and command.outcome in runs.FINISHING_OUTCOMES
        if finished and change.status == ChangeStatus.OPEN:
            unit.record(changes.close(change))
        else:
            unit.keep(change)
    await queues.admit_waiting(unit, change.repository_id, ended=run.process_instance_id)
    return CloseRunResponse(run=fact.run)


async def void_open_gates(unit: Unit, process_instance_id: str, reason: str) -> None:
    """Takes back the gates that nobody needs to decide any more. Decisions that were made stay as they were."""
    for gate in await unit.lock_children("gate", process_instance_id, Gate):
        if gate.status == GateStatus.OPEN:
            unit.record(void(gate, reason))


async def _reusable(unit: Unit, change: Change, policy: Policy, step: str) -> list[ReusableWork]:
    """What the newest run of a requirement has done before the step; nothing when the new one is to do everything."""
    if not step:
        return []
    earlier = None
    for number in range(change.last_run_number, 0, -1):
        run = await unit.read("run", process_instance_id(unit.tenant_id, change.change_id, number), Run)
        if run.kind != RunKind.TRIAGE:
            earlier = run
            break
    return reuse.reusable(step, earlier, policy, *await work_rows.of_change(unit, change.change_id))


async def _requirement(unit: Unit, change: Change, artifact_id: str) -> Artifact:
    if artifact_id:
        return await unit.lock("artifact", artifact_id, Artifact)
    requirements = queues.requirements_of(await unit.lock_children("artifact", change.change_id, Artifact))
    if not requirements:
        raise Refused(
            f"change {change.change_id} has no requirement",
            remedy="Propose and submit one first",
            reason="NO_REQUIREMENT",
        )
    return requirements[-1]
