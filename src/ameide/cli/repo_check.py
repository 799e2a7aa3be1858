"""`ameide repo check`: what an executor will need of a repository, tried from here with the executor's credentials."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ameide import config
from ameide.cli.options import as_json
from ameide.cli.output import table
from ameide.cli.session import Session, pass_session
from ameide.config import Settings
from ameide.infra.credentials import Credentials
from ameide.infra.repository_check import Check, RepositoryCheck
from ameide.infra.settings import OPERATOR_VARIABLES
from ameide.infra.toolchain import SYSTEM_PATH
from ameide_core_proto.transformation.governance.v1.governance_pb import Repository
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetRepositoryRequest

_WORDS = {True: ("pass", "green"), False: ("FAIL", "red"), None: ("?", "yellow")}


@click.command()
@click.argument("name")
@as_json
@pass_session
def check(session: Session, name: str, as_json: bool) -> None:
    """Try what an executor will need of the repository NAME: fetch, push, merge, default branch, configuration, tools.

    A branch agent/probe/… is pushed and deleted again; nothing is written to the default branch. Exit code 1 when
    something fails; `?` is what cannot be seen from here.
    """
    answer = session.call(
        lambda clients: clients.queries.get_repository(GetRepositoryRequest(scope=session.scope, repository_id=name))
    )
    checks = checks_of(session.settings, answer.repository or Repository(), answer.policy or Policy())
    if as_json:
        shown = {"repository": name, "passed": passed(checks), "checks": [as_dict(one) for one in checks]}
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        print_checks(checks)
    raise click.exceptions.Exit(0 if passed(checks) else 1)


def checks_of(settings: Settings, repository: Repository, policy: Policy) -> list[Check]:
    """The checks of a repository, made now."""
    programs = os.pathsep.join(map(str, (Path(sys.executable).parent, *SYSTEM_PATH)))
    network = config.passed_through(OPERATOR_VARIABLES)
    git_lfs = settings.git_lfs if settings.git_lfs != Path() else None
    return asyncio.run(RepositoryCheck(repository, policy, credentials_of(settings), network, programs, git_lfs).run())


def credentials_of(settings: Settings) -> Credentials:
    """The credentials that an executor with these settings and this environment finds."""
    return Credentials(settings.credentials_dir, config.passed_through(settings.credential_variables))


def passed(checks: Sequence[Check]) -> bool:
    """Whether none failed."""
    return all(one.passed is not False for one in checks)


def print_checks(checks: Sequence[Check]) -> None:
    """As a table, with the remedies of those that failed below."""
    table(
        ("", "CHECK", ""),
        [(click.style(_WORDS[one.passed][0], fg=_WORDS[one.passed][1]), one.name, one.said) for one in checks],
    )
    for one in checks:
        if one.remedy:
            click.echo(f"{one.name}: {one.remedy[:1].upper()}{one.remedy[1:].rstrip('.')}.")


def as_dict(one: Check) -> dict[str, Any]:
    """A check for programs: `passed` is null for what cannot be seen."""
    return {"check": one.name, "passed": one.passed, "said": one.said, "remedy": one.remedy}
