"""What an executor will need of a repository, tried for real where that does no harm.

The agent branch is tried with a branch of its own, which is taken away again. The default branch is not written to:
what a forge forbids there, it says at the first merge.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ameide.contracts.hosts import is_here
from ameide.delivery.git_process import run_git
from ameide.delivery.gitops import image_ref_in
from ameide.errors import AmeideError
from ameide.infra.credentials import Credential, Credentials
from ameide.infra.git import Git, GitFailed, PushRefused
from ameide.infra.git_command import PATH
from ameide.infra.git_login import check_fits, scheme_of
from ameide.infra.lfs import found_program, uses_lfs
from ameide.infra.redaction import Redactor
from ameide.infra.repo_config import CommitTree, ConfigError, RepoConfig, configuration
from ameide.infra.submodules import GITMODULES, for_submodule, submodules_at
from ameide_core_proto.transformation.governance.v1.governance_pb import Repository
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.work.v1.work_pb import CheckoutRules

PROBE = "agent/probe/"
_REGISTER_WITH_BRANCH = "push a first commit to it, or register the repository with --branch"


@dataclass(frozen=True)
class Check:
    """What was looked at. `passed` is None for what cannot be seen from here; with a failure comes a `remedy`."""

    name: str
    passed: bool | None
    said: str
    remedy: str = ""


class _Failed(Exception):
    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.remedy = remedy


class _Unseen(Exception):
    """Neither right nor wrong, as far as can be seen."""


@dataclass
class RepositoryCheck:
    """Checks one repository as the executors would reach it. `checks` grow in the order in which they are made."""

    repository: Repository
    policy: Policy
    credentials: Credentials
    network: Mapping[str, str]
    search_path: str
    git_lfs: Path | None = None
    checks: list[Check] = field(default_factory=list[Check])

    async def run(self) -> list[Check]:
        """All of them; those whose ground is missing are left out."""
        self._redactor = Redactor(self.credentials.secrets())
        credential: Credential | None = None
        if reference := self.repository.credential_ref:

            async def found() -> str:
                nonlocal credential
                credential = self.credentials.find(reference)
                for url in self._urls():
                    check_fits(credential, url)
                    _need_safe(url)
                return f"is there: {credential.kind.value}"

            if not await self._try(f"credential {reference}", found):
                return self.checks
        with tempfile.TemporaryDirectory(prefix="ameide-check-") as folder:
            git = Git(Path(folder) / "git", Path(folder) / "tree", self.repository.url, credential, self.network)
            await git.open()
            await self._remote(git, "repository", self.repository.default_branch, self._repository_content)
        if (gitops := self.repository.gitops) is not None:
            with tempfile.TemporaryDirectory(prefix="ameide-check-") as folder:
                git = Git(Path(folder) / "git", Path(folder) / "tree", gitops.url, credential, self.network)
                await git.open()
                await self._remote(git, "gitops", gitops.branch, self._gitops_content)
        return self.checks

    def _urls(self) -> list[str]:
        gitops = self.repository.gitops
        return [self.repository.url, *([gitops.url] if gitops else [])]

    async def _try(self, name: str, act: Callable[[], Awaitable[str]]) -> bool:
        passed: bool | None = True
        remedy = ""
        try:
            said = await act()
        except _Unseen as unseen:
            passed, said = None, str(unseen)
        except _Failed as error:
            passed, said, remedy = False, str(error), error.remedy
        except AmeideError as error:
            passed, said, remedy = False, f"{error.field}: {error.message}".removeprefix(": "), error.remedy
        except (GitFailed, UnicodeDecodeError) as error:
            passed, said, remedy = False, str(error), remedy_for(error, self.repository.credential_ref)
        self.checks.append(Check(name, passed, self._redactor.text(said), self._redactor.text(remedy)))
        return passed is not False

    async def _remote(self, git: Git, name: str, branch: str, content: Callable[[Git, str], Awaitable[None]]) -> None:
        head = ""

        async def fetch() -> str:
            nonlocal head
            head = await git.remote_head(branch)
            if head:
                await git.fetch(f"+refs/heads/{branch}:refs/remotes/origin/{branch}", depth=1)
            return git.url

        async def default() -> str:
            named = await git.default_branch()
            if not head:
                raise _Failed(f"there is no branch {branch}; the remote's default is {named}", _REGISTER_WITH_BRANCH)
            return branch if named == branch else f"{branch}; the remote's own default is {named}"

        if not await self._try(f"{name}: fetch", fetch) or not await self._try(f"{name}: default branch", default):
            return
        await content(git, head)
        await self._try(f"{name}: push", lambda: _probe(git, head))
        await self._try(f"{name}: merge into {branch}", lambda: _may_merge(git, head, branch))

    async def _repository_content(self, git: Git, head: str) -> None:
        found: RepoConfig | None = None

        async def configured() -> str:
            nonlocal found
            found = await configuration(CommitTree(git, head, self.repository.workdir))
            return "there is no ameide.yaml; this is recognised" if found.detected else "ameide.yaml is valid"

        async def tests() -> str:
            assert found is not None
            files = await CommitTree(git, head, self.repository.workdir).paths()
            count = sum(any(suite.is_test(path) for suite in found.suites.values()) for path in files)
            if not count:
                raise _Failed(
                    f"no file of {', '.join(found.suites)} looks like a test", "name them with `tests:` of the suite"
                )
            return f"{count} files in {', '.join(found.suites)}"

        async def tools() -> str:
            assert found is not None
            commands = [*found.setup, *found.scaffold, *(suite.run for suite in found.suites.values())]
            commands += found.generate.run if found.generate else ()
            needed = sorted({argv[0] for argv in commands if argv and "/" not in argv[0]})
            missing = [program for program in needed if shutil.which(program, path=self.search_path) is None]
            if missing:
                raise _Failed(f"not found here: {', '.join(missing)}", "install it where the executor runs")
            return ", ".join(needed) or "none but the repository's own"

        async def submodules() -> str:
            pinned = await submodules_at(git, head)
            paths = ", ".join(one.path for one in pinned)
            if not (self.policy.checkout or CheckoutRules()).submodules:
                raise _Unseen(f"{paths}: left empty; `checkout: {{submodules: true}}` in the policy fetches them")
            for one in pinned:
                below = for_submodule(git, one, git.folder)
                with below.with_credential() as env:
                    try:
                        asked = ("ls-remote", "--quiet", "--", one.url, "HEAD")
                        await git.git(*asked, env={**below.network, **env})
                    except GitFailed as error:
                        raise _Failed(
                            f"{one.path}: {error}", "only the repository's own host gets its credential"
                        ) from error
            return paths

        async def large_files() -> str:
            program = self.git_lfs or found_program()
            if program is None:
                raise _Failed("some are kept in Git LFS, and there is no git-lfs", "install it where the executor runs")
            return f"by {program}"

        if await uses_lfs(git, head):
            await self._try("repository: Git LFS", large_files)
        if await git.show(head, GITMODULES) is not None:
            await self._try("repository: submodules", submodules)
        if await self._try("repository: configuration", configured):
            await self._try("repository: tests", tests)
            await self._try("repository: tools", tools)

    async def _gitops_content(self, git: Git, head: str) -> None:
        async def deployable() -> str:
            for environment in self.policy.environments:
                path = environment.image_ref_path
                data = await git.show(head, path)
                if data is None:
                    raise _Failed(f"{path} is missing", 'add it with `image: {ref: ""}`')
                image_ref_in(data.decode(), path)
            return ", ".join(environment.name for environment in self.policy.environments)

        await self._try("gitops: environments", deployable)


def _need_safe(url: str) -> None:
    host = urlsplit(url).hostname or ""
    if scheme_of(url) == "http" and not is_here(host):
        raise _Failed("the URL is http://, so that everybody on the way reads it", "register the https:// URL")


async def _probe(git: Git, head: str) -> str:
    """Pushes a branch that nobody else has, and takes it away."""
    branch = f"{PROBE}{secrets.token_hex(6)}"
    try:
        await git.push_with_lease(head, branch, "")
    finally:
        # Also when the answer got lost: what is not there needs no deletion.
        if await git.remote_head(branch):
            await git.delete_branch(branch, head)
    return f"made and deleted the branch {branch}"


async def _may_merge(git: Git, head: str, branch: str) -> str:
    """Whether the default branch may be pushed to, as far as that shows without writing to it."""
    with git.with_credential() as env:
        refs = f"{head}:refs/heads/{branch}"
        await git.git("push", "--dry-run", "--no-verify", "--", git.url, refs, env=env)
    if scheme_of(git.url) == "file":
        hooks = await _hooks_of(Path(unquote(urlsplit(git.url).path)) if "://" in git.url else Path(git.url), git)
        if not hooks:
            return "a dry run went through, and no hook may refuse a push"
        raise _Unseen(f"a dry run went through; whether its {' or '.join(hooks)} hook refuses shows at the first merge")
    raise _Unseen("a dry run went through; whether the forge protects the branch shows at the first merge")


async def _hooks_of(remote: Path, git: Git) -> list[str]:
    environment = {"PATH": PATH, "GIT_CONFIG_GLOBAL": str(git.folder / "config.global"), "GIT_CONFIG_NOSYSTEM": "1"}
    code, said, _ = await run_git("-C", str(remote), "rev-parse", "--git-path", "hooks", env=environment)
    folder = remote / said.decode().strip()
    return [name for name in ("pre-receive", "update") if not code and (folder / name).is_file()]


def remedy_for(error: Exception, reference: str) -> str:
    """What to do about a complaint of git, as far as its words tell."""
    text = str(error).lower()
    if isinstance(error, PushRefused):
        return "have the rule of the remote admit the credential's user; branches below agent/ are the executors' own"
    if "host key verification failed" in text:
        known = f"{reference}.known_hosts" if reference else "known_hosts"
        return f"put the host's keys (`ssh-keyscan HOST`, compared with what the host publishes) into {known}"
    if "returned error: 30" in text:
        return "register the address that it redirects to, for GitLab the one that ends with .git; none is followed"
    if any(words in text for words in ("authentication failed", "permission denied", "could not read username", "403")):
        if not reference:
            return "register the repository with --credential, which may read and write"
        return f"give {reference} the right to read and write, or exchange it for one that has it"
    if any(words in text for words in ("could not resolve", "failed to connect", "timed out", "connection refused")):
        return "let this machine reach the host; HTTPS_PROXY names a proxy"
    return "correct the URL, or the rights of whoever runs the executor"


__all__ = ["PROBE", "Check", "ConfigError", "RepositoryCheck", "remedy_for"]
