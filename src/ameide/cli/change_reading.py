"""`ameide change list|show|diff|timeline|wait`: how far a change has come, and by what."""

from __future__ import annotations

import asyncio

import click

from ameide.cli.artifact_view import print_artifacts
from ameide.cli.conversation_view import print_conversations
from ameide.cli.cost_view import print_costs
from ameide.cli.options import as_json, follow, quiet
from ameide.cli.output import brief, clock, coloured, emit_json, facts, heading, in_line, step, table, word
from ameide.cli.session import Session, every_page, pass_session
from ameide.cli.timeline import print_table
from ameide.cli.watching import UNDER_WAY, follow_run, until_closed
from ameide.errors import NotFound
from ameide_core_proto.transformation.governance.v1.governance_pb import RunStatus
from ameide_core_proto.transformation.governance.v1.query_service_pb import (
    GetChangeRequest,
    GetChangeResponse,
    GetTimelineRequest,
    Iteration,
    ListChangesRequest,
)
from ameide_core_proto.transformation.work.v1.query_service_pb import GetWorkRequest
from ameide_core_proto.transformation.work.v1.work_pb import WorkStatus

CHANGE_PATCH = "change.patch"
"""The artifact in which an attempt keeps what it committed."""


@click.command("list")
@click.option("--repository", default="", help="Only of this repository.")
@as_json
@quiet
@pass_session
def list_(session: Session, repository: str, as_json: bool, quiet: bool) -> None:
    """The changes, newest first."""
    answer = session.call(
        lambda clients: every_page(
            lambda page: clients.queries.list_changes(
                ListChangesRequest(scope=session.scope, repository_id=repository, page=page)
            ),
            "changes",
        )
    )
    if as_json:
        emit_json(answer)
        return
    rows: list[tuple[str, ...]] = []
    for summary in answer.changes:
        found, run = summary.change, summary.newest_run
        if found is None:
            continue
        if quiet:
            click.echo(found.change_id)
            continue
        status = (
            word(found.status.name) if run is None or run.status in UNDER_WAY else run.outcome or word(run.status.name)
        )
        if summary.queue_position:
            status = in_line(summary.queue_position)
        rows.append(
            (found.change_id, found.repository_id, summary.phase, coloured(status), summary.awaiting, found.title)
        )
    if not quiet:
        table(
            ("CHANGE", "REPOSITORY", "PHASE", "STATUS", "WAITS FOR", "TITLE"),
            rows,
            empty="No change yet. Ask for one: ameide change start REPOSITORY --title '…'",
        )


@click.command()
@click.argument("change_id", metavar="CHANGE")
@as_json
@pass_session
def show(session: Session, change_id: str, as_json: bool) -> None:
    """One change: its artifacts, runs, gates, work and what it took, conversations, releases and promotions."""
    answer = session.call(
        lambda clients: clients.queries.get_change(GetChangeRequest(scope=session.scope, change_id=change_id))
    )
    if as_json:
        emit_json(answer)
    else:
        _print(answer)


@click.command()
@click.argument("change_id", metavar="CHANGE")
@pass_session
def diff(session: Session, change_id: str) -> None:
    """What the newest run wrote, attempt after attempt, as patches from its evidence."""

    async def act() -> bytes:
        async with session.connect() as clients:
            found = await clients.queries.get_change(GetChangeRequest(scope=session.scope, change_id=change_id))
            newest = found.summary.newest_run if found.summary else None
            store, patches = session.object_store(), list[bytes]()
            for work in sorted(found.works, key=lambda work: work.work_request_id):
                of_run = newest is not None and work.process_instance_id == newest.process_instance_id
                if work.status != WorkStatus.SUCCEEDED or not of_run:
                    continue
                request = GetWorkRequest(scope=session.scope, work_request_id=work.work_request_id)
                evidence = (await clients.work_queries.get_work(request)).evidence
                for artifact in evidence.artifacts if evidence else []:
                    if artifact.name == CHANGE_PATCH:
                        patches.append(await store.get(artifact.uri))
            if not patches:
                raise NotFound(f"{change_id} has no patch yet", remedy=f"See `ameide change show {change_id}`")
            return b"".join(patches)

    click.echo(asyncio.run(act()), nl=False)


@click.command()
@click.argument("change_id", metavar="CHANGE")
@click.option("--run", "process_instance_id", default="", metavar="ID", help="Only of this run.")
@follow
@as_json
@pass_session
def timeline(session: Session, change_id: str, process_instance_id: str, follow: bool, as_json: bool) -> None:
    """What happened, in three columns: Process, Events, Infra. Every row cites its record."""
    if follow:
        raise click.exceptions.Exit(
            session.call(lambda clients: follow_run(session, clients, change_id, as_json=as_json))
        )
    answer = session.call(
        lambda clients: every_page(
            lambda page: clients.queries.get_timeline(
                GetTimelineRequest(
                    scope=session.scope, change_id=change_id, process_instance_id=process_instance_id, page=page
                )
            ),
            "rows",
        )
    )
    if as_json:
        emit_json(answer)
    else:
        print_table(answer.rows)


@click.command()
@click.argument("change_id", metavar="CHANGE")
@click.option("--timeout", type=float, default=0, help="Seconds to wait at most; 0 for ever.")
@as_json
@pass_session
def wait(session: Session, change_id: str, timeout: float, as_json: bool) -> None:
    """Wait for the end of the newest run. Exit code 0 when it completed, 1 when it failed or was canceled."""
    run = session.call(lambda clients: until_closed(session, clients, change_id, timeout=timeout))
    if as_json:
        emit_json(run)
    else:
        click.echo(f"{change_id}, run {run.number}: {word(run.status.name)}, {run.outcome}")
    raise click.exceptions.Exit(0 if run.status == RunStatus.COMPLETED else 1)


def _print(answer: GetChangeResponse) -> None:
    summary = answer.summary
    if summary is None or summary.change is None:
        return
    found, run = summary.change, summary.newest_run
    facts(
        [
            ("change", found.change_id),
            ("title", found.title),
            ("repository", found.repository_id),
            ("requested by", found.requester.principal_id if found.requester else ""),
            ("status", coloured(word(found.status.name))),
            ("phase", summary.phase),
            ("waits for", in_line(summary.queue_position) if summary.queue_position else summary.awaiting),
            ("outcome", run.outcome if run else ""),
        ]
    )
    if answer.iterations:
        heading("Iterations")
        table(("#", "VERIFY", "COMMIT", "FAILING"), [_iteration(i) for i in answer.iterations])
    if answer.artifacts:
        heading("Artifacts")
        print_artifacts(answer.artifacts)
    if answer.gates:
        heading("Gates")
        table(
            ("GATE", "KIND", "STATUS", "BY", "COMMENT"),
            [
                (
                    gate.gate_id,
                    word(gate.kind.name)
                    + (f" {gate.subject.environment}" if gate.subject and gate.subject.environment else ""),
                    coloured(word(gate.status.name)),
                    gate.decided_by.principal_id if gate.decided_by else "",
                    gate.comment,
                )
                for gate in answer.gates
            ],
        )
    if answer.works:
        heading("Work")
        table(
            ("WORK", "ACTION", "STATUS", "ENDED", "SUMMARY"),
            [
                (
                    work.work_request_id,
                    step(work),
                    coloured(word(work.status.name)),
                    clock(work.ended_at),
                    brief(work.result.summary if work.result else ""),
                )
                for work in answer.works
            ],
        )
    print_costs(answer.steps, answer.costs, answer.total)
    if answer.conversations:
        heading("Conversations")
        print_conversations(answer.conversations, summed=True)
    for release in answer.releases:
        heading(f"Release {release.release_id}")
        click.echo(release.image_ref)
    if answer.promotions:
        table(
            ("ENVIRONMENT", "STATUS", "GITOPS COMMIT", "HEALTH"),
            [
                (p.environment, coloured(word(p.status.name)), p.gitops_commit_sha[:12], brief(p.health_summary))
                for p in answer.promotions
            ],
        )


def _iteration(iteration: Iteration) -> tuple[str, ...]:
    verdict = "green" if iteration.green else "red" if iteration.verify_work_request_id else "…"
    return (str(iteration.number), verdict, iteration.commit_sha[:12], ", ".join(iteration.failing))
