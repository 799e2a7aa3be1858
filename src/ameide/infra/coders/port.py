"""The port that every coder implements: a prompt in, a changed working tree or an answer out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ameide.infra.evidence import EvidenceWriter
from ameide.infra.redaction import Redactor
from ameide.infra.settings import ExecutorSettings
from ameide.infra.steps import CommandResult, RunCommand, StepContext
from ameide.infra.workspace import Workspace
from ameide_core_proto.transformation.work.v1.work_pb import Usage, WorkRequest


@dataclass(frozen=True)
class CoderTask:
    """What a coder gets. It runs its program by `run` with the CODER profile, and touches nothing but the workspace.

    `read_only`: it is asked for an answer, and the working tree is not to be changed.
    """

    work: WorkRequest
    prompt: str
    workspace: Workspace
    run: RunCommand
    settings: ExecutorSettings
    log: Callable[[str], None]
    spend: Callable[[Usage], None]
    evidence: EvidenceWriter
    redactor: Redactor
    read_only: bool = False

    @property
    def iteration(self) -> int:
        """Which try this is, from 1."""
        return max(1, self.work.inputs.iteration if self.work.inputs else 1)


@dataclass(frozen=True)
class CoderReport:
    """What a coder says of its try; the executor looks at the working tree itself.

    `answer` is all that it said in the end, in Markdown; `summary` a sentence of it.
    """

    tool_name: str
    tool_version: str
    argv: tuple[str, ...]
    result: CommandResult
    summary: str
    usage: Usage = field(default_factory=Usage)
    transcripts: tuple[tuple[str, Path], ...] = ()
    answer: str = ""


class Coder(Protocol):
    """Changes the working tree once, or answers once.

    Each raises `StepFailed` when it cannot try at all or its program failed.
    """

    async def prepare(self, ctx: StepContext) -> None:
        """Look for what it needs, such as credentials, before anything is checked out."""
        ...

    async def run(self, task: CoderTask) -> CoderReport: ...
