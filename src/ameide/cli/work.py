"""`ameide work`: delegated work, its attempts, its log."""

from __future__ import annotations

import asyncio

import click

from ameide.cli.gate_view import print_finding
from ameide.cli.options import as_json, change_filter, named, quiet, request_id, spelled
from ameide.cli.output import brief, clock, coloured, emit_json, facts, heading, step, table, word
from ameide.cli.session import Session, every_page, pass_session
from ameide.cli.session import request_id as key_for
from ameide.cli.work_log import print_log
from ameide_core_proto.transformation.work.v1.command_service_pb import CancelWorkRequest, RequestWorkRequest
from ameide_core_proto.transformation.work.v1.query_service_pb import GetWorkRequest, GetWorkResponse, ListWorkRequest
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, WorkInputs, WorkKind


@click.group()
def work() -> None:
    """Work that was delegated to executors."""


@work.command("list")
@change_filter
@as_json
@quiet
@pass_session
def list_(session: Session, change_id: str, as_json: bool, quiet: bool) -> None:
    """Work requests."""
    answer = session.call(
        lambda clients: every_page(
            lambda page: clients.work_queries.list_work(
                ListWorkRequest(scope=session.scope, change_id=change_id, page=page)
            ),
            "works",
        )
    )
    if as_json:
        emit_json(answer)
    elif quiet:
        for found in answer.works:
            click.echo(found.work_request_id)
    else:
        table(
            ("WORK", "KIND", "ACTION", "STATUS", "ATTEMPT", "REQUESTED", "RESULT"),
            [
                (
                    found.work_request_id,
                    word(found.work_kind.name),
                    step(found),
                    coloured(word(found.status.name)),
                    str(found.attempt),
                    clock(found.requested_at),
                    brief((found.result.summary if found.result else "") or found.summary),
                )
                for found in answer.works
            ],
        )


@work.command()
@click.argument("work_id", metavar="WORK")
@as_json
@pass_session
def show(session: Session, work_id: str, as_json: bool) -> None:
    """One work: what was asked, who ran it, what came of it."""
    answer = session.call(
        lambda clients: clients.work_queries.get_work(GetWorkRequest(scope=session.scope, work_request_id=work_id))
    )
    if as_json:
        emit_json(answer)
    else:
        _print(answer)


@work.command()
@click.argument("work_id", metavar="WORK")
@click.option("--follow", is_flag=True, help="Stay until the work ends.")
@pass_session
def logs(session: Session, work_id: str, follow: bool) -> None:
    """The log: of a running work the live end, of an ended one the whole, from its evidence."""
    asyncio.run(print_log(session, work_id, follow=follow))


@work.command()
@click.argument("work_id", metavar="WORK")
@click.option("--reason", required=True, help="Why; it is recorded.")
@request_id
@as_json
@pass_session
def cancel(session: Session, work_id: str, reason: str, request_id: str | None, as_json: bool) -> None:
    """Ask for the end of a work. Who runs it stops at the next heartbeat."""
    command = CancelWorkRequest(
        scope=session.scope, client_request_id=key_for(request_id), work_request_id=work_id, reason=reason
    )
    answer = session.call(lambda clients: clients.work.cancel_work(command))
    if as_json:
        emit_json(answer)
    else:
        click.echo(f"{work_id}: cancellation is requested.")


@work.command()
@click.argument("repository")
@click.option("--kind", type=spelled([kind.name for kind in WorkKind]), default="tool-run", show_default=True)
@click.option("--action", type=spelled([action.name for action in ActionKind]), default="preflight", show_default=True)
@click.option(
    "--commit", default="", help="Full commit id to work on; preflight and analyze without one take the default branch."
)
@click.option("--base", default="", help="Full commit id whose ameide.yaml counts; default: --commit.")
@click.option("--suite", default="", help="Verification suite of ameide.yaml.")
@click.option("--coder", default="", help="Coder of agent work.")
@click.option("--question", default="", help="What an analysis is to find out; of a tool run, words to look for.")
@click.option("--change", default="", metavar="CHANGE", help="The change that it is for, if any.")
@click.option("--summary", default="", help="What it is for, in a sentence.")
@request_id
@as_json
@quiet
@pass_session
def request(
    session: Session,
    repository: str,
    kind: str,
    action: str,
    commit: str,
    base: str,
    suite: str,
    coder: str,
    question: str,
    change: str,
    summary: str,
    request_id: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Request one work outside of a run, such as a verification of a commit or an analysis."""
    command = RequestWorkRequest(
        scope=session.scope,
        client_request_id=key_for(request_id),
        work_kind=WorkKind[named(kind)],
        action_kind=ActionKind[named(action)],
        repository_id=repository,
        change_id=change,
        commit_sha=commit,
        base_sha=base or commit,
        verification_suite_ref=suite,
        coder=coder,
        summary=summary,
        inputs=WorkInputs(question=question),
    )
    answer = session.call(lambda clients: clients.work.request_work(command))
    work_id = answer.work.work_request_id if answer.work else ""
    if as_json:
        emit_json(answer)
    elif quiet:
        click.echo(work_id)
    else:
        click.echo(f"{work_id} is requested. Follow it: ameide work logs {work_id} --follow")


def _print(answer: GetWorkResponse) -> None:
    found, result = answer.work, answer.work.result if answer.work else None
    if found is None:
        return
    facts(
        [
            ("work", found.work_request_id),
            ("kind", f"{word(found.work_kind.name)}, {word(found.action_kind.name)}"),
            ("for", found.summary),
            ("status", coloured(word(found.status.name))),
            ("change", found.change_id),
            ("repository", found.repo_url),
            ("commit", found.commit_sha),
            ("queue", found.queue),
            ("requested", clock(found.requested_at)),
            ("ended", clock(found.ended_at)),
            ("summary", result.summary if result else ""),
            ("failure", word(result.failure_code.name) if result and result.failure_code else ""),
            ("commit made", result.outputs.commit_sha if result and result.outputs else ""),
            ("image", result.outputs.image_ref if result and result.outputs else ""),
            ("evidence", result.evidence_bundle_id if result else ""),
        ]
    )
    for finding in result.findings if result else []:
        print_finding(finding)
    if answer.attempts:
        heading("Attempts")
        table(
            ("#", "BY", "RUNNER", "CLAIMED", "ENDED", "HOW", "HEARTBEATS", "WAITED"),
            [
                (
                    str(a.attempt),
                    a.executor_principal_id,
                    a.runner,
                    clock(a.claimed_at),
                    clock(a.ended_at),
                    a.ended_by or "runs",
                    str(a.heartbeats),
                    f"{a.queue_wait_ms} ms",
                )
                for a in answer.attempts
            ],
        )
