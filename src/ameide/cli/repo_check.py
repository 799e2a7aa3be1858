"""`ameide repo check`: what an executor will need of a repository, tried from here with the executor's credentials."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import click

from ameide import config
from ameide.cli.output import table
from ameide.cli.session import Session, pass_session
from ameide.config import Settings
from ameide.delivery.gitops import image_ref_in
from ameide.errors import AmeideError
from ameide.infra.git import Git, GitFailed
from ameide.infra.repo_config import CommitTree, ConfigError, configuration
from ameide.infra.roles import credentials
from ameide.infra.settings import OPERATOR_VARIABLES
from ameide_core_proto.transformation.governance.v1.governance_pb import Repository
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetRepositoryRequest

Outcome = tuple[str, bool, str]
_PROBE = "agent/check"


@click.command()
@click.argument("name")
@pass_session
def check(session: Session, name: str) -> None:
    """Try fetch, push and the configuration of a repository. Pushes are dry runs. Exit code 1 when something fails."""
    answer = session.call(
        lambda clients: clients.queries.get_repository(GetRepositoryRequest(scope=session.scope, repository_id=name))
    )
    repository, policy = answer.repository or Repository(), answer.policy or Policy()
    outcomes = asyncio.run(_outcomes(session.settings, repository, policy))
    table(
        ("", "CHECK", ""),
        [
            (click.style("pass", fg="green") if good else click.style("FAIL", fg="red"), what, said)
            for what, good, said in outcomes
        ],
    )
    raise click.exceptions.Exit(0 if all(good for _, good, _ in outcomes) else 1)


async def _outcomes(settings: Settings, repository: Repository, policy: Policy) -> list[Outcome]:
    reference, known = repository.credential_ref, credentials(settings.credentials_dir)
    secret, outcomes = known.get(reference, ""), list[Outcome]()
    if reference:
        missing = f"put `user:password` or a token into {settings.credentials_dir / reference}"
        outcomes.append((f"credential {reference}", reference in known, "is there" if secret else missing))
    network = config.passed_through(OPERATOR_VARIABLES)
    with tempfile.TemporaryDirectory(prefix="ameide-check-") as folder:
        git = Git(Path(folder) / "git", Path(folder) / "tree", repository.url, secret, network)
        await git.open()

        async def configured(head: str) -> str:
            found = await configuration(CommitTree(git, head, repository.workdir))
            return "there is none; this is recognised: " + ", ".join(found.suites) if found.detected else "is valid"

        outcomes += await _remote(git, "repository", repository.default_branch, "ameide.yaml", configured)
    if repository.gitops is None:
        return outcomes
    with tempfile.TemporaryDirectory(prefix="ameide-check-") as folder:
        gitops = Git(Path(folder) / "git", Path(folder) / "tree", repository.gitops.url, secret, network)
        await gitops.open()

        async def deployable(head: str) -> str:
            for environment in policy.environments:
                path = environment.image_ref_path
                data = await gitops.show(head, path)
                if data is None:
                    raise GitFailed(f'{path} is missing; add it with `image: {{ref: ""}}`')
                image_ref_in(data.decode(), path)
            return ", ".join(environment.name for environment in policy.environments)

        outcomes += await _remote(gitops, "gitops", repository.gitops.branch, "environments", deployable)
    return outcomes


async def _remote(
    git: Git, name: str, branch: str, what: str, content: Callable[[str], Awaitable[str]]
) -> list[Outcome]:
    async def fetch() -> str:
        await git.fetch()
        return git.url

    async def head() -> str:
        found = await git.remote_head(branch)
        if not found:
            raise GitFailed(f"there is no branch {branch}; push one, or register the repository with --branch")
        return found

    async def push(target: str) -> str:
        with git.with_credential() as env:
            await git.git("push", "--dry-run", "--no-verify", "--", git.url, f"{commit}:refs/heads/{target}", env=env)
        return f"{target}, as a dry run: rules of the forge for the branch show at the first real push"

    outcomes = [await _try(f"{name}: fetch", fetch)]
    if outcomes[0][1]:
        outcomes.append(await _try(f"{name}: branch {branch}", head))
    if len(outcomes) < 2 or not outcomes[1][1]:
        return outcomes
    commit = outcomes[1][2]
    outcomes.append(await _try(f"{name}: {what}", lambda: content(commit)))
    for target in (_PROBE, branch):
        outcomes.append(await _try(f"{name}: push", lambda target=target: push(target)))
    return outcomes


async def _try(what: str, act: Callable[[], Awaitable[str]]) -> Outcome:
    try:
        return what, True, await act()
    except (GitFailed, ConfigError, AmeideError, UnicodeDecodeError) as error:
        return what, False, str(error)
