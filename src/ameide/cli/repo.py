"""`ameide repo`: repositories, where they lie, what their policy allows."""

from __future__ import annotations

import json
from pathlib import Path

import click
import yaml

from ameide.cli.example import example
from ameide.cli.options import as_json, quiet, request_id
from ameide.cli.output import clock, emit_json, facts, heading, say, table, word
from ameide.cli.policy_file import read_policy
from ameide.cli.repo_add import add
from ameide.cli.repo_check import check
from ameide.cli.session import Session, every_page, pass_session
from ameide.cli.session import request_id as key_for
from ameide_core_proto.transformation.governance.v1.command_service_pb import (
    AdoptPolicyRequest,
)
from ameide_core_proto.transformation.governance.v1.query_service_pb import (
    GetRepositoryRequest,
    GetRepositoryResponse,
    ListRepositoriesRequest,
)


@click.group()
def repo() -> None:
    """Repositories that changes are made in."""


repo.add_command(add)
repo.add_command(example)
repo.add_command(check)


@repo.command("list")
@as_json
@quiet
@pass_session
def list_(session: Session, as_json: bool, quiet: bool) -> None:
    """The registered repositories."""
    answer = session.call(
        lambda clients: every_page(
            lambda page: clients.queries.list_repositories(ListRepositoriesRequest(scope=session.scope, page=page)),
            "repositories",
        )
    )
    if as_json:
        emit_json(answer)
        return
    if quiet:
        for found in answer.repositories:
            click.echo(found.repository_id)
        return
    table(
        ("REPOSITORY", "BRANCH", "RELEASED BY", "URL"),
        [
            (r.repository_id, r.default_branch, r.gitops.url if r.gitops else "its merge", r.url)
            for r in answer.repositories
        ],
        empty="No repository is registered. Register one: ameide repo add URL",
    )


@repo.command()
@click.argument("name")
@as_json
@pass_session
def show(session: Session, name: str, as_json: bool) -> None:
    """One repository and what its policy asks for."""
    answer = _get(session, name)
    if as_json:
        emit_json(answer)
        return
    found, rules = answer.repository, answer.policy
    if found is None or rules is None:
        return
    facts(
        [
            ("repository", found.repository_id),
            ("url", found.url),
            ("branch", found.default_branch),
            ("workdir", found.workdir),
            ("credential", found.credential_ref),
            (
                "gitops",
                f"{found.gitops.url} ({found.gitops.branch})" if found.gitops else "none: a change ends at its merge",
            ),
            ("registered", clock(found.registered_at)),
            ("policy version", str(rules.version)),
        ]
    )
    heading("Gates")
    table(
        ("GATE", "ASKED FOR", "DECIDED BY", "VOICES"),
        [
            (
                word(rule.kind.name),
                "yes" if rule.required else "no",
                ", ".join(rule.decider_roles),
                str(max(rule.quorum, 1)),
            )
            for rule in rules.gates
        ],
    )


@repo.group()
def policy() -> None:
    """What is allowed in a repository."""


@policy.command("show")
@click.argument("name")
@as_json
@pass_session
def policy_show(session: Session, name: str, as_json: bool) -> None:
    """The policy in force, in the form that `policy set` takes."""
    answer = _get(session, name)
    if as_json:
        emit_json(answer)
    elif answer.policy is not None:
        click.echo(yaml.safe_dump(json.loads(answer.policy.to_json()), sort_keys=False, allow_unicode=True), nl=False)


@policy.command("set")
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@request_id
@as_json
@pass_session
def policy_set(session: Session, name: str, file: Path, request_id: str | None, as_json: bool) -> None:
    """Put the policy in FILE (YAML or JSON) in force.

    A `version` in it must be the one in force now, so that nobody else's change is lost.
    """
    wanted = read_policy(file)
    if wanted.version == 0:
        current = _get(session, name).policy
        wanted.version = current.version if current else 1
        say(f"{file} names no version; replacing version {wanted.version}.")
    command = AdoptPolicyRequest(
        scope=session.scope,
        client_request_id=key_for(request_id),
        repository_id=name,
        expected_version=wanted.version,
        policy=wanted,
    )
    answer = session.call(lambda clients: clients.governance.adopt_policy(command))
    if as_json:
        emit_json(answer)
    elif answer.policy is not None:
        click.echo(f"Policy version {answer.policy.version} of {name} is in force.")


def _get(session: Session, name: str) -> GetRepositoryResponse:
    return session.call(
        lambda clients: clients.queries.get_repository(GetRepositoryRequest(scope=session.scope, repository_id=name))
    )
