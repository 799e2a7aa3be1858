"""`ameide change`: ask for a change, revise it, try again, take it back."""

from __future__ import annotations

from pathlib import Path

import click

from ameide.cli import change_reading
from ameide.cli.options import as_json, follow, quiet, request_id
from ameide.cli.output import emit_json, in_line
from ameide.cli.requirement import FORGES, confirm, content, of_file
from ameide.cli.requirement_source import taken_from
from ameide.cli.session import Session, pass_session
from ameide.cli.session import request_id as key_for
from ameide.cli.watching import follow_run, newest, seen
from ameide.errors import NotFound
from ameide.rpc.clients import Clients
from ameide_core_proto.transformation.governance.v1.command_service_pb import (
    CancelChangeRequest,
    OpenChangeRequest,
    StartRunRequest,
    StartRunResponse,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import RunStatus
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetChangeRequest
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact, ArtifactContent, ArtifactKind
from ameide_core_proto.transformation.knowledge.v1.command_service_pb import (
    ProposeArtifactRequest,
    ReviseArtifactRequest,
    SubmitArtifactRequest,
)


@click.group()
def change() -> None:
    """Changes: from a requirement to a promoted release."""


for command in (
    change_reading.list_,
    change_reading.show,
    change_reading.diff,
    change_reading.timeline,
    change_reading.wait,
):
    change.add_command(command)


def _requirement_options(command: click.decorators.FC) -> click.decorators.FC:
    for option in (
        click.option("--criterion", "criteria", multiple=True, help="An acceptance criterion; repeat for more."),
        click.option("--text", default="", help="What is wanted, and why."),
        click.option("--title", default="", help="The requirement in one line."),
        click.option(
            "--requirement",
            "file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="Markdown: `# Title`, text, and a list under `## Acceptance criteria`.",
        ),
    ):
        command = option(command)
    return command


@change.command()
@click.argument("repository")
@_requirement_options
@click.option(
    "--from",
    "source",
    default="",
    metavar="ISSUE|FILE|-",
    help="Take the requirement from an issue's URL (GitHub, GitLab, Gitea), a Markdown file, or standard input.",
)
@click.option("--forge", type=click.Choice(FORGES), help="Which forge the issue is on, where its URL does not tell.")
@click.option(
    "--issue-credential",
    default="",
    metavar="REF",
    help="Token that may read the issue: a file of the credentials folder, or env:NAME.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask about what --from found.")
@click.option("--coder", default="", help="Which coder works on it; default: the policy's.")
@follow
@request_id
@as_json
@quiet
@pass_session
def start(
    session: Session,
    repository: str,
    file: Path | None,
    title: str,
    text: str,
    criteria: tuple[str, ...],
    source: str,
    forge: str | None,
    issue_credential: str,
    yes: bool,
    coder: str,
    follow: bool,
    request_id: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Open a change in REPOSITORY, propose its requirement, and start the first run."""
    key = key_for(request_id)
    if source and file is not None:
        raise click.UsageError("--from and --requirement both name a requirement; give one of them.")
    found = taken_from(session, source, forge or "", issue_credential) if source else of_file(file)
    wanted = content(title, text, criteria, found)
    if source:
        confirm(wanted, yes=yes)

    async def act(clients: Clients) -> StartRunResponse:
        opened = await clients.governance.open_change(
            OpenChangeRequest(
                scope=session.scope, client_request_id=f"{key}/open", repository_id=repository, title=wanted.title
            )
        )
        change_id = opened.change.change_id if opened.change else ""
        proposed = await clients.knowledge.propose_artifact(
            ProposeArtifactRequest(
                scope=session.scope,
                client_request_id=f"{key}/propose",
                change_id=change_id,
                kind=ArtifactKind.REQUIREMENT,
                content=wanted,
            )
        )
        await _submit(session, clients, f"{key}/submit", proposed.artifact)
        return await _run(session, clients, f"{key}/run", change_id, coder)

    _started(session, session.call(act), follow=follow, as_json=as_json, quiet=quiet)


@change.command()
@click.argument("change_id", metavar="CHANGE")
@_requirement_options
@request_id
@as_json
@pass_session
def revise(
    session: Session,
    change_id: str,
    file: Path | None,
    title: str,
    text: str,
    criteria: tuple[str, ...],
    request_id: str | None,
    as_json: bool,
) -> None:
    """Replace the requirement of CHANGE by a new version. An approval of the former one is taken back."""
    wanted, key = content(title, text, criteria, of_file(file)), key_for(request_id)
    answer = session.call(lambda clients: _revise(session, clients, change_id, wanted, key))
    if as_json:
        emit_json(answer)
    else:
        number = answer.current.number if answer.current else 0
        click.echo(f"Version {number} of {answer.artifact_id} is proposed.")


@change.command()
@click.argument("change_id", metavar="CHANGE")
@click.option("--coder", default="", help="Which coder works on it; default: the policy's.")
@click.option(
    "--from",
    "from_step",
    metavar="STEP",
    default="",
    help="Take what the run before had done before it last did STEP, where its inputs are unchanged: preflight, "
    "scaffold, generate, coder, verify or acceptance.",
)
@follow
@request_id
@as_json
@quiet
@pass_session
def retry(
    session: Session,
    change_id: str,
    coder: str,
    from_step: str,
    follow: bool,
    request_id: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Start the next run of CHANGE. Refused while one is open. Gates are asked again, and what merges is made anew."""
    key = key_for(request_id)
    answer = session.call(lambda clients: _run(session, clients, key, change_id, coder, from_step))
    _started(session, answer, follow=follow, as_json=as_json, quiet=quiet)


@change.command()
@click.argument("change_id", metavar="CHANGE")
@click.option("--reason", required=True, help="Why; it is recorded.")
@request_id
@as_json
@pass_session
def cancel(session: Session, change_id: str, reason: str, request_id: str | None, as_json: bool) -> None:
    """Cancel CHANGE, its open run and its open work. What is merged stays merged."""
    command = CancelChangeRequest(
        scope=session.scope, client_request_id=key_for(request_id), change_id=change_id, reason=reason
    )
    answer = session.call(lambda clients: clients.governance.cancel_change(command))
    if as_json:
        emit_json(answer)
    else:
        click.echo(f"{change_id} is canceled; its run ends as soon as its open work has stopped.")


def _started(session: Session, answer: StartRunResponse, *, follow: bool, as_json: bool, quiet: bool) -> None:
    change_id = answer.run.change_id if answer.run else ""
    number = answer.run.number if answer.run else 0
    if as_json and not follow:
        emit_json(answer)
    elif quiet:
        click.echo(change_id)
    elif not follow and answer.run is not None and answer.run.status == RunStatus.QUEUED:
        place = session.call(lambda clients: newest(session, clients, change_id)).queue_position
        click.echo(f"Run {number} of {change_id} waits for another run of its repository: {in_line(max(place, 1))}.")
        click.echo(f"Next: ameide change show {change_id}")
    elif not follow:
        click.echo(f"Run {number} of {change_id} is requested.")
        click.echo(f"Next: ameide gate list --change {change_id} --wait")
    if follow:
        raise click.exceptions.Exit(
            session.call(lambda clients: follow_run(session, clients, change_id, as_json=as_json))
        )


async def _run(
    session: Session, clients: Clients, key: str, change_id: str, coder: str, from_step: str = ""
) -> StartRunResponse:
    answer = await clients.governance.start_run(
        StartRunRequest(
            scope=session.scope, client_request_id=key, change_id=change_id, coder=coder, from_step=from_step
        )
    )
    if answer.run is not None:
        await seen(session, clients, answer.run)
    return answer


async def _submit(session: Session, clients: Clients, key: str, artifact: Artifact | None) -> Artifact:
    assert artifact is not None
    number = artifact.current.number if artifact.current else 1
    answer = await clients.knowledge.submit_artifact(
        SubmitArtifactRequest(
            scope=session.scope, client_request_id=key, artifact_id=artifact.artifact_id, expected_number=number
        )
    )
    return answer.artifact or artifact


async def _revise(session: Session, clients: Clients, change_id: str, wanted: ArtifactContent, key: str) -> Artifact:
    found = await clients.queries.get_change(GetChangeRequest(scope=session.scope, change_id=change_id))
    requirements = [artifact for artifact in found.artifacts if artifact.kind == ArtifactKind.REQUIREMENT]
    if not requirements:
        raise NotFound(f"{change_id} has no requirement", remedy="Start the change with `ameide change start`")
    former = requirements[-1]
    revised = await clients.knowledge.revise_artifact(
        ReviseArtifactRequest(
            scope=session.scope,
            client_request_id=f"{key}/revise",
            artifact_id=former.artifact_id,
            expected_number=former.current.number if former.current else 1,
            content=wanted,
        )
    )
    return await _submit(session, clients, f"{key}/submit", revised.artifact)
