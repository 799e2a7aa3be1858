"""The review of a change for a person at a terminal. What the change says cannot steer the terminal."""

from __future__ import annotations

import textwrap

import click

from ameide.cli.cost_view import money, span
from ameide.cli.gate_review import Covering, Criterion, Diff, Review
from ameide.cli.output import facts, harmless, heading, width
from ameide_core_proto.transformation.work.v1.work_pb import Usage

_SHOWN = 8
_STATUS = {"passed": "green", "failed": "red", "skipped": "yellow"}
_LINES = {"+": "green", "-": "red", "@": "cyan"}


def print_review(found: Review, *, lines: int, gate_id: str) -> None:
    """Criteria, cost and diff; of the diff `lines` lines, 0 for all."""
    if found.criteria:
        heading("Criteria")
        for criterion in found.criteria:
            _print_criterion(criterion)
        click.echo(f"At the bound commit {found.passed} checks passed, {found.failed} failed, {found.skipped} skipped.")
    if found.cost is not None and found.cost.works:
        usage = found.cost.usage or Usage()
        heading("So far")
        facts(
            [
                ("tokens", f"{usage.input_tokens} in, {usage.output_tokens} out"),
                ("money", money(usage.cost_micros)),
                ("time", f"{span(found.cost.wall_time_ms)} in {found.cost.works} works"),
            ]
        )
    if found.talked is not None and found.talked != Usage():
        talked = found.talked
        told = f"{talked.input_tokens} tokens in, {talked.output_tokens} out, {money(talked.cost_micros)} of money"
        click.echo(f"Conversations about the change used {told}.")
    if found.diff is not None:
        heading("Diff")
        _print_diff(found.diff, lines, gate_id)


def _print_criterion(criterion: Criterion) -> None:
    indent = " " * 5
    text = f"{criterion.number:>3}. {harmless(criterion.text)}"
    click.echo(textwrap.fill(text, max(40, width()), subsequent_indent=indent))
    for covering in criterion.named_by[:_SHOWN]:
        click.echo(f"{indent}{_covered(covering)}")
    if len(criterion.named_by) > _SHOWN:
        click.echo(f"{indent}and by {len(criterion.named_by) - _SHOWN} more")
    if not criterion.named_by:
        click.echo(indent + click.style("no check names it", fg="yellow"))


def _covered(covering: Covering) -> str:
    status = click.style(covering.status, fg=_STATUS.get(covering.status))
    return f"named by the test itself: {harmless(covering.check)} ({status})"


def _print_diff(diff: Diff, lines: int, gate_id: str) -> None:
    shown = diff.patch.decode("utf-8", "surrogateescape").split("\n")
    if shown and not shown[-1]:
        shown.pop()
    for line in shown[: lines or None]:
        plain, colour = harmless(line), _LINES.get(line[:1])
        click.echo(click.style(plain, fg=colour) if colour else plain)
    if lines and len(shown) > lines:
        click.echo(f"{len(shown) - lines} more lines: ameide gate show {gate_id} --diff")
    if diff.problem:
        click.echo(click.style(diff.problem, fg="red"))
    else:
        click.echo(f"This is what the gate binds: recomputed from these lines, the diff hash is {diff.shown_hash}.")
