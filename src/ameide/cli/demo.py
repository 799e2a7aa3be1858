"""`ameide demo`: a requirement becomes a promoted release, by ordinary commands, on this machine."""

from __future__ import annotations

import contextlib
import io
import shlex
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import click

from ameide.cli import demo_asking, demo_steps
from ameide.cli.cost_view import money
from ameide.cli.demo_steps import CHANGE, GATE, HASH, Step
from ameide.cli.demo_stop import tell_where
from ameide.cli.example import free_name, remotes
from ameide.cli.output import at_a_terminal, heading
from ameide.cli.session import Session, pass_session
from ameide.cli.up import without_architect
from ameide.cli.watching import newest
from ameide.contracts.usage import tokens_of
from ameide.errors import Refused
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetChangeRequest
from ameide_core_proto.transformation.work.v1.work_pb import Usage


@click.command()
@click.option("--print", "only_print", is_flag=True, help="List the commands instead of running them.")
@click.option("--interactive", is_flag=True, help="Ask you at each gate.")
@click.option("--coder", default="patches", show_default=True, help="Who writes the change; patches needs no model.")
@pass_session
def demo(session: Session, only_print: bool, interactive: bool, coder: str) -> None:
    """Make a requirement a promoted release. Exit code 1 when it does not come to that."""
    name = free_name(session.settings.forge_root)
    orders, gitops = remotes(session.settings.forge_root, name)
    steps = demo_steps.beginning(name, orders, gitops, coder, talk=not without_architect(session))
    if only_print:
        click.echo(
            demo_steps.as_script(_program(session), [*steps, *demo_steps.gates(), *demo_steps.ending()]), nl=False
        )
        return
    if interactive and not at_a_terminal():
        raise click.UsageError("--interactive asks a person: it needs a terminal.")
    begun = time.monotonic()
    runner = _Runner(session)
    if coder == "patches":
        click.echo(
            "The coder of this demo is offline: it applies prepared patches and asks no model. The first is wrong."
        )
    runner.run(steps)
    if interactive:
        _decide_by_asking(session, runner)
    else:
        runner.run(demo_steps.gates())
    runner.run(demo_steps.ending())
    _farewell(session, runner.captured[CHANGE], time.monotonic() - begun)


class _Runner:
    """Runs steps in this process, exactly as the program would from a shell."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._options = session.global_options
        self.captured: dict[str, str] = {}

    def run(self, steps: Iterable[Step]) -> None:
        """Run them in order; leaves the program with the exit code of the first that fails."""
        # The table of commands names this module.
        from ameide.cli.root import run

        for step in steps:
            if step.why:
                click.echo(click.style(f"\n# {step.why}", dim=True))
            argv = step.filled(self.captured)
            # What a person would copy from one line to the next needs no line of its own.
            silent = argv[-1].startswith("--only")
            if not silent:
                click.echo(click.style(f"$ ameide {_short(argv)}", bold=True))
            captured = io.StringIO()
            with contextlib.redirect_stdout(captured) if step.capture else contextlib.nullcontext():
                code = run([*self._options, *argv])
            if code:
                self._stop(step, code)
            if step.capture:
                self.captured[step.capture] = captured.getvalue().strip().split("\n")[0]
                if not silent:
                    click.echo(self.captured[step.capture])

    def _stop(self, step: Step, code: int) -> None:
        change = self.captured.get(CHANGE)
        click.echo(err=True)
        click.echo(f"The demo stops here: `ameide {_short(step.filled(self.captured))}` ended with {code}.", err=True)
        if change:
            tell_where(self._session, change)
            click.echo(f"Where the change stands: ameide change show {change}", err=True)
        raise click.exceptions.Exit(code)


def _decide_by_asking(session: Session, runner: _Runner) -> None:
    while gate := demo_asking.next_gate(session, runner.captured[CHANGE]):
        runner.captured |= {GATE: gate.gate_id, HASH: gate.subject_hash}
        runner.run([Step(("gate", "show", GATE))])
        decision = demo_asking.ask(gate)
        runner.run([decision])
        if "reject" in decision.argv and gate.kind == GateKind.REQUIREMENT_STABILIZED:
            raise Refused(
                "the run waits for a new version of the requirement",
                remedy=f"Write it: ameide --as requester change revise {gate.change_id} --requirement FILE",
            )


def _farewell(session: Session, change: str, seconds: float) -> None:
    summary = session.call(lambda clients: newest(session, clients, change))
    outcome = summary.newest_run.outcome if summary.newest_run else ""
    heading(f"{change}: {outcome} after {seconds:.0f} s")
    click.echo(f"Evidence  {session.settings.object_store}, listed by: ameide evidence list --change {change}")
    click.echo(f"Remotes   {session.settings.forge_root}")
    click.echo(f"Images    {session.settings.registry_root}")
    click.echo(f"Cost      {_cost(session, change)}")
    heading("Try next")
    for line in (
        "ameide status",
        f"ameide change timeline {change} --json",
        f"ameide change diff {change}",
        "ameide promotion environments",
        "ameide demo --interactive",
        "ameide repo add URL           your own repository; docs/how-to/use-it-on-my-repository.md",
        "ameide down                   stop everything; the data stays",
    ):
        click.echo(f"  {line}")
    if outcome != "delivered":
        raise click.exceptions.Exit(1)


def _cost(session: Session, change: str) -> str:
    request = GetChangeRequest(scope=session.scope, change_id=change)
    total = session.call(lambda clients: clients.queries.get_change(request)).total
    usage = (total.usage if total else None) or Usage()
    if not tokens_of(usage):
        return "nothing: no model was asked"
    price = money(usage.cost_micros) if usage.cost_micros else "what they cost is unknown: see AMEIDE_PRICES"
    return f"{tokens_of(usage)} tokens of {usage.model or 'the model'}; {price}"


def _short(argv: list[str]) -> str:
    return " ".join(shlex.quote(word) if len(word) <= 60 else shlex.quote(f"{word[:57]}…") for word in argv)


def _program(session: Session) -> str:
    """How this program is called from the shell: `ameide` where that is us, else its path."""
    called, known = Path(sys.argv[0]), shutil.which("ameide")
    if known is not None and Path(known).resolve() == called.resolve():
        name = "ameide"
    elif called.name == "ameide":
        name = shlex.quote(str(called.resolve()))
    else:
        name = f"{shlex.quote(sys.executable)} -m ameide"
    return " ".join([name, *map(shlex.quote, session.global_options)])
