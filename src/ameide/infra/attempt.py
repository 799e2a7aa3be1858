"""One claimed attempt from its first heartbeat to its outcome.

Whoever speaks first decides: the step ends, the work is canceled, a bound is reached, the executor is asked to stop,
or the lease is lost. In every case but the first the child is killed before anything else happens; when the lease is
lost nothing is written.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass

from ameide.errors import Fenced
from ameide.events.ports import Objects
from ameide.faults import reach
from ameide.infra import work_in_progress
from ameide.infra import workspace as workspaces
from ameide.infra.checkout import check_place, credential, identity, network
from ameide.infra.child import Children
from ameide.infra.claim import Claim
from ameide.infra.evidence import EvidenceWriter
from ameide.infra.git import Git
from ameide.infra.isolation.telling import keep, name_what_it_did
from ameide.infra.live_log import LiveLog
from ameide.infra.outcome import Conclusion, concluded
from ameide.infra.redaction import Redactor
from ameide.infra.report import report
from ameide.infra.settings import ExecutorSettings
from ameide.infra.steps import Profile, Step, StepContext, StepFailed
from ameide.infra.workspace import Workspace
from ameide_core_proto.transformation.work.v1.command_service_pb import WorkOutcome
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    FailureCode,
    Usage,
    WorkKind,
    WorkRequest,
    WorkResult,
)

logger = logging.getLogger(__name__)

_ENDING, _RESERVE = 40.0, 15.0


@dataclass(frozen=True)
class Steps:
    """The steps of tool runs and of agent work, each by action."""

    tools: Mapping[ActionKind, Step]
    agents: Mapping[ActionKind, Step]

    def of(self, work: WorkRequest) -> Step:
        """The step that does this work. Raises `StepFailed` when there is none."""
        steps = self.agents if work.work_kind is WorkKind.AGENT_WORK else self.tools
        if step := steps.get(ActionKind(work.action_kind)):
            return step
        raise StepFailed(
            FailureCode.TOOL_FAILED,
            f"action_kind: this executor has no step for {WorkKind(work.work_kind).name} "
            f"{ActionKind(work.action_kind).name}. Update the executor, or route the queue elsewhere.",
        )


class Attempt:
    """Runs one claim. `stop` is set when the executor is to leave; `root` holds the workspace."""

    def __init__(
        self, claim: Claim, steps: Steps, settings: ExecutorSettings, store: Objects, stop: asyncio.Event
    ) -> None:
        self._claim, self._steps, self._settings, self._store, self._stop = claim, steps, settings, store, stop
        self._redactor = Redactor(settings.secrets())
        self._usage = Usage()
        self._context: StepContext | None = None

    async def run(self) -> None:
        """Do the work and record its outcome, give it back, or write nothing.

        Raises nothing that the executor has to handle.
        """
        work = self._claim.work
        try:
            workspace = workspaces.create(
                self._settings.work_root, f"{work.work_request_id}-{self._claim.attempt}", self._settings.user
            )
        except OSError as error:
            logger.error("no workspace", extra={"error": str(error)})
            await self._claim.release(f"no workspace: {error.strerror}")
            return
        try:
            await self._run_in(workspace)
        except Fenced as error:
            logger.warning("fenced: child killed, nothing written", extra={"reason": str(error)})
        finally:
            await asyncio.to_thread(workspace.remove)

    async def _run_in(self, workspace: Workspace) -> None:
        live = LiveLog(self._redactor, workspace.private / "work.log")
        children = Children(workspace, self._settings, live)
        evidence = EvidenceWriter(
            self._claim.work, self._claim.attempt, self._claim.claim_id, self._redactor, workspace.read_file
        )
        keeping = asyncio.create_task(self._claim.keep(lambda: live.tail))
        try:
            step = asyncio.create_task(self._step(workspace, children, evidence, live))
            conclusion = await self._decide(step, children, live)
            if conclusion is None or conclusion.outcome is not WorkOutcome.SUCCESS:
                await self._keep_progress(conclusion)
            if conclusion is None:
                await self._claim.release("the executor is stopping")
                return
            if children.reaped:
                live.line(f"ended processes {', '.join(map(str, children.reaped))}")
            keep(evidence, children.proof, children.traffic, children.reaped)
            if self._claim.work.work_kind is WorkKind.AGENT_WORK and conclusion.outcome is not WorkOutcome.CANCELED:
                name_what_it_did(conclusion.result, children.traffic, children.left)
            live.close()
            evidence.add_file("work.log", workspace.private / "work.log", "text/plain")
            await report(self._claim, conclusion, evidence, self._store, self._redactor, self._usage)
        finally:
            keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeping

    async def _step(
        self, workspace: Workspace, children: Children, evidence: EvidenceWriter, live: LiveLog
    ) -> WorkResult:
        work = self._claim.work
        check_place(self._settings, work.repo_url, "repo_url")
        git = Git(
            workspace.private / "git",
            workspace.tree,
            work.repo_url,
            credential(self._settings, work.credential_ref),
            network(self._settings),
            self._claim.lease.check,
            identity(work),
        )
        step = self._steps.of(work)
        if work.work_kind is WorkKind.AGENT_WORK:
            # Before anything of the agent's turn, its checkout included.
            await children.prove(Profile.CODER)
        self._context = StepContext(
            work,
            workspace,
            children,
            evidence,
            live.line,
            self._settings,
            git,
            self._store,
            self._spend,
            self._redactor,
        )
        reach("executor.effect.before")
        result = await step(self._context)
        reach("executor.effect.after")
        return result

    async def _keep_progress(self, conclusion: Conclusion | None) -> None:
        """Keep what an agent had changed, and name the commit in the outcome; None: the claim is given back."""
        work = self._claim.work
        writes = work.work_kind is WorkKind.AGENT_WORK and work.action_kind is ActionKind.PUBLISH
        if self._context is None or not writes:
            # An analyst's files are nobody's: nothing of them is pushed, however it ended.
            return
        why = conclusion.result.summary if conclusion else "The executor was stopped."
        if conclusion is not None and conclusion.result.outputs and conclusion.result.outputs.commit_sha:
            # The branch has moved, which the outcome says.
            return
        kept = await work_in_progress.keep(self._context, why, self._claim.lease.remaining)
        if conclusion is not None and kept is not None:
            conclusion.result.outputs = kept

    def _spend(self, usage: Usage) -> None:
        self._usage = usage
        self._claim.spend(usage)

    async def _decide(self, step: asyncio.Task[WorkResult], children: Children, live: LiveLog) -> Conclusion | None:
        """What the Domain is to be told; None when the claim is given back. Raises `Fenced`."""
        bounds = self._claim.work.timeout_policy
        run_for, silent_for = (bounds.run_for_seconds, bounds.silent_for_seconds) if bounds else (0, 0)
        work_for = _time_to_work(run_for)
        watches: dict[str, Awaitable[object]] = {
            "fenced": self._claim.lease.ended(),
            "canceled": self._claim.cancel_requested.wait(),
            "stopped": self._stop.wait(),
            "run_for": asyncio.sleep(work_for) if run_for else asyncio.Event().wait(),
            "silent_for": live.silent_until(silent_for) if silent_for else asyncio.Event().wait(),
        }
        tasks = {name: asyncio.ensure_future(watch) for name, watch in watches.items()}
        try:
            await asyncio.wait([step, *tasks.values()], return_when=asyncio.FIRST_COMPLETED)
            first = next((name for name, task in tasks.items() if task.done()), "")
        finally:
            for task in tasks.values():
                task.cancel()
            # Ended before anything is written, also when we are being cancelled ourselves.
            if not step.done():
                await _end(step)
        self._claim.lease.check()
        if step.done() and not step.cancelled():
            return concluded(step)
        match first:
            case "canceled":
                return Conclusion.canceled(children.reaped)
            case "stopped":
                return None
            case "run_for":
                return Conclusion.failure(
                    FailureCode.TIMEOUT,
                    f"timeout_policy.run_for_seconds: not done after {run_for} seconds; its processes were ended.",
                )
            case "silent_for":
                return Conclusion.failure(
                    FailureCode.TIMEOUT,
                    f"timeout_policy.silent_for_seconds: no output for {silent_for} seconds; its processes were ended.",
                )
            case _:
                return Conclusion.failure(
                    FailureCode.INTERNAL, "the step was cancelled by itself; see work.log in the evidence."
                )


def _time_to_work(run_for: float) -> float:
    """Seconds of an attempt that are the step's.

    The Domain extends no lease past `run_for` and counts it in whole seconds; ending the child and storing evidence
    need what is kept back here.
    """
    return run_for - min(max(2.0, run_for / 10), _RESERVE, run_for / 2)


async def _end(step: asyncio.Task[WorkResult]) -> None:
    """Cancel the step and wait until it is over; `Children` kills the child on the way out."""
    step.cancel()
    await asyncio.wait([step], timeout=_ENDING)
    if not step.done():
        logger.error("the step did not end when it was cancelled")
