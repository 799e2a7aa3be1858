"""Scripted steps: each notes its effect on disk, changes nothing, and leaves what the next step of a run builds on."""

from __future__ import annotations

import asyncio
import hashlib
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from ameide.infra.attempt import Steps
from ameide.infra.steps import Step, StepContext
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    CheckResult,
    CheckStatus,
    Outputs,
    WorkInputs,
    WorkKind,
    WorkRequest,
    WorkResult,
)
from tests.faults.rig.folder import Effect, append

BASE = "b" * 40
DIGEST = "sha256:" + "ab" * 32
MOVING, HOLDING = "moving", "holding"
"""Repositories whose main moves once while a change is merged, and whose first coder works until it is stopped."""
SLOW = "slow "
"""A work whose summary says `slow <seconds>` takes that long."""
_LONGEST = 60.0


def scripted(effects: Path) -> Steps:
    """The steps of an executor that notes its effects in a file."""
    step = _noting(effects)
    return Steps(dict.fromkeys(ActionKind, step), dict.fromkeys(ActionKind, step))


def _noting(effects: Path) -> Step:
    async def step(ctx: StepContext) -> WorkResult:
        work = ctx.work
        append(effects, asdict(Effect(work.work_request_id, work.attempt, os.getpid())))
        ctx.log(f"attempt {work.attempt} of {work.work_request_id}")
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), _seconds(work))
        ctx.evidence.add_check(CheckResult(id="scripted", status=CheckStatus.PASSED))
        ctx.evidence.describe("scripted", "1", [work.action_kind.name])
        return WorkResult(summary="As scripted.", outputs=outputs_of(work))

    return step


def outputs_of(work: WorkRequest) -> Outputs:
    """What a step brings forth when all is well: made of the request alone, so that a repeated one gives the same."""
    inputs = work.inputs or WorkInputs()
    if work.action_kind is ActionKind.ANALYZE:
        return Outputs(commit_sha=BASE)
    if work.work_kind is WorkKind.AGENT_WORK:
        made = _commit(work.work_request_id)
        return Outputs(commit_sha=made, branch=inputs.branch, base_sha=work.base_sha, diff_hash=_diff(made))
    match work.action_kind:
        case ActionKind.PREFLIGHT:
            return Outputs(commit_sha=BASE)
        case ActionKind.SCAFFOLD | ActionKind.GENERATE:
            return Outputs(commit_sha=work.commit_sha, unchanged=True)
        case ActionKind.VERIFY:
            return Outputs(diff_hash=_diff(work.commit_sha))
        case ActionKind.MERGE if inputs.push:
            return Outputs(commit_sha=inputs.candidate_sha)
        case ActionKind.MERGE:
            made = _commit(work.work_request_id) if _repository(work) == MOVING else work.commit_sha
            return Outputs(commit_sha=made, base_sha=BASE, branch=inputs.branch, diff_hash=_diff(made))
        case ActionKind.BUILD:
            return Outputs(build_uri="store:builds/scripted", build_digest=DIGEST)
        case ActionKind.PUBLISH:
            return Outputs(image_ref=f"registry.example.org/{inputs.component}:{work.commit_sha}@{DIGEST}")
        case ActionKind.DEPLOY:
            commit = _commit(f"{inputs.release_id}/{inputs.environment}")
            return Outputs(pr_url="https://forge.example.org/pull/1", gitops_commit_sha=commit, merged=True)
        case _:
            return Outputs()


def _seconds(work: WorkRequest) -> float:
    if work.summary.startswith(SLOW):
        return float(work.summary.removeprefix(SLOW))
    first = work.inputs is not None and work.inputs.iteration <= 1
    holds = work.work_kind is WorkKind.AGENT_WORK and _repository(work) == HOLDING and first
    return _LONGEST if holds else 0.0


def _repository(work: WorkRequest) -> str:
    return work.scope.repository_id if work.scope else ""


def _commit(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


def _diff(commit: str) -> str:
    return hashlib.sha256(commit.encode()).hexdigest()
