"""What tests of the coder `codex` share: the real program, through a real executor, against a scripted model."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from ameide.infra.object_store import ObjectStore
from ameide.infra.settings import CodexSettings, ExecutorSettings
from ameide_core_proto.transformation.work.v1.command_service_pb import RecordWorkOutcomeRequest
from ameide_core_proto.transformation.work.v1.work_pb import (
    TimeoutPolicy,
    WorkRequest,
    WorkResult,
)
from tests.infra.responses_endpoint import (
    KEY,
    Endpoint,
    Patch,
    Say,
    Script,
    serving,
)
from tests.infra.test_coding import Bench, Remote, agent_work, git
from tests.infra.work_double import WorkDouble

ADD_CANCEL = """
*** Update File: orders.py
@@
 orders = {}
+
+def cancel(order):
+    orders.pop(order)
"""
CHANGE = (Patch(ADD_CANCEL), Say("Orders can be canceled."))


class CodexWorld:
    """A repository, an executor that runs Codex, and `home`, the operator's CODEX_HOME."""

    def __init__(self, double: WorkDouble, settings: ExecutorSettings, store: ObjectStore, remote: Remote) -> None:
        self.double, self.settings, self.store, self.remote = double, settings, store, remote
        self.home = remote.folder.parent / "codex-home"

    @asynccontextmanager
    async def model(self, script: Script, *, key: str = KEY, **provider: str | int | bool) -> AsyncGenerator[Endpoint]:
        """A scripted model, and the CODEX_HOME that names it."""
        with serving(script) as endpoint:
            endpoint.write_home(self.home, key=key, **provider)
            yield endpoint

    async def run(self, work: WorkRequest | None = None, **codex: object) -> RecordWorkOutcomeRequest:
        """One attempt; `codex` are fields of the executor's `CodexSettings` or of its own."""
        own = {name: value for name, value in codex.items() if name in ("prices", "repeats")}
        chosen = {name: value for name, value in codex.items() if name not in own}
        settings = replace(self.settings, codex=replace(CodexSettings(home=self.home), **chosen), **own)  # type: ignore[arg-type]
        return await Bench(self.double, settings, self.store).run(work or self.work())

    def work(self) -> WorkRequest:
        """Agent work for Codex."""
        work = agent_work(self.remote, coder="codex")
        work.timeout_policy = TimeoutPolicy(run_for_seconds=60)
        return work

    def commit(self) -> None:
        """What lies in the clone becomes the commit that the work is about."""
        git(self.remote.clone, "add", "-A")
        git(self.remote.clone, "commit", "-qm", "Another start")
        git(self.remote.clone, "push", "-q", "origin", "HEAD:main")
        self.remote.main = git(self.remote.clone, "rev-parse", "HEAD")

    async def evidence(self, outcome: RecordWorkOutcomeRequest, name: str) -> str:
        """The text of an artifact."""
        assert outcome.evidence
        [artifact] = [found for found in outcome.evidence.artifacts if found.name == name]
        return (await self.store.get(artifact.uri)).decode()

    def everything(self) -> bytes:
        """All that was stored, pushed or reported, as one."""
        files = [file for file in Path(self.store_folder).rglob("*") if file.is_file()]
        files += [file for file in self.remote.folder.rglob("*") if file.is_file()]
        said = [beat.log_tail.encode() for beat in self.double.heartbeats]
        return b"\n".join([file.read_bytes() for file in files] + said + self.double.outcome_calls)

    @property
    def store_folder(self) -> str:
        """Where evidence lies."""
        return self.settings.object_store.removeprefix("file://")


def result_of(outcome: RecordWorkOutcomeRequest) -> WorkResult:
    assert outcome.result
    return outcome.result
