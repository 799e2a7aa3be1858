"""The queue of runs of a repository: joined by StartRun, left when a run ends or a policy makes room.

Both happen with the repository locked, so that no run waits while there is room. Locks are taken in the order policy,
change, repository, then the changes of waiting runs. That closes no circle: a change whose run waits is locked before
the repository by nobody, since StartRun is refused for it first and its cancellation leaves the repository alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from ameide.domain.decisions import queue
from ameide.domain.unit import Unit
from ameide.storage import sql
from ameide_core_proto.transformation.governance.v1.facts_pb import RunQueued, RunRequested
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, Repository, Run, RunStatus
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact, ArtifactKind

_SQL = sql.load("domain")


async def join(unit: Unit, repository: Repository, policy: Policy, requested: RunRequested) -> RunRequested | RunQueued:
    """What becomes of a run that was asked for. The caller has locked the repository."""
    if policy.max_open_runs == 0:
        return requested
    open_runs, waiting = await _under_way(unit, repository.repository_id)
    # The run itself comes last: those who wait already go first.
    if queue.room(policy, len(open_runs), len(waiting) + 1) > len(waiting):
        return requested
    repository.queue_count += 1
    unit.keep(repository)
    return queue.enqueue(requested, repository.queue_count)


async def admit_waiting(unit: Unit, repository_id: str, *, ended: str = "", policy: Policy | None = None) -> None:
    """Start the runs that there is room for. `ended` is a run that this unit closes, `policy` one that it adopts.

    Locks the repository, if the caller has not.
    """
    repository = await unit.lock("repository", repository_id, Repository)
    policy = policy or await unit.read("policy", repository_id, Policy)
    if ended and policy.max_open_runs == 0:
        # A policy without a limit lets everybody in at once when it is adopted.
        return
    open_runs, waiting = await _under_way(unit, repository_id)
    left = queue.room(policy, len(open_runs - {ended}), len(waiting))
    for known in waiting:
        if not left:
            return
        change = await unit.lock("change", known.change_id, Change)
        run = await unit.lock("run", known.process_instance_id, Run)
        artifacts = await unit.lock_children("artifact", known.change_id, Artifact)
        requested = queue.admit(run, change, repository, policy, artifacts)
        if requested is not None:
            unit.record(requested)
            left -= 1


def requirements_of(artifacts: Sequence[Artifact]) -> list[Artifact]:
    """The requirements among the artifacts of a change, the newest last."""
    return [artifact for artifact in artifacts if artifact.kind == ArtifactKind.REQUIREMENT]


async def _under_way(unit: Unit, repository_id: str) -> tuple[set[str], list[Run]]:
    rows = await unit.tx.fetch_all(_SQL["runs_under_way"], (unit.tenant_id, repository_id))
    open_runs = {row["id"] for row in rows if row["status"] == RunStatus.OPEN.name}
    return open_runs, queue.in_line([Run.from_binary(row["state"]) for row in rows if row["state"] is not None])
