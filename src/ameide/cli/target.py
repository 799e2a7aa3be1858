"""`ameide scaffold | generate | verify`: what tool runs execute inside a target repository, in your own folder."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click

from ameide import config
from ameide.cli.gate_view import print_finding
from ameide.cli.options import as_json
from ameide.cli.output import say
from ameide.infra.tools.local import Verb, run_locally

_folder = click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="The repository; default: the current folder.",
)


@click.command()
@_folder
@click.option(
    "--requirement",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON with change_id, title, text, acceptance_criteria.",
)
@as_json
def scaffold(folder: Path, requirement: Path | None, as_json: bool) -> None:
    """Run the `scaffold` commands of ameide.yaml in a repository of yours."""
    _run(Verb.SCAFFOLD, folder, as_json=as_json, requirement=requirement)


@click.command()
@_folder
@as_json
def generate(folder: Path, as_json: bool) -> None:
    """Generate the code that ameide.yaml says is generated."""
    _run(Verb.GENERATE, folder, as_json=as_json)


@click.command()
@_folder
@click.option("--suite", default="", help="A suite of ameide.yaml; default: `default`.")
@as_json
def verify(folder: Path, suite: str, as_json: bool) -> None:
    """Run a verification suite as an executor does. Exit code 1 when it is red, 2 when ameide.yaml is malformed."""
    _run(Verb.VERIFY, folder, as_json=as_json, suite=suite)


def _run(verb: Verb, folder: Path, *, as_json: bool, suite: str = "", requirement: Path | None = None) -> None:
    report = asyncio.run(
        run_locally(
            verb,
            folder.resolve(),
            environment=config.environment(),
            say=say,
            suite=suite,
            requirement=requirement.resolve() if requirement else None,
        )
    )
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2, ensure_ascii=False))
    else:
        for finding in report.findings:
            print_finding(finding)
        click.echo(report.summary)
        if report.detected:
            say("There is no ameide.yaml; this was detected. docs/how-to/use-it-on-my-repository.md")
    raise click.exceptions.Exit(report.exit_code)
