"""`ameide gate`: see what a gate binds, and decide on exactly that."""

from __future__ import annotations

import json
from collections.abc import Callable

import click

from ameide.cli.gate_review import as_data, get_gate, review
from ameide.cli.gate_review_view import print_review
from ameide.cli.gate_view import print_gate, verb_for
from ameide.cli.options import as_json, change_filter, named, quiet, request_id, spelled
from ameide.cli.output import at_a_terminal, clock, coloured, emit_json, table, word
from ameide.cli.session import Session, every_page, pass_session
from ameide.cli.session import request_id as key_for
from ameide.cli.stuck import Verbs
from ameide.cli.watching import seen, until_gate
from ameide.rpc.clients import Clients
from ameide_core_proto.transformation.governance.v1.command_service_pb import DecideGateRequest, DecideGateResponse
from ameide_core_proto.transformation.governance.v1.governance_pb import GateParameters, GateStatus, GateVerdict
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.governance.v1.query_service_pb import ListGatesRequest
from ameide_core_proto.transformation.work.v1.work_pb import Budget

_LINES = 200
"""So much of a diff is shown at a terminal unless the whole is asked for."""


@click.group()
def gate() -> None:
    """Gates: where a run waits for somebody's decision."""


@gate.command("list")
@change_filter
@click.option("--all", "everything", is_flag=True, help="Decided ones too.")
@click.option(
    "--wait", is_flag=True, help="Wait until a gate is open. Exit code 1 when the run ends or stops elsewhere."
)
@click.option("--kind", type=spelled([kind.name for kind in GateKind]), help="Only of this kind.")
@click.option("--timeout", type=float, default=0, help="Seconds to wait at most; 0 for ever.")
@as_json
@quiet
@pass_session
def list_(
    session: Session,
    change_id: str,
    everything: bool,
    wait: bool,
    kind: str | None,
    timeout: float,
    as_json: bool,
    quiet: bool,
) -> None:
    """The gates that wait for a decision."""
    only = GateKind[named(kind)] if kind else None
    if wait:
        answer = session.call(lambda clients: until_gate(session, clients, change_id, only, timeout=timeout))
    else:
        statuses = [] if everything else [GateStatus.OPEN]
        answer = session.call(
            lambda clients: every_page(
                lambda page: clients.queries.list_gates(
                    ListGatesRequest(scope=session.scope, change_id=change_id, statuses=statuses, page=page)
                ),
                "gates",
            )
        )
        answer.gates[:] = [found for found in answer.gates if only is None or found.kind == only]
    if as_json:
        emit_json(answer)
    elif quiet:
        for found in answer.gates:
            click.echo(found.gate_id)
    else:
        table(
            ("GATE", "KIND", "STATUS", "CHANGE", "OPENED"),
            [
                (
                    found.gate_id,
                    word(found.kind.name),
                    coloured(word(found.status.name)),
                    found.change_id,
                    clock(found.opened_at),
                )
                for found in answer.gates
            ],
            empty="No gate waits for a decision.",
        )
        for found in answer.gates[:1]:
            if found.status == GateStatus.OPEN:
                click.echo(f"Next: ameide gate show {found.gate_id}")


@gate.command()
@click.argument("gate_id", metavar="GATE")
@click.option("--only-hash", is_flag=True, help="Print the subject's hash alone.")
@click.option("--diff", "whole", is_flag=True, help="Print the whole diff, however long.")
@as_json
@pass_session
def show(session: Session, gate_id: str, only_hash: bool, whole: bool, as_json: bool) -> None:
    """What the gate binds, and the hash to decide with.

    At an acceptance gate: the criteria and the tests that name them, the exact diff, and what it took so far.
    """
    if only_hash:
        answer = session.call(lambda clients: get_gate(session, clients, gate_id))
        click.echo(answer.gate.subject_hash if answer.gate else "")
        return
    answer, found = session.call(lambda clients: review(session, clients, gate_id))
    if as_json:
        shown = json.loads(answer.to_json(always_emit_implicit=True))
        click.echo(json.dumps({**shown, "review": as_data(found)}, indent=2, ensure_ascii=False))
    elif answer.gate is not None:
        print_gate(answer)
        print_review(found, lines=0 if whole or not at_a_terminal() else _LINES, gate_id=gate_id)
        if answer.gate.status == GateStatus.OPEN:
            click.echo()
            click.echo(f"Decide: {verb_for(answer.gate, Verbs(session, local=False).ameide)}")


def _decision(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        pass_session,
        as_json,
        request_id,
        click.option(
            "--budget-cost-micros",
            type=click.IntRange(min=0),
            default=0,
            help="What the change may use in all, in millionths.",
        ),
        click.option(
            "--budget-tokens", type=click.IntRange(min=0), default=0, help="What the change may use in all, in tokens."
        ),
        click.option(
            "--more-iterations", type=click.IntRange(0, 50), default=0, help="How many more attempts the coder gets."
        ),
        click.option("--comment", default="", help="Why; needed to reject or override."),
        click.option(
            "--hash",
            "subject_hash",
            default="",
            help="The subject you saw, as `gate show` prints it. Asked for at a terminal.",
        ),
        click.argument("gate_id", metavar="GATE"),
    ):
        command = option(command)
    return command


@gate.command()
@_decision
def approve(session: Session, gate_id: str, **given: str | int | bool | None) -> None:
    """Let the run pass, for the subject with this hash."""
    _decide(session, gate_id, GateVerdict.APPROVE, given)


@gate.command()
@_decision
def reject(session: Session, gate_id: str, **given: str | int | bool | None) -> None:
    """Refuse. What follows depends on the kind: back to the coder, back to drafting, or the end of the run."""
    _decide(session, gate_id, GateVerdict.REJECT, given)


@gate.command()
@_decision
def override(session: Session, gate_id: str, **given: str | int | bool | None) -> None:
    """Let the run pass against the rule, as operator or admin. The comment is kept."""
    _decide(session, gate_id, GateVerdict.OVERRIDE, given)


def _decide(session: Session, gate_id: str, verdict: GateVerdict, given: dict[str, str | int | bool | None]) -> None:
    subject_hash = str(given["subject_hash"] or "") or _seen(session, gate_id, verdict)
    comment = str(given["comment"] or "")
    if verdict != GateVerdict.APPROVE and not comment.strip():
        if not at_a_terminal():
            raise click.UsageError(f"--comment is needed to {word(verdict.name)}: it is recorded why.")
        comment = click.prompt("Why")
    budget = Budget(max_tokens=int(given["budget_tokens"] or 0), max_cost_micros=int(given["budget_cost_micros"] or 0))
    parameters = GateParameters(
        more_iterations=int(given["more_iterations"] or 0),
        budget=budget if budget.max_tokens or budget.max_cost_micros else None,
    )
    key = given["request_id"]
    command = DecideGateRequest(
        scope=session.scope,
        client_request_id=key_for(key if isinstance(key, str) else None),
        gate_id=gate_id,
        verdict=verdict,
        subject_hash=subject_hash,
        comment=comment,
        parameters=parameters,
    )

    async def act(clients: Clients) -> DecideGateResponse:
        answer = await clients.governance.decide_gate(command)
        if answer.gate is not None:
            await seen(session, clients, answer.gate)
        return answer

    answer = session.call(act)
    if given["as_json"]:
        emit_json(answer)
    elif answer.gate is not None:
        found = answer.gate
        voice = f", voice {len(found.votes)} of {found.quorum}" if found.status == GateStatus.OPEN else ""
        click.echo(f"{gate_id} ({word(found.kind.name)}) is {coloured(word(found.status.name))}{voice}.")


def _seen(session: Session, gate_id: str, verdict: GateVerdict) -> str:
    if not at_a_terminal():
        raise click.UsageError(
            f"--hash is needed: a decision is about what was seen. `ameide gate show {gate_id} --only-hash` prints it."
        )
    answer, found = session.call(lambda clients: review(session, clients, gate_id))
    print_gate(answer)
    print_review(found, lines=_LINES, gate_id=gate_id)
    click.confirm(f"\n{word(verdict.name).capitalize()} this", abort=True)
    return answer.gate.subject_hash if answer.gate else ""
