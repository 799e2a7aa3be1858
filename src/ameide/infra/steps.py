"""What a step of delegated work gets and gives back; every tool run and every coder speaks these words.

A step is one async function per action. It changes nothing but its workspace, the remotes it was asked to push to,
and the evidence it adds. It returns a `WorkResult` for a success and raises `StepFailed` for a failure that it
understands; any other exception becomes `WorkFailed(INTERNAL)`. When the work is canceled or the lease is lost the
step's task is cancelled: the child is killed by `run` on the way out, so a step needs no clean-up of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ameide_core_proto.transformation.work.v1.work_pb import (
    FailureCode,
    Finding,
    Outputs,
    Usage,
    WorkRequest,
    WorkResult,
)

if TYPE_CHECKING:
    from ameide.events.ports import Objects
    from ameide.infra.evidence import EvidenceWriter
    from ameide.infra.git import Git
    from ameide.infra.redaction import Redactor
    from ameide.infra.settings import ExecutorSettings
    from ameide.infra.workspace import Workspace


class Profile(Enum):
    """Which environment a child gets.

    See `ameide.infra.environment`. All of them run unprivileged, none sees a token.
    """

    TOOL = "tool"
    CODER = "coder"
    VERIFY = "verify"


@dataclass(frozen=True)
class CommandResult:
    """How a child ended.

    `exit_code` is negative for a signal, in a sandbox 128 and its number; `log` holds all of its output (stdout
    and stderr together).
    """

    exit_code: int
    output_tail: str
    log: Path
    seconds: float = 0.0
    timed_out: bool = False


@dataclass(frozen=True)
class Reach:
    """What one child reaches besides its workspace and the system's programs; each lies inside where it lies outside.

    `readable` and `writable` are files and folders; `hosts` are ``host:port``, ``*.host:port`` for all below it. The
    executor's own machine is 127.0.0.1, each port of it named; the child finds it at the same port. `serves` are ports
    on which the child listens and the executor reaches it, at the same port of 127.0.0.1. With `tree_read_only` it
    cannot write the working tree.
    """

    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    hosts: tuple[str, ...] = ()
    serves: tuple[int, ...] = ()
    tree_read_only: bool = False


NOTHING_ELSE = Reach()


class RunCommand(Protocol):
    """Runs one child inside the workspace: own session, unprivileged, allowlisted environment, limits, killed with
    its descendants.

    `cwd` must lie in the workspace. `env` adds to the profile's environment. `timeout` is in seconds; when it passes,
    the child is killed and the result says `timed_out`. `reach` widens its sandbox for this one command. `listen` gets
    the output as it comes, instead of the live log; it is then the caller who says what happens. A program that isn't
    found raises `StepFailed(TOOL_FAILED)` naming it.
    """

    async def __call__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        profile: Profile = Profile.TOOL,
        stdin: bytes = b"",
        reach: Reach = NOTHING_ELSE,
        listen: Callable[[bytes], None] | None = None,
    ) -> CommandResult: ...


class StepFailed(Exception):
    """A failure that the step understands.

    `summary` says what and names the remedy; findings go to the next one who acts.
    """

    def __init__(
        self,
        code: FailureCode,
        summary: str,
        *,
        findings: Sequence[Finding] = (),
        outputs: Outputs | None = None,
        exit_code: int = 1,
    ) -> None:
        super().__init__(summary)
        self.code = code
        self.summary = summary
        self.findings = list(findings)
        self.outputs = outputs or Outputs()
        self.exit_code = exit_code


@dataclass(frozen=True)
class StepContext:
    """Everything a step may touch. `git` is the executor's own: its git folder lies where no child can reach it.

    `spend` takes what the work has used so far in all; the next heartbeat reports it. `redactor` is the attempt's own:
    what it knows is kept out of the attempt's log, evidence and result, and what a step hands on elsewhere (a commit
    message, a pull request) goes through it.
    """

    work: WorkRequest
    workspace: Workspace
    run: RunCommand
    evidence: EvidenceWriter
    log: Callable[[str], None]
    settings: ExecutorSettings
    git: Git
    store: Objects
    spend: Callable[[Usage], None]
    redactor: Redactor
    # The git of each submodule that the last checkout filled in.
    submodules: list[Git] = field(default_factory=list["Git"])


Step = Callable[[StepContext], Awaitable[WorkResult]]
