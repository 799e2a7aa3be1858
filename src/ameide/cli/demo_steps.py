"""The demo as a list of ordinary commands. Running them and printing them are two uses of the same list."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TITLE = "A customer can cancel an order that has not shipped"
TEXT = (
    "Customers who change their mind call us today. They shall cancel by themselves, as long as nothing is on its way."
)
CRITERIA = (
    "POST /orders/{id}/cancel cancels an order that is placed, and answers with the canceled order.",
    "An order that has shipped is not canceled: the service answers 409 not_allowed and the order stays as it was.",
    "Canceling an unknown order answers 404 not_found.",
)
QUESTIONS = ("Where does src/orders_service/store.py say that an order has shipped?",)
CHANGE, GATE, HASH = "$CHANGE", "$GATE", "$HASH"
# Gates in the order in which a run under the default policy comes to them: kind, who decides, what they say.
_GATES = (
    ("requirement-stabilized", "approver", "This is what our customers ask for."),
    ("acceptance", "approver", "The finding of the first attempt is dealt with, and the tests are green."),
    ("ready-to-release", "releaser", "Build it."),
    ("promotion", "releaser", "dev is healthy; staging may have the digest."),
    ("promotion", "releaser", "staging is healthy; production may have the digest."),
)


@dataclass(frozen=True)
class Step:
    """One command. `argv` comes after the word `ameide`; `$NAME` in it stands for what an earlier step captured."""

    argv: tuple[str, ...]
    capture: str = ""
    why: str = ""

    def shell(self, program: str) -> str:
        """As a line for a shell."""
        words = [f'"{word}"' if word.startswith("$") else shlex.quote(word) for word in self.argv]
        line = " ".join([program, *words])
        return f"{self.capture.removeprefix('$')}=$({line})" if self.capture else line

    def filled(self, captured: Mapping[str, str]) -> list[str]:
        """The arguments with what was captured in place."""
        return [captured.get(word, word) for word in self.argv]


def beginning(name: str, orders: Path, gitops: Path, coder: str, *, talk: bool) -> list[Step]:
    """Up to the running change; `talk`: with a short conversation before it."""
    start = ["--as", "requester", "change", "start", name, "--title", TITLE, "--text", TEXT]
    for criterion in CRITERIA:
        start += ["--criterion", criterion]
    return [
        Step(("up",), why="Four processes on the embedded PostgreSQL and Temporal."),
        Step(
            ("repo", "example", name),
            why="Two git remotes: a small service, and the environments that it is released to.",
        ),
        Step(
            ("repo", "add", name, str(orders), "--gitops", str(gitops)),
            why="Register them; the default policy comes with it.",
        ),
        *(_conversation(name) if talk else ()),
        Step(
            (*start, "--coder", coder, "-q"),
            capture=CHANGE,
            why="A requirement with numbered acceptance criteria, asked for by the principal requester.",
        ),
    ]


def _conversation(name: str) -> list[Step]:
    ask = ("--as", "requester", "chat", "--repo", name, "--read-only")
    return [
        Step(
            (*ask, "--new", QUESTIONS[0]),
            why="First a question to the Architect agent. What it says rests on records and lines, which it names.",
        ),
        *(Step((*ask, question)) for question in QUESTIONS[1:]),
    ]


def gates() -> list[Step]:
    """Wait at each gate, look at it, decide on what was seen."""
    steps: list[Step] = []
    for kind, principal, comment in _GATES:
        steps += gate(kind, principal, comment)
    return steps


def gate(kind: str, principal: str, comment: str) -> list[Step]:
    """One gate: the hash is taken from the view that is shown, so what is decided is what was seen."""
    decide = ("--as", principal, "gate", "approve", GATE, "--hash", HASH, "--comment", comment)
    return [
        Step(("gate", "list", "--change", CHANGE, "--wait", "--kind", kind, "-q"), capture=GATE),
        Step(("gate", "show", GATE)),
        Step(("gate", "show", GATE, "--only-hash"), capture=HASH),
        Step(decide, why=f"Deciding as {principal}, a second principal: who asked for the change may not."),
    ]


def ending() -> list[Step]:
    """The end of the run, and what is left of it."""
    return [
        Step(("change", "wait", CHANGE)),
        Step(("change", "show", CHANGE)),
        Step(("evidence", "verify", "--change", CHANGE), why="Hash everything that the attempts left behind again."),
        Step(("promotion", "list", "--change", CHANGE), why="One digest, copied from environment to environment."),
        Step(("change", "timeline", CHANGE)),
    ]


def as_script(program: str, steps: Sequence[Step]) -> str:
    """All steps as lines of shell."""
    return "\n".join(step.shell(program) for step in steps) + "\n"
