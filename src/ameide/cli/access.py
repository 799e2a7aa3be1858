"""`ameide principal` and `ameide token`: who may act, and with what."""

from __future__ import annotations

from pathlib import Path

import click

from ameide.cli.options import as_json, quiet, request_id, spelled
from ameide.cli.output import clock, emit_json, facts, say, table, word
from ameide.cli.session import Session, pass_session
from ameide.cli.session import request_id as key_for
from ameide.contracts.topics import queue_named, short_name
from ameide.engine.files import write_whole
from ameide.errors import InvalidArgument
from ameide_core_proto.transformation.governance.v1.access_service_pb import (
    AdmitPrincipalRequest,
    IssueTokenRequest,
    ListTokensRequest,
    RevokeTokenRequest,
    WhoAmIRequest,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import ApiToken, PrincipalKind

_ROLES = ["viewer", "requester", "approver", "releaser", "executor", "operator", "admin", "process", "representative"]


@click.group()
def principal() -> None:
    """Principals: people, agents and services."""


@principal.command()
@click.argument("name")
@click.option("--role", "roles", multiple=True, required=True, type=click.Choice(_ROLES), help="Repeat for more.")
@click.option("--kind", type=spelled([kind.name for kind in PrincipalKind]), default="person", show_default=True)
@click.option("--display-name", default="", help="How people call it.")
@request_id
@as_json
@pass_session
def admit(
    session: Session,
    name: str,
    roles: tuple[str, ...],
    kind: str,
    display_name: str,
    request_id: str | None,
    as_json: bool,
) -> None:
    """Admit a principal, or change its roles. Needs the role admin."""
    command = AdmitPrincipalRequest(
        scope=session.scope,
        client_request_id=key_for(request_id),
        principal_id=name,
        display_name=display_name or name,
        kind=PrincipalKind[kind.upper()],
        roles=list(roles),
    )
    answer = session.call(lambda clients: clients.access.admit_principal(command))
    if as_json:
        emit_json(answer)
    else:
        click.echo(f"{name} is admitted as {', '.join(roles)}.")
        click.echo(f"Next: ameide token create {name}")


@principal.command()
@as_json
@pass_session
def whoami(session: Session, as_json: bool) -> None:
    """Whom the token of this shell stands for."""
    answer = session.call(lambda clients: clients.access.who_am_i(WhoAmIRequest()))
    if as_json:
        emit_json(answer)
    elif answer.principal is not None:
        found = answer.principal
        facts(
            [
                ("principal", found.principal_id),
                ("name", found.display_name),
                ("kind", word(found.kind.name)),
                ("roles", ", ".join(answer.roles or found.roles)),
                ("scopes", ", ".join(answer.scopes) or "no limit"),
                ("tenant", found.scope.tenant_id if found.scope else ""),
            ]
        )


@click.group()
def token() -> None:
    """API tokens; only their hashes are stored."""


@token.command()
@click.argument("name")
@click.option("--expires-in", type=click.IntRange(0), default=0, metavar="SECONDS", help="0: never.")
@click.option(
    "--queue",
    "queues",
    multiple=True,
    help="For executors: a queue that it may serve, such as `verify` or `coder`; repeat for more.",
)
@click.option(
    "--only-execute",
    is_flag=True,
    help="For executors outside: it can do nothing else, and its evidence comes through the Domain's door.",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["read", "propose"]),
    help="What it may be used for at most, such as by an agent: `read` is all queries and questions, `propose` to open "
    "changes and to propose, revise and submit artifacts; repeat for both. Default: all that NAME may.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write it to this file, mode 0600."
)
@as_json
@quiet
@pass_session
def create(
    session: Session,
    name: str,
    expires_in: int,
    queues: tuple[str, ...],
    only_execute: bool,
    scopes: tuple[str, ...],
    output: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make a token for the principal NAME. It is shown once."""
    if only_execute and not queues:
        raise InvalidArgument("names no queue", field="--queue", remedy="Name the queues that the executor serves")
    if scopes and queues:
        raise InvalidArgument(
            "a token with scopes serves no queue", field="--scope", remedy="Make one token for each of the two"
        )
    command = IssueTokenRequest(
        scope=session.scope,
        principal_id=name,
        expires_in_seconds=expires_in,
        queues=[queue_named(queue, "--queue") for queue in queues],
        only_executes=only_execute,
        scopes=list(scopes),
    )
    answer = session.call(lambda clients: clients.access.issue_token(command))
    token_id = answer.token.token_id if answer.token else ""
    if output is not None:
        write_whole(output, answer.secret + "\n", mode=0o600)
        click.echo(token_id if quiet else f"Token {token_id} is in {output}.")
    elif as_json:
        emit_json(answer)
    else:
        if not quiet:
            say(f"Token {token_id} of {name}; it is not shown again:")
        click.echo(answer.secret)


@token.command("list")
@as_json
@quiet
@pass_session
def list_(session: Session, as_json: bool, quiet: bool) -> None:
    """The tokens, without their secrets."""
    answer = session.call(lambda clients: clients.access.list_tokens(ListTokensRequest(scope=session.scope)))
    if as_json:
        emit_json(answer)
    elif quiet:
        for found in answer.tokens:
            click.echo(found.token_id)
    else:
        table(
            ("TOKEN", "PRINCIPAL", "CREATED", "EXPIRES", "REVOKED", "SCOPES", "QUEUES"),
            [
                (
                    t.token_id,
                    t.principal_id,
                    clock(t.created_at),
                    clock(t.expires_at) or "never",
                    clock(t.revoked_at),
                    ", ".join(t.scopes) or "all",
                    _queues(t),
                )
                for t in answer.tokens
            ],
        )


@token.command()
@click.argument("token_id", metavar="TOKEN")
@as_json
@pass_session
def revoke(session: Session, token_id: str, as_json: bool) -> None:
    """Make a token useless, at once."""
    command = RevokeTokenRequest(scope=session.scope, token_id=token_id)
    answer = session.call(lambda clients: clients.access.revoke_token(command))
    if as_json:
        emit_json(answer)
    else:
        click.echo(f"{token_id} is revoked.")


def _queues(token: ApiToken) -> str:
    """The queues that a token serves, in short; of one for executors outside that it does nothing else."""
    names = ", ".join(short_name(queue) for queue in token.queues)
    return f"{names} (only executes)" if token.only_executes else names
