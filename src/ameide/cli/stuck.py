"""What is stuck, in a sentence each, with the command that moves it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from ameide.cli.gate_view import decider, verb_for
from ameide.cli.output import brief, clock, heading, word
from ameide.cli.session import Session
from ameide.contracts.topics import QUEUES, short_name
from ameide_core_proto.transformation.governance.v1.governance_pb import Gate
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetStatusResponse, Stuck, StuckKind

EXECUTOR = "executor pool"
_SHOWN = 10
# These wait for people, which is as it should be.
_PEOPLES = frozenset({StuckKind.GATE, StuckKind.PROMOTION})
_ALL_OF = {
    StuckKind.GATE: "ameide gate list",
    StuckKind.PARKED: "ameide events parked",
    StuckKind.PROMOTION: "ameide promotion list",
}
_WAITING = {
    "relay": "{n} in the outbox",
    "forwarder": "{n} not yet given to Kafka",
    "projector": "{n} not yet in the views",
    "ingress": "{n} not yet told to their runs",
    "sweeper": "{n} overdue",
}


@dataclass(frozen=True)
class Line:
    """`what` stands still, since when and why, in one sentence; `verb` is the command that moves it.

    `for_people` when nothing is broken, and somebody has a decision to make. `since` is ISO 8601, or empty.
    """

    kind: str
    subject: str
    what: str
    verb: str
    since: str = ""
    for_people: bool = False

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "kind": self.kind,
            "subject": self.subject,
            "since": self.since,
            "text": self.what,
            "verb": self.verb,
            "for_people": self.for_people,
        }


@dataclass(frozen=True)
class Verbs:
    """The commands as this person can run them: here, where `ameide up` starts things, or elsewhere."""

    session: Session
    local: bool
    """Whether the Domain is the one of this state folder."""
    all_run: bool = False
    """Whether `ameide up` would find nothing to start."""
    no_executor: bool = False
    """Whether `ameide up` was told to leave the executor out."""
    paused: frozenset[str] = frozenset()
    """The queues from which the pool of this state folder takes nothing for now."""

    def start(self, command: str) -> str:
        """What starts the part that `command` runs alone."""
        if not self.local:
            return f"ameide {command}"
        if self.no_executor and command == EXECUTOR:
            return self.ameide("up")
        up = self.ameide("up", *(("--no-executor",) if self.no_executor else ()))
        return f"{self.ameide('down')} && {up}" if self.all_run else up

    def ameide(self, *words: str, who: str = "") -> str:
        """A command line with the global options of this one, as a principal if its token for that Domain is here."""
        state, theirs = self.session.state, self.session.settings.address
        ours = not theirs or theirs == state.address()
        options = ("--as", who) if who and ours and state.token(who) is not None else ()
        return shlex.join(["ameide", *self.session.global_options, *options, *words])


def lines_of(found: GetStatusResponse, verbs: Verbs) -> list[Line]:
    """A line for everything that the Domain names; one for all queues in which nothing waits."""
    here = [item for item in found.stuck if item.kind is not StuckKind.QUEUE or item.subject not in verbs.paused]
    idle = [item for item in here if item.kind is StuckKind.QUEUE and not item.waiting]
    lines = [_line(item, verbs) for item in here if item not in idle]
    # Without an executor here, others come when something waits.
    return [*lines, _idle_queues(idle, verbs)] if idle and not verbs.no_executor else lines


def _idle_queues(idle: Sequence[Stuck], verbs: Verbs) -> Line:
    names = ", ".join(item.subject for item in idle)
    what = f"no executor serves {names}: nothing waits there yet; last polled {clock(idle[0].last_seen)}"
    since = idle[0].since.to_datetime().isoformat() if idle[0].since else ""
    return Line("queue", names, what, verbs.start(EXECUTOR), since)


def paused_lines(found: GetStatusResponse | None, verbs: Verbs) -> list[Line]:
    """That queues are paused here, and how many works wait in them, as far as the Domain tells."""
    if not verbs.paused:
        return []
    names = [short_name(queue) for queue in QUEUES if queue in verbs.paused]
    what = f"paused here: {', '.join(names)}"
    if found is not None:
        waiting = sum(queue.ready for queue in found.queues if queue.queue in verbs.paused)
        what += f"; {_many(waiting, 'work')} {'waits' if waiting == 1 else 'wait'} there"
    said = [] if len(names) == len(QUEUES) else [word for name in names for word in ("--queue", name)]
    return [Line("paused", ", ".join(names), what, verbs.ameide("executor", "resume", *said), for_people=True)]


def print_lines(lines: Sequence[Line], open_gates: int) -> None:
    """All lines, the same kind no more than ten times."""
    heading("Stuck")
    if not lines:
        click.echo("Nothing is stuck.")
    kinds = list(dict.fromkeys(line.kind for line in lines))
    for kind in kinds:
        alike = [line for line in lines if line.kind == kind]
        for line in alike[:_SHOWN]:
            click.echo(f"- {line.what}")
            click.echo(f"    {line.verb}")
        total = max(len(alike), open_gates) if kind == "gate" else len(alike)
        if total > _SHOWN:
            every = next((verb for of, verb in _ALL_OF.items() if of.name.lower() == kind), "ameide status --json")
            click.echo(f"- and {total - _SHOWN} more of this kind: {every}")


def _line(item: Stuck, verbs: Verbs) -> Line:
    what, verb = _said(item, verbs)
    since = item.since.to_datetime().isoformat() if item.since else ""
    return Line(item.kind.name.lower(), item.subject, what, verb, since, item.kind in _PEOPLES or _for_people(item))


def _for_people(item: Stuck) -> bool:
    return item.kind is StuckKind.RUN and item.reason.startswith("new_version")


def _said(item: Stuck, verbs: Verbs) -> tuple[str, str]:
    since = f"since {clock(item.since)} ({duration(item.age_seconds)})"
    match item.kind:
        case StuckKind.GATE if item.gate is not None:
            return _gate(item.gate, since), verb_for(item.gate, verbs.ameide)
        case StuckKind.QUEUE:
            seen = f"; last polled {clock(item.last_seen)}" if item.last_seen else "; it was never polled"
            return f"no executor serves queue {item.subject}: {_works(item)}{seen}", verbs.start(EXECUTOR)
        case StuckKind.FORWARDER if item.reason:
            return f"{_role(item)}: {brief(item.reason)}", verbs.ameide("doctor")
        case StuckKind.RELAY | StuckKind.FORWARDER | StuckKind.PROJECTOR | StuckKind.INGRESS | StuckKind.SWEEPER:
            return _role(item), verbs.start(f"serve {item.subject}")
        case StuckKind.PARKED:
            what = f"{_many(item.waiting, 'message')} of {item.subject} parked by the {item.consumer} {since}"
            redrive = verbs.ameide("events", "redrive", item.consumer, item.subject)
            return f"{what}: {brief(item.reason)}. Remove the cause first", redrive
        case StuckKind.RUN if _for_people(item):
            verb = verbs.ameide("change", "revise", item.change_id, who="requester")
            return (
                f"run {item.subject} waits for a new version of its requirement {since}",
                f"{verb} --requirement FILE",
            )
        case StuckKind.RUN:
            why = "no process worker takes its next step"
            return f"run {item.subject} waits for nothing and does not go on {since}: {why}", verbs.start(
                "serve worker"
            )
        case StuckKind.CANCEL:
            what = f"work {item.subject} is to be canceled, and executor {item.principal_id} is silent {since}"
            return what, verbs.start(EXECUTOR)
        case StuckKind.PROMOTION:
            what = f"promotion {item.subject} waits for somebody to merge its pull request {since}: {item.reason}"
            return what, verbs.ameide("promotion", "show", item.subject)
        case _:
            return f"{word(item.kind.name)} {item.subject} {since}", verbs.ameide("status")


def _gate(gate: Gate, since: str) -> str:
    environment = gate.subject.environment if gate.subject else ""
    kind = f"{word(gate.kind.name)}{f' to {environment}' if environment else ''}"
    reason = brief(gate.subject.reason) if gate.subject and gate.subject.reason else ""
    because = f": {reason}" if reason else ""
    voices = f", {len(gate.votes)} of {gate.quorum} voices" if gate.quorum > 1 else ""
    match gate.kind:
        case GateKind.NEEDS_HUMAN:
            return f"gate {gate.gate_id}: the run of {gate.change_id} needs a person {since}{because}"
        case GateKind.BUDGET:
            return f"gate {gate.gate_id}: the run of {gate.change_id} has no budget left {since}{because}"
        case _:
            who = decider(gate.kind)
            article = "an" if who[0] in "aeiou" else "a"
            return (
                f"gate {gate.gate_id} ({kind} of {gate.change_id}) waits for {article} {who} {since}{voices}{because}"
            )


def _role(item: Stuck) -> str:
    seen = f"last seen {clock(item.last_seen)}" if item.last_seen else "never seen"
    if item.waiting:
        what = _WAITING[item.subject].format(
            n=_many(item.waiting, "deadline" if item.subject == "sweeper" else "message")
        )
        return f"the {item.subject} is {duration(item.age_seconds)} behind: {what}; {seen}"
    return f"the {item.subject} {'gets nowhere' if item.reason else 'does not run'}: {seen}"


def _works(item: Stuck) -> str:
    verb = "waits" if item.waiting == 1 else "wait"
    return f"{_many(item.waiting, 'work')} {verb}, the oldest for {duration(item.age_seconds)}"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """In the largest unit that gives two or more, as people say it."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
