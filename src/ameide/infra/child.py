"""Runs the children of one work, each under its warden, in a sandbox that was proved to hold before the first of them.

Knows which processes were ended for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ameide.infra import warden
from ameide.infra.clock import now
from ameide.infra.environment import environment
from ameide.infra.isolation.choice import sandbox_for
from ameide.infra.isolation.guard import Guard
from ameide.infra.isolation.proof import Proof, prove
from ameide.infra.isolation.sandbox import Ask, Enclosed, Sandbox
from ameide.infra.isolation.traffic import Traffic
from ameide.infra.live_log import LiveLog
from ameide.infra.settings import NO_SANDBOX, ExecutorSettings
from ameide.infra.steps import NOTHING_ELSE, CommandResult, Profile, Reach, StepFailed
from ameide.infra.workspace import Workspace, WorkspaceRefused
from ameide.stopping import start_child
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode

LIMITS = {"RLIMIT_CORE": 0, "RLIMIT_FSIZE": 4 << 30}

_TAIL = 16 * 1024
_ENDING, _CANARY = 20.0, 60.0


@dataclass
class Children:
    """`RunCommand` for one workspace. `reaped` lists the pids that had to be killed, in the order met, `left` counts
    those of children that had ended by themselves; `proof` is there once the sandbox was proved to hold.
    """

    workspace: Workspace
    settings: ExecutorSettings
    live: LiveLog
    reaped: list[int] = field(default_factory=list[int])
    left: int = 0
    logs: list[Path] = field(default_factory=list[Path])
    traffic: Traffic = field(init=False)
    proof: Proof | None = None
    _sandbox: Sandbox = field(init=False)

    def __post_init__(self) -> None:
        self.traffic = Traffic(self.live.line)

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
    ) -> CommandResult:
        """Run one child to its end; see `RunCommand`. Cancelled, it kills the child and all that came from it first."""
        if not cwd.is_relative_to(self.workspace.root) or ".." in cwd.parts:
            raise WorkspaceRefused(f"{cwd} leaves the workspace", remedy="Run the command inside it.")
        whole = environment(profile, self.workspace, self.settings, env or {})
        if shutil.which(argv[0], path=whole["PATH"]) is None and not cwd.joinpath(argv[0]).exists():
            raise StepFailed(
                FailureCode.TOOL_FAILED,
                f"{argv[0]}: no such program for the work's user. Install it on the executor's machine, name "
                f"its folder in AMEIDE_CHILD_PATH, or correct the command in ameide.yaml.",
                exit_code=127,
            )
        await self.prove(profile)
        return await self._enclosed(
            self._sandbox, Ask(argv, cwd, whole, profile, reach), stdin, timeout, listen or self.live.output
        )

    async def prove(self, profile: Profile) -> None:
        """Have a canary prove that the sandbox holds, once an attempt. Raises `StepFailed(SANDBOX_UNAVAILABLE)`."""
        if self.proof is not None:
            return
        self._sandbox = await asyncio.to_thread(sandbox_for, self.workspace, self.settings, self.traffic)
        name = self._sandbox.name
        if name == NO_SANDBOX:
            self.live.line("no sandbox: AMEIDE_SANDBOX=none; what runs here sees the machine and its network")
            self.proof = Proof(name, profile)
            return
        tried = Traffic()
        trial = await asyncio.to_thread(sandbox_for, self.workspace, self.settings, tried)

        async def run(argv: Sequence[str]) -> CommandResult:
            whole = environment(profile, self.workspace, self.settings, {})
            ask = Ask(argv, self.workspace.tree, whole, profile, NOTHING_ELSE)
            return await self._enclosed(trial, ask, b"", _CANARY, lambda _said: None)

        self.proof = await prove(self.workspace, self.settings, profile, name, tried, run)
        self.live.line(f"the sandbox holds: {name}, {len(self.proof.refused)} things tried and refused")

    async def _enclosed(
        self, sandbox: Sandbox, ask: Ask, stdin: bytes, timeout: float | None, listen: Callable[[bytes], None]
    ) -> CommandResult:
        async with sandbox.enclose(ask) as inside:
            result = await self._run(self._order(inside, ask.cwd, stdin), timeout, inside.descriptors, listen)
            if not result.timed_out and (failure := inside.failure(result.exit_code, result.output_tail)):
                raise failure
            return result

    def _order(self, inside: Enclosed, cwd: Path, stdin: bytes) -> warden.Order:
        user = self.workspace.user
        number = len(self.logs) + 1
        source = ""
        if stdin:
            source = str(self.workspace.private / f"stdin-{number}")
            Path(source).write_bytes(stdin)
        self.logs.append(self.workspace.private / f"output-{number}.log")
        return {
            "argv": list(inside.argv),
            "cwd": str(cwd),
            "env": dict(inside.env),
            "stdin": source,
            "uid": user.uid if user else None,
            "gid": user.gid if user else None,
            "limits": {**LIMITS, **self._process_limit(confined=inside.confined)},
            "descriptors": list(inside.descriptors),
            "confined": inside.confined,
        }

    def _process_limit(self, *, confined: bool) -> dict[str, int]:
        """In a sandbox its stage sets it. Outside all processes of the user count, so he must be ours alone."""
        return {"RLIMIT_NPROC": self.settings.isolation.processes} if self.workspace.user and not confined else {}

    async def _run(
        self,
        order: warden.Order,
        timeout: float | None,
        descriptors: Sequence[int],
        listen: Callable[[bytes], None],
    ) -> CommandResult:
        started, log = now(), self.logs[-1]
        reading, writing = os.pipe()
        try:
            process = await start_child(
                sys.executable,
                "-I",
                warden.__file__,
                str(writing),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={},
                cwd="/",
                pass_fds=(writing, *descriptors),
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            for descriptor in (writing, *descriptors):
                os.close(descriptor)
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(order).encode() + b"\n")
        guard = Guard(self.settings.isolation, self.workspace.root)
        pump = asyncio.create_task(self._pump(process.stdout, log, listen, guard))
        watching = [asyncio.create_task(guard.watch(process.pid)), asyncio.create_task(guard.passed.wait())]
        ending = asyncio.create_task(process.wait())
        timed_out = False
        try:
            done, _ = await asyncio.wait([ending, watching[1]], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            timed_out = not done
        finally:
            for task in (ending, *watching):
                task.cancel()
            # Whatever ends the wait, the warden is told and has left nothing alive when it exits.
            await asyncio.shield(_end(process, pump))
            report = _read_report(reading)
            self.reaped += report.reaped
            self.left += 0 if report.ended else len(report.reaped)
        if report.error:
            raise StepFailed(
                FailureCode.TOOL_FAILED,
                f"{order['argv'][0]}: cannot be started as the work's user ({report.error})",
                exit_code=126,
            )
        if guard.exceeded:
            raise guard.exceeded.failure()
        return CommandResult(report.exit_code, _tail(log), log, now() - started, timed_out)

    async def _pump(
        self, output: asyncio.StreamReader, log: Path, listen: Callable[[bytes], None], guard: Guard
    ) -> None:
        with log.open("wb") as file:
            while data := await output.read(65536):
                guard.output(len(data))
                if guard.exceeded is None:
                    file.write(data)
                    file.flush()
                    listen(data)


@dataclass
class _Report:
    exit_code: int = -9
    error: str = ""
    ended: bool = True
    reaped: list[int] = field(default_factory=list[int])


async def _end(process: asyncio.subprocess.Process, pump: asyncio.Task[None]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(_ENDING):
            await process.wait()
            await pump
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        pump.cancel()


def _read_report(reading: int) -> _Report:
    report = _Report()
    with os.fdopen(reading, "rb") as lines:
        for line in lines:
            said = json.loads(line)
            report.exit_code = said.get("exit_code", report.exit_code)
            report.error = said.get("error", report.error)
            report.ended = said.get("ended", report.ended)
            report.reaped += said.get("reaped", [])
    return report


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - _TAIL))
        return file.read().decode("utf-8", "replace")
