"""`ameide repo add`: looks at a repository as an executor would, then registers it."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from pathlib import Path

import click

from ameide import config
from ameide.cli.options import as_json, quiet, request_id
from ameide.cli.output import say
from ameide.cli.policy_file import read_policy
from ameide.cli.repo_check import as_dict, checks_of, credentials_of, passed, print_checks
from ameide.cli.session import Session, pass_session
from ameide.cli.session import request_id as key_for
from ameide.config import Settings
from ameide.contracts.remote_url import check_url
from ameide.domain.decisions.default_policy import default_policy
from ameide.errors import Refused
from ameide.infra.git import Git, GitFailed
from ameide.infra.repository_check import Check, remedy_for
from ameide.infra.settings import OPERATOR_VARIABLES
from ameide_core_proto.transformation.governance.v1.command_service_pb import RegisterRepositoryRequest
from ameide_core_proto.transformation.governance.v1.governance_pb import GitopsTarget, Repository

_WITHOUT = "`--branch NAME --no-check` registers it without looking"


@click.command()
@click.argument("words", nargs=-1, metavar="[NAME] URL")
@click.option("--branch", default="", help="Default branch. Default: the remote's own.")
@click.option("--workdir", default="", help="Folder of the component inside the repository.")
@click.option("--credential", default="", metavar="REF", help="Name of the credential that the executor uses.")
@click.option(
    "--gitops", default="", metavar="URL", help="Repository of the environments; without it a change ends at its merge."
)
@click.option("--gitops-branch", default="", help="Branch that the environments follow. Default: the remote's own.")
@click.option(
    "--policy", "policy_file", type=click.Path(exists=True, path_type=Path), help="First policy, as YAML or JSON."
)
@click.option("--check/--no-check", "look", default=True, help="Whether to look at the repository first.")
@request_id
@as_json
@quiet
@pass_session
def add(
    session: Session,
    words: tuple[str, ...],
    branch: str,
    workdir: str,
    credential: str,
    gitops: str,
    gitops_branch: str,
    policy_file: Path | None,
    look: bool,
    request_id: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Register the repository URL under NAME, by default the last word of the workdir or of the URL.

    A path of this machine is a URL too. It is looked at first, as `ameide repo check` does; one that cannot be
    fetched is not registered.
    """
    if len(words) not in (1, 2):
        raise click.UsageError("give a URL, or a name and a URL")
    url, target = _place(words[-1], "url"), _place(gitops, "gitops") if gitops else ""
    # Of several components in one repository, each has a name of its own.
    name = words[0] if len(words) == 2 else name_of(f"{url.rstrip('/')}/{workdir}" if workdir else url)
    policy = read_policy(policy_file) if policy_file else None
    repository = Repository(
        repository_id=name,
        name=name,
        url=url,
        default_branch=branch or _default_branch(session.settings, url, credential),
        credential_ref=credential,
        gitops=GitopsTarget(url=target, branch=gitops_branch or _default_branch(session.settings, target, credential))
        if target
        else None,
        workdir=workdir,
    )
    rules = policy or default_policy(name, gitops=bool(target))
    checks = checks_of(session.settings, repository, rules) if look else []
    if unusable := next((one for one in checks if not one.passed and one.name.endswith(": fetch")), None):
        raise _unreachable(unusable.said, unusable.remedy)
    command = RegisterRepositoryRequest(
        scope=session.scope,
        client_request_id=key_for(request_id),
        name=name,
        url=url,
        default_branch=repository.default_branch,
        credential_ref=credential,
        gitops=repository.gitops,
        workdir=workdir,
        policy=policy,
    )
    answer = session.call(lambda clients: clients.governance.register_repository(command))
    if as_json:
        shown = json.loads(answer.to_json(always_emit_implicit=True))
        shown["checks"] = [as_dict(one) for one in checks]
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    elif quiet:
        click.echo(name)
    else:
        click.echo(f"{name} is registered: {url}, branch {repository.default_branch}")
    _tell(name, checks, aside=as_json or quiet)


def name_of(url: str) -> str:
    """What a repository is called by its address: the last word, as a name may be. Raises `UsageError` for none."""
    last = re.split(r"[/:]", url.rstrip("/"))[-1].removesuffix(".git").lower()
    name = re.sub(r"[^a-z0-9]+", "-", last).strip("-")[:63]
    if not name:
        raise click.UsageError("the URL ends in no name; give one: ameide repo add NAME URL")
    return name


def _tell(name: str, checks: list[Check], *, aside: bool) -> None:
    """What is missing, and what comes next; only the former, and on standard error, beside an answer for programs."""
    if not passed(checks):
        for one in checks:
            if one.passed is False:
                say(f"{one.name}: {one.said}. {one.remedy[:1].upper()}{one.remedy[1:]}")
        say(f"Until that is put right, changes stop there. `ameide repo check {name}` looks again.")
    elif not aside:
        if checks:
            print_checks(checks)
        click.echo(f"Next: ameide change start {name} --title '…'")


def _place(url: str, field: str) -> str:
    check_url(url, field)
    # A path on this machine means the same to the executor only when it is absolute.
    local = Path(url).expanduser()
    return str(local.resolve()) if "://" not in url and local.exists() else url


def _default_branch(settings: Settings, url: str, reference: str) -> str:
    async def ask() -> str:
        credential = credentials_of(settings).find(reference) if reference else None
        with tempfile.TemporaryDirectory(prefix="ameide-add-") as folder:
            network = config.passed_through(OPERATOR_VARIABLES)
            git = Git(Path(folder) / "git", Path(folder) / "tree", url, credential, network)
            await git.open()
            return await git.default_branch()

    try:
        return asyncio.run(ask())
    except GitFailed as error:
        raise _unreachable(str(error), remedy_for(error, reference)) from error


def _unreachable(what: str, remedy: str) -> Refused:
    said = f"{remedy[:1].upper()}{remedy[1:]}".rstrip(".")
    return Refused(f"nothing is registered: {what}", field="url", remedy=f"{said}; {_WITHOUT}", reason="NOT_FETCHED")
