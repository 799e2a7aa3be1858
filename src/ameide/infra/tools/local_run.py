"""Runs a command as the person who asked, in their own folder."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ameide.infra.steps import NOTHING_ELSE, CommandResult, Profile, Reach, StepFailed
from ameide.stopping import kill_child, start_child
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode


@dataclass
class LocalRun:
    """`RunCommand` as the person: the whole process group is ended when the command is.

    Or when the person interrupts.
    """

    environment: Mapping[str, str]
    say: Callable[[str], None]
    logs: Path
    _count: int = field(default=0)

    async def __call__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        profile: Profile = Profile.TOOL,  # noqa: ARG002 part of the port; a person has one environment
        stdin: bytes = b"",
        reach: Reach = NOTHING_ELSE,  # noqa: ARG002 a person reaches what they reach
        listen: Callable[[bytes], None] | None = None,
    ) -> CommandResult:
        """Run one command to its end; `profile` and `reach` make no difference here."""
        started = time.monotonic()
        self._count += 1
        log = self.logs / f"{self._count}.log"
        try:
            process = await start_child(
                *argv,
                cwd=cwd,
                env={**self.environment, **(env or {})},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                limit=1 << 20,
            )
        except (FileNotFoundError, PermissionError) as error:
            raise StepFailed(
                FailureCode.TOOL_FAILED,
                f"{argv[0]}: no such program ({error.strerror}). Install it, or correct the command in ameide.yaml.",
                exit_code=127,
            ) from error
        timed_out = False
        try:
            async with asyncio.timeout(timeout):
                await self._follow(process, stdin, log, listen or self._say)
        except TimeoutError:
            timed_out = True
        finally:
            await kill_child(process)
        tail = log.read_bytes()[-16 * 1024 :].decode("utf-8", "replace")
        return CommandResult(process.returncode or 0, tail, log, time.monotonic() - started, timed_out)

    def _say(self, data: bytes) -> None:
        for line in data.decode("utf-8", "replace").splitlines():
            self.say(line)

    async def _follow(
        self, process: asyncio.subprocess.Process, stdin: bytes, log: Path, listen: Callable[[bytes], None]
    ) -> None:
        if process.stdin is not None:
            process.stdin.write(stdin)
            process.stdin.close()
        with log.open("wb") as file:
            while process.stdout is not None and (data := await process.stdout.read(65536)):
                file.write(data)
                listen(data)
        await process.wait()
