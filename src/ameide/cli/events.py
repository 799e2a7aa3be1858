"""`ameide events`: the log as it grows, and the messages that a consumer could not process."""

from __future__ import annotations

import asyncio
import json

import click

from ameide.cli.options import as_json, change_filter
from ameide.cli.output import clock, emit_json, table
from ameide.cli.session import Session, every_page, pass_session
from ameide.errors import NotFound
from ameide.rpc.clients import Clients
from ameide_core_proto.transformation.governance.v1.query_service_pb import (
    AuditEntry,
    ListAuditRequest,
    ListAuditResponse,
)

_INTERVAL = 0.5


@click.group()
def events() -> None:
    """Facts in the order of the log; parked messages."""


@events.command()
@change_filter
@click.option("--principal", "principal_id", default="", help="Only what this principal did.")
@click.option("-n", "--lines", type=click.IntRange(1), default=20, show_default=True, help="How many of the last.")
@click.option("--follow", is_flag=True, help="Stay and print what comes.")
@as_json
@pass_session
def tail(session: Session, change_id: str, principal_id: str, lines: int, follow: bool, as_json: bool) -> None:
    """The last facts."""
    request = ListAuditRequest(scope=session.scope, change_id=change_id, principal_id=principal_id)

    async def act(clients: Clients) -> None:
        answer = await _entries(clients, request)
        answer.entries[:] = answer.entries[-lines:]
        if as_json and not follow:
            emit_json(answer)
            return
        _print(answer.entries, as_json=as_json)
        position = answer.entries[-1].log_position if answer.entries else 0
        while follow:
            await asyncio.sleep(_INTERVAL)
            fresh = [entry for entry in (await _entries(clients, request)).entries if entry.log_position > position]
            _print(fresh, as_json=as_json)
            position = fresh[-1].log_position if fresh else position

    session.call(act)


@events.command()
@click.option("--json", "as_json", is_flag=True, help="Print the messages as JSON.")
@pass_session
def parked(session: Session, as_json: bool) -> None:
    """Messages that a consumer set aside, with the error. Reads the database: for who runs this installation."""
    from ameide.app import upkeep

    found = asyncio.run(upkeep.parked(session.with_databases()))
    if as_json:
        rows = [
            {
                "consumer": p.consumer,
                "key": p.key,
                "position": p.position,
                "name": p.name,
                "error": p.error,
                "retryAt": p.retry_at.isoformat() if p.retry_at else None,
            }
            for p in found
        ]
        click.echo(json.dumps({"parked": rows}, indent=2, ensure_ascii=False))
        return
    table(
        ("CONSUMER", "KEY", "POSITION", "NAME", "AGAIN", "ERROR"),
        [
            (
                p.consumer,
                p.key,
                str(p.position),
                p.name,
                p.retry_at.strftime("%H:%M:%S") if p.retry_at else "",
                p.error.split("\n", 1)[0],
            )
            for p in found
        ],
        empty="Nothing is parked.",
    )


@events.command()
@click.argument("consumer")
@click.argument("key")
@pass_session
def redrive(session: Session, consumer: str, key: str) -> None:
    """Release the parked messages of KEY to CONSUMER, in order, after their cause was removed."""
    from ameide.app import upkeep

    count = asyncio.run(upkeep.redrive(session.with_databases(), consumer, key))
    if count == 0:
        raise NotFound(
            f"nothing of {key} is parked for {consumer}, or all of it is released already",
            remedy="`ameide events parked` lists consumers and keys",
        )
    click.echo(f"{count} messages of {key} are released to {consumer}.")


async def _entries(clients: Clients, request: ListAuditRequest) -> ListAuditResponse:
    answer = await every_page(
        lambda page: clients.queries.list_audit(
            ListAuditRequest(
                scope=request.scope, change_id=request.change_id, principal_id=request.principal_id, page=page
            )
        ),
        "entries",
    )
    answer.entries.sort(key=lambda entry: entry.log_position)
    return answer


def _print(entries: list[AuditEntry], *, as_json: bool) -> None:
    for entry in entries:
        if as_json:
            click.echo(json.dumps(json.loads(entry.to_json(always_emit_implicit=True)), ensure_ascii=False))
        else:
            who = entry.actor.principal_id if entry.actor else ""
            click.echo(f"{entry.log_position:>6}  {clock(entry.occurred_at)}  {who:<10}  {entry.name}  {entry.text}")
