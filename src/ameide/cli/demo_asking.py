"""`ameide demo --interactive`: the person at the terminal decides at each gate, whatever comes."""

from __future__ import annotations

import click

from ameide.cli.demo_steps import GATE, HASH, Step
from ameide.cli.gate_view import decider
from ameide.cli.output import word
from ameide.cli.session import Session
from ameide.cli.watching import gate_or_end
from ameide.errors import Refused
from ameide_core_proto.transformation.governance.v1.governance_pb import Gate


def next_gate(session: Session, change_id: str) -> Gate | None:
    """The gate that the run waits at, or None when it has ended."""
    return session.call(lambda clients: gate_or_end(session, clients, change_id))


def ask(gate: Gate) -> Step:
    """The person's decision as a command. Raises Refused when the person stops; the run goes on waiting."""
    principal = decider(gate.kind)
    answer = click.prompt(
        f"\nDecide on {word(gate.kind.name)} as {principal}",
        type=click.Choice(["approve", "reject", "stop"]),
        default="approve",
    )
    if answer == "stop":
        raise Refused("you stopped the demo", remedy=f"The run waits for you: ameide gate show {gate.gate_id}")
    comment = click.prompt("Comment", default="" if answer == "approve" else None, show_default=False)
    return Step(("--as", principal, "gate", answer, GATE, "--hash", HASH, "--comment", comment))
