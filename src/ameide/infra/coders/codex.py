"""The coder `codex`: the real Codex CLI, as contracts 9 says.

``codex exec --json`` with an explicit sandbox and no approvals, in the attempt's working tree, the prompt on standard
input, and a CODEX_HOME of the attempt's own. Credentials are looked at before anything is checked out.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from ameide.config.prices import prices_of
from ameide.errors import InvalidArgument
from ameide.infra.coders import codex_failures as failures
from ameide.infra.coders.codex_events import Events
from ameide.infra.coders.codex_home import Credentials, CredentialsMissing, PrivateHome, credentials
from ameide.infra.coders.codex_program import Program, check_version, find
from ameide.infra.coders.codex_proof import prove_sandbox
from ameide.infra.coders.codex_session import Session
from ameide.infra.coders.codex_watch import Watch
from ameide.infra.coders.port import CoderReport, CoderTask
from ameide.infra.steps import CommandResult, Profile, Reach, StepContext, StepFailed
from ameide.infra.workspace import WorkspaceRefused
from ameide_core_proto.transformation.work.v1.work_pb import Budget, FailureCode

_SAID_NOTHING = "Codex said nothing of what it did."
_AGENTS = (
    "If there is an AGENTS.md in the folder that you work in, read it first: it tells how this repository works.\n"
)


class Codex:
    """One attempt of Codex: `prepare` first, then `run`."""

    def __init__(self) -> None:
        self._given: Credentials | None = None
        self._program: Program | None = None
        self._version = ""

    async def prepare(self, ctx: StepContext) -> None:
        """Find program and credentials, before any checkout. Raises `StepFailed` with the remedy."""
        try:
            self._given = credentials(ctx.settings.codex)
        except CredentialsMissing as error:
            raise StepFailed(FailureCode.MISSING_CREDENTIALS, f"codex: {error}") from error
        ctx.redactor.learn(self._given.secrets)
        _check_budget(ctx, self._given.config.model)
        path = os.pathsep.join(map(str, ctx.settings.search_path))
        try:
            # The first time, the program may have to be copied to where the children's user may execute it.
            self._program = await asyncio.to_thread(find, ctx.settings.codex.program, ctx.workspace.user, path)
            argv = (str(self._program.path), "--version")
            asked = await ctx.run(
                argv, cwd=ctx.workspace.tree, profile=Profile.CODER, reach=Reach(readable=(self._program.folder,))
            )
            self._version = check_version(asked.output_tail)
        except InvalidArgument as error:
            raise StepFailed(FailureCode.TOOL_FAILED, str(error)) from error
        ctx.log(f"codex {self._version}, {self._program.path}; the model is asked at {self._given.endpoint}")
        if self._given.config.left_out:
            ctx.log(f"left out of config.toml: {', '.join(self._given.config.left_out)}")

    async def run(self, task: CoderTask) -> CoderReport:
        """Run the agent to its end, watched. Raises `StepFailed` for every way in which that is no success."""
        assert self._given is not None
        assert self._program is not None
        home = PrivateHome(task.workspace, self._given, task.redactor, task.read_only)
        home.make()
        environment = {**self._given.environment, "CODEX_HOME": str(home.folder)}
        reach = Reach(readable=(self._program.folder,), writable=(home.folder,), hosts=self._given.hosts)
        argv = self._program.exec_argv(task.workspace.tree, read_only=task.read_only)
        events, session = Events(task.log), Session(task.workspace, home.folder)
        try:
            await prove_sandbox(task, self._program, environment, reach)
            watch = Watch(task, events, session, home.learn_refreshed, self._given.config.model, self._given.endpoint)
            result = await watch.run(argv, environment, reach, (task.prompt + "\n" + _AGENTS).encode())
            _judge(events, session, result)
        finally:
            _keep(task, home, events, session)
            task.evidence.describe("codex", self._version, argv, 0 if events.completed else 1)
        summary = events.message.strip().split("\n")[0][:400] or _SAID_NOTHING
        return CoderReport(
            "codex", self._version, argv, result, summary, usage=watch.usage, answer=events.message.strip()
        )


def _check_budget(ctx: StepContext, model: str) -> None:
    """A limit in money that nobody could measure is no limit."""
    budget = ctx.work.budget or Budget()
    try:
        price = prices_of(ctx.settings.prices).get(model)
    except InvalidArgument as error:
        raise StepFailed(FailureCode.TOOL_FAILED, str(error)) from error
    if budget.max_cost_micros and price is None:
        raise StepFailed(
            FailureCode.TOOL_FAILED,
            f"budget.max_cost_micros: what {model or 'the model'} costs is unknown, so its cost cannot be limited. Add "
            f"it to the file that AMEIDE_PRICES names, with `model` set in CODEX_HOME/config.toml, or budget tokens "
            f"instead.",
        )


def _judge(events: Events, session: Session, result: CommandResult) -> None:
    if not events.completed or result.exit_code:
        said = events.failure or result.output_tail.strip()[-600:] or f"it ended with exit code {result.exit_code}"
        raise failures.failed(said, result.exit_code)
    if not session.actions and not events.commands and not events.changes:
        raise failures.did_nothing(events.message)


def _keep(task: CoderTask, home: PrivateHome, events: Events, session: Session) -> None:
    """What is left of the attempt: events and session as evidence, a refreshed token where it came from."""
    home.learn_refreshed()
    if task.settings.codex.write_back and (note := home.keep_refreshed()):
        task.log(f"codex: {note}")
    home.forget()
    if events.records:
        task.evidence.add_bytes("codex-events.jsonl", b"".join(line + b"\n" for line in events.records), _JSON_LINES)
    records = b"".join(_read(task, file) for file in session.files())
    if records:
        task.evidence.add_bytes("codex-session.jsonl", records, _JSON_LINES)


def _read(task: CoderTask, file: Path) -> bytes:
    try:
        return task.workspace.read_file(file)
    except (OSError, WorkspaceRefused):
        return b""


_JSON_LINES = "application/x-ndjson"
