"""The rules that every executor keeps, each by its name. The protocol's reference has the same sentences."""

from __future__ import annotations

from collections.abc import Sequence

RULES: dict[str, str] = {
    "claims-first": "Nothing is said or done about a work before the Domain has answered its claim with RUN.",
    "same-claim-again": "A claim whose answer was lost is repeated with its claim_id; every other claim has a new one.",
    "only-its-queues": "It polls the queues that it was given, and takes no work of another.",
    "one-at-a-time": "A slot has one claim at a time.",
    "declined-is-fine": "A declined claim is nobody's error: nothing is done about it, and the next work is taken.",
    "outcome-with-evidence": "An outcome carries its attempt's evidence; every artifact in it is stored as it says.",
    "tells-failure": "What failed is recorded as a failure with a code, never as a success.",
    "same-upload-again": "An upload whose answer was lost is sent again with the same bytes.",
    "same-outcome-again": "An outcome whose answer was lost is sent again, the same in every field.",
    "heartbeats-in-time": "A lease is extended before its end, counted from when the last answered call was sent.",
    "cancel-honoured": "A cancel that a heartbeat asks for ends the child, and the outcome is CANCELED.",
    "fenced": "After the answer FENCED the child is dead, and nothing more is said for that attempt.",
    "self-fence": "When the lease could not be extended in time, the child is dead by its end and nothing is written.",
    "backs-off": "While nobody answers it tries again, more and more slowly, for as long as it takes.",
    "sigterm-releases": "On SIGTERM it ends the child, gives the claim back with ReleaseWork, and exits 0.",
}


class RuleBroken(Exception):
    """An executor broke a rule; `saw` tells what was seen."""

    def __init__(self, rule: str, saw: str) -> None:
        super().__init__(f"{rule}: {RULES[rule]}\n  seen: {saw}")
        self.rule, self.saw = rule, saw


def told(broken: Sequence[RuleBroken], log: str) -> str:
    """What a run of the kit prints at its end; `log` is the end of the executor's own output."""
    if not broken:
        return f"The executor keeps all {len(RULES)} rules."
    lines = [f"BROKEN {found}" for found in broken]
    return "\n".join([*lines, "The end of what the executor printed:", log or "  (nothing)"])
