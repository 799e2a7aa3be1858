"""From what a step did to what the Domain is told, within the bounds of its schema and without secrets."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

from ameide.errors import Fenced
from ameide.infra.git_command import GitSaidTooMuch
from ameide.infra.redaction import Redactor
from ameide.infra.steps import StepFailed
from ameide_core_proto.transformation.work.v1.command_service_pb import WorkOutcome
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, Finding, Outputs, Usage, WorkResult

_TEXT, _FINDINGS, _STEPS, _PATHS = 2000, 50, 10, 500


@dataclass(frozen=True)
class Conclusion:
    """An outcome and its result, before evidence is attached. `trace` is that of a step that broke."""

    outcome: WorkOutcome
    result: WorkResult
    trace: str = ""

    @classmethod
    def success(cls, result: WorkResult) -> Conclusion:
        """The step returned."""
        return cls(WorkOutcome.SUCCESS, result)

    @classmethod
    def failed(cls, failure: StepFailed) -> Conclusion:
        """The step failed in a way that it understands."""
        return cls(
            WorkOutcome.FAILURE,
            WorkResult(
                summary=failure.summary,
                exit_code=failure.exit_code,
                outputs=failure.outputs,
                failure_code=failure.code,
                findings=failure.findings,
            ),
        )

    @classmethod
    def failure(cls, code: FailureCode, summary: str, trace: str = "") -> Conclusion:
        """The executor ended the step, or the step broke."""
        return cls(
            WorkOutcome.FAILURE, WorkResult(summary=summary, exit_code=1, outputs=Outputs(), failure_code=code), trace
        )

    @classmethod
    def canceled(cls, reaped: Sequence[int]) -> Conclusion:
        """The work was canceled while it ran."""
        ended = f"ended processes {', '.join(map(str, reaped))}" if reaped else "no process was running"
        return cls(
            WorkOutcome.CANCELED, WorkResult(summary=f"Canceled on request: {ended}.", exit_code=130, outputs=Outputs())
        )


def concluded(step: asyncio.Task[WorkResult]) -> Conclusion:
    """What a step that is over amounts to. Raises `Fenced` when it noticed the lost lease first."""
    error = step.exception()
    if error is None:
        return Conclusion.success(step.result())
    if isinstance(error, StepFailed):
        return Conclusion.failed(error)
    if isinstance(error, Fenced):
        raise error
    if isinstance(error, GitSaidTooMuch):
        return Conclusion.failure(FailureCode.TOOL_FAILED, f"repo_url: {error}.")
    trace = "".join(traceback.format_exception(error))
    return Conclusion.failure(
        FailureCode.INTERNAL, f"{type(error).__name__}: {error}. Its trace is in the evidence (error.txt).", trace
    )


def presentable(result: WorkResult, redactor: Redactor, usage: Usage) -> WorkResult:
    """The result redacted, and cut to the bounds of the schema.

    `usage` fills in what the step did not report itself.
    """
    outputs = result.outputs or Outputs()
    outputs.changed_paths = [redactor.presentable(path, 512) for path in outputs.changed_paths[:_PATHS]]
    return WorkResult(
        summary=redactor.presentable(result.summary, 4096),
        exit_code=result.exit_code,
        outputs=outputs,
        artifact_refs=result.artifact_refs,
        failure_code=result.failure_code,
        findings=[_finding(finding, redactor) for finding in result.findings[:_FINDINGS]],
        usage=result.usage or usage,
    )


def _finding(finding: Finding, redactor: Redactor) -> Finding:
    return Finding(
        class_=finding.class_,
        id=redactor.presentable(finding.id, 512) or "finding",
        what_failed=redactor.presentable(finding.what_failed, _TEXT),
        why_it_matters=redactor.presentable(finding.why_it_matters, _TEXT),
        where_to_fix=finding.where_to_fix,
        fix_steps=[redactor.presentable(step, _TEXT) for step in finding.fix_steps[:_STEPS]],
        location=redactor.presentable(finding.location, 512),
    )
