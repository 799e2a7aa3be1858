"""Lends a verification what its repository's set-up fetched before, and keeps what a green base fetched."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from posixpath import basename

from ameide.infra.dependency_cache import DependencyCache
from ameide.infra.repo_config import CommitTree, RepoConfig
from ameide.infra.steps import StepContext
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind

LOCKS = (
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "tox.ini",
    "*requirements*.txt",
    "*constraints*.txt",
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "Pipfile.lock",
    "pylock*.toml",
    "go.mod",
    "go.sum",
    "go.work",
    "go.work.sum",
    "package.json",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "pom.xml",
    "maven.config",
    "extensions.xml",
)
"""Files that decide what a set-up fetches, by name."""


@dataclass(frozen=True)
class Dependencies:
    """The cache as one verification uses it; None where nothing is kept."""

    ctx: StepContext
    cache: DependencyCache | None = None
    key: str = ""

    async def lend(self) -> None:
        """Lay what is kept into the work's HOME. The log says whether there was something."""
        if self.cache is None:
            return
        size = await asyncio.to_thread(self.cache.lend, self.key, self.ctx.workspace.home, self.ctx.workspace.user)
        said = f"a copy of {size >> 20} MiB" if size is not None else "nothing is kept yet"
        self.ctx.log(f"Dependency cache {self.key[:12]}: {said}.")

    async def keep(self) -> None:
        """Keep what a green base fetched. Call it when nothing of the work runs any more."""
        if self.cache is None or self.ctx.work.action_kind != ActionKind.PREFLIGHT:
            return
        size = await asyncio.to_thread(self.cache.keep, self.key, self.ctx.workspace.home)
        if size is not None:
            self.ctx.log(f"Dependency cache {self.key[:12]}: {size >> 20} MiB are kept.")


async def dependencies(ctx: StepContext, base_sha: str, config: RepoConfig) -> Dependencies:
    """The cache of a work's repository at its base commit: what the change itself says makes no difference."""
    if ctx.settings.dependency_dir is None or ctx.settings.dependency_bytes <= 0:
        return Dependencies(ctx)
    cache = DependencyCache(ctx.settings.dependency_dir, ctx.settings.dependency_bytes)
    tree = CommitTree(ctx.git, base_sha, ctx.work.workdir)
    locks: dict[str, str] = {}
    for path in await tree.paths():
        if any(fnmatchcase(basename(path), pattern) for pattern in LOCKS):
            locks[path] = hashlib.sha256(await tree.read(path) or b"").hexdigest()
    scope = ctx.work.scope
    words = {
        "repository": [scope.tenant_id, scope.repository_id] if scope else [],
        "url": ctx.work.repo_url,
        "workdir": ctx.work.workdir,
        "locks": locks,
        "setup": config.setup,
        "suites": {name: suite.run for name, suite in sorted(config.suites.items())},
    }
    return Dependencies(ctx, cache, hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest())
