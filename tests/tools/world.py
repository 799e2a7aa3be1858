"""One executor's world without a Domain: real git remotes, workspaces, children, object store and registry.

Steps are called directly.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ameide.infra import workspace as workspaces
from ameide.infra.checkout import identity
from ameide.infra.child import Children
from ameide.infra.credentials import Credential
from ameide.infra.evidence import EvidenceWriter
from ameide.infra.git import Git
from ameide.infra.live_log import LiveLog
from ameide.infra.object_store import ObjectStore
from ameide.infra.redaction import Redactor
from ameide.infra.settings import ExecutorSettings
from ameide.infra.steps import Step, StepContext
from ameide.infra.workspace import Workspace
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    EvidenceBundle,
    WorkInputs,
    WorkKind,
    WorkRequest,
    WorkResult,
)

_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in {"NAME": "a person", "EMAIL": "person@ameide.invalid"}.items()
}


def git(folder: Path, *args: str) -> str:
    """Run git as a person would; its output."""
    env = {**os.environ, **_IDENTITY, "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(["git", *args], cwd=folder, env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@dataclass
class Remote:
    """A bare repository, changed by a person through a clone of their own."""

    bare: Path
    clone: Path

    @property
    def url(self) -> str:
        return self.bare.as_uri()

    @classmethod
    def create(cls, folder: Path, name: str, files: Mapping[str, str] | None = None) -> Remote:
        """A new repository with the files on main."""
        remote = cls(folder / f"{name}.git", folder / f"{name}-clone")
        git(folder, "init", "-q", "--bare", "-b", "main", str(remote.bare))
        git(folder, "clone", "-q", str(remote.bare), str(remote.clone))
        git(remote.clone, "checkout", "-q", "-b", "main")
        if files:
            remote.commit(files)
        return remote

    @classmethod
    def of(cls, bare: Path, folder: Path) -> Remote:
        """A person's clone of a repository that is there."""
        git(folder, "clone", "-q", str(bare), str(folder / f"{bare.stem}-clone"))
        return cls(bare, folder / f"{bare.stem}-clone")

    def commit(
        self, files: Mapping[str, str | None], *, branch: str = "main", onto: str = "", message: str = "Change"
    ) -> str:
        """Commit files (None deletes one) onto a commit, and push that to the branch; the new commit."""
        if onto:
            git(self.clone, "checkout", "-q", "--detach", onto)
        for path, text in files.items():
            target = self.clone / path
            if text is None:
                target.unlink()
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text)
        git(self.clone, "add", "-A", "--force", ".")
        git(self.clone, "commit", "-q", "-m", message)
        git(self.clone, "push", "-q", "--force", "origin", f"HEAD:refs/heads/{branch}")
        return git(self.clone, "rev-parse", "HEAD")

    def head(self, branch: str = "main") -> str:
        return git(self.bare, "rev-parse", f"refs/heads/{branch}")


@dataclass
class World:
    """Runs steps one after the other, each in a workspace of its own that is removed afterwards."""

    folder: Path
    settings: ExecutorSettings
    store: ObjectStore
    bundle: EvidenceBundle = field(default_factory=EvidenceBundle)
    log: str = ""
    credential: Credential | None = None
    last_work: WorkRequest = field(default_factory=WorkRequest)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    async def run(self, step: Step, work: WorkRequest) -> WorkResult:
        """The result of the step; its evidence is stored, and kept as `bundle`."""
        workspace = workspaces.create(self.settings.work_root, work.work_request_id or "work", self.settings.user)
        try:
            return await self._run(step, work, workspace)
        finally:
            await asyncio.to_thread(workspace.remove)

    async def _run(self, step: Step, work: WorkRequest, workspace: Workspace) -> WorkResult:
        self.last_work = work
        redactor = Redactor(self.settings.secrets())
        live = LiveLog(redactor, workspace.private / "work.log")
        claim = f"claim{next(self._numbers)}"
        evidence = EvidenceWriter(work, 1, claim, redactor, workspace.read_file)
        children = Children(workspace, self.settings, live)
        repository = Git(
            workspace.private / "git", workspace.tree, work.repo_url, self.credential, identity=identity(work)
        )
        context = StepContext(
            work,
            workspace,
            children,
            evidence,
            live.line,
            self.settings,
            repository,
            self.store,
            lambda _usage: None,
            redactor,
        )
        try:
            return await step(context)
        finally:
            live.close()
            self.log = (workspace.private / "work.log").read_text()
            await evidence.store(self.store, lambda: None)
            self.bundle = evidence.bundle("")

    def work(
        self,
        action: ActionKind,
        remote: Remote,
        *,
        commit: str = "",
        base: str = "",
        inputs: WorkInputs | None = None,
        id: str = "",
    ) -> WorkRequest:
        """A tool run on the remote."""
        return WorkRequest(
            work_request_id=id or f"wrk-{action.name.lower()}-{next(self._numbers)}",
            change_id="chg-1",
            work_kind=WorkKind.TOOL_RUN,
            action_kind=action,
            repo_url=remote.url,
            commit_sha=commit,
            base_sha=base,
            inputs=inputs or WorkInputs(),
        )

    def checks(self) -> dict[str, str]:
        """The checks of the last evidence: id and status."""
        return {check.id: check.status.name for check in self.bundle.check_results}
