"""Runs of one repository that wait in line: who must, and who is next."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

from ameide_core_proto.transformation.governance.v1.facts_pb import RunQueued, RunRequested
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Change,
    ChangeStatus,
    Repository,
    Run,
    RunStatus,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact, ArtifactStatus

_READY = (ArtifactStatus.PROPOSED, ArtifactStatus.APPROVED)


def room(policy: Policy, open_runs: int, queued: int) -> int:
    """How many of the queued runs may start now."""
    return queued if policy.max_open_runs == 0 else max(0, min(queued, policy.max_open_runs - open_runs))


def enqueue(requested: RunRequested, number: int) -> RunQueued:
    """The same run, waiting; its workflow starts when `admit` says so."""
    assert requested.run is not None
    run = requested.run
    run.status = RunStatus.QUEUED
    run.queue_number = number
    return RunQueued(run=run)


def in_line(runs: Sequence[Run]) -> list[Run]:
    """Those that wait, the next one first."""
    return sorted((run for run in runs if run.status == RunStatus.QUEUED), key=lambda run: run.queue_number)


def admit(
    run: Run, change: Change, repository: Repository, policy: Policy, artifacts: Sequence[Artifact]
) -> RunRequested | None:
    """The run starts, with what is in force now. None when it waits no more: it or its change was canceled meanwhile.

    A requirement that was revised but not submitted yet leaves the version that the run was asked for; its gate tells.
    """
    if run.status != RunStatus.QUEUED or change.status != ChangeStatus.OPEN or run.input is None:
        return None
    changed = deepcopy(run)
    changed.version += 1
    changed.status = RunStatus.OPEN
    assert changed.input is not None
    changed.input.repository = for_others(repository)
    changed.input.policy = policy
    asked_for = changed.input.requirement.artifact_id if changed.input.requirement else ""
    for artifact in artifacts:
        if artifact.artifact_id == asked_for and artifact.current and artifact.current.status in _READY:
            changed.input.requirement = artifact
    return RunRequested(run=changed)


def for_others(repository: Repository) -> Repository:
    """The repository without what only its owner counts."""
    told = deepcopy(repository)
    told.queue_count = 0
    return told
