"""How a gate is shown to who decides on it: everything that its hash binds, and what surrounds it.

What people and programs wrote there cannot steer the terminal.
"""

from __future__ import annotations

from typing import Protocol

import click

from ameide.cli.conversation_view import origin_of, print_marks
from ameide.cli.output import clock, coloured, facts, harmless, heading, word
from ameide.contracts.subjects import subject_hash
from ameide_core_proto.transformation.governance.v1.governance_pb import Gate, GateSubject
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetGateResponse
from ameide_core_proto.transformation.work.v1.work_pb import Finding

_DECIDERS = {
    GateKind.READY_TO_RELEASE: "releaser",
    GateKind.PROMOTION: "releaser",
}
_MEANING = {
    GateKind.REQUIREMENT_STABILIZED: "Is this what is wanted? Approving starts the work on these words.",
    GateKind.ACCEPTANCE: "Is this change good? Approving lets this very commit be merged.",
    GateKind.READY_TO_RELEASE: "May the merge commit be built and published?",
    GateKind.PROMOTION: "May this digest run in this environment?",
    GateKind.NEEDS_HUMAN: "The run cannot go on alone. Approving gives it another attempt, rejecting ends it.",
    GateKind.BUDGET: "The budget is used up. Approving carries a new one, rejecting ends the run.",
}


def decider(kind: GateKind) -> str:
    """The principal of `ameide up` who decides on gates of this kind under the default policy."""
    return _DECIDERS.get(kind, "approver")


class Spelled(Protocol):
    """Writes a command of this program, for a principal."""

    def __call__(self, *words: str, who: str) -> str: ...


def verb_for(gate: Gate, spelled: Spelled) -> str:
    """The command that approves the gate as it is."""
    granting = ("--budget-tokens", "TOKENS") if gate.kind is GateKind.BUDGET else ()
    return spelled("gate", "approve", gate.gate_id, "--hash", gate.subject_hash, *granting, who=decider(gate.kind))


def print_gate(answer: GetGateResponse) -> None:
    """The gate for a person. Says so when the hash does not cover what is shown."""
    gate = answer.gate
    if gate is None:
        return
    facts(
        [
            ("gate", gate.gate_id),
            ("kind", word(gate.kind.name)),
            ("status", coloured(word(gate.status.name))),
            ("change", gate.change_id),
            ("opened", clock(gate.opened_at)),
            ("expires", clock(gate.expires_at)),
            ("decided", f"{clock(gate.decided_at)} by {gate.decided_by.principal_id}" if gate.decided_by else ""),
            ("comment", harmless(gate.comment)),
            ("void because", harmless(gate.void_reason)),
            ("used by", gate.consumed_by),
        ]
    )
    subject = gate.subject or GateSubject()
    heading(_MEANING.get(gate.kind, "Subject"))
    facts(
        [
            ("requirement", f"{subject.artifact_id}@{subject.artifact_number}" if subject.artifact_id else ""),
            ("commit", subject.commit_sha),
            ("based on", subject.base_sha),
            ("diff hash", subject.diff_hash),
            ("verified by", subject.verify_work_request_id),
            ("release", subject.release_id),
            ("image", subject.image_ref),
            ("environment", subject.environment),
            ("reason", harmless(subject.reason)),
            ("subject hash", gate.subject_hash),
        ]
    )
    if subject_hash(gate.kind, subject) != gate.subject_hash:
        click.echo(click.style("The hash is not that of the subject shown here; do not decide on it.", fg="red"))
    for finding in subject.findings:
        print_finding(finding)
    version = answer.artifact.current if answer.artifact else None
    content = version.content if version else None
    if version is not None and content is not None:
        heading(harmless(content.title))
        if content.source:
            click.echo(f"from {harmless(content.source)}")
        if version.provenance:
            click.echo(origin_of(version))
        for line in content.text.splitlines():
            click.echo(harmless(line))
        for number, criterion in enumerate(content.acceptance_criteria, 1):
            click.echo(f"  {number}. {harmless(criterion)}")
    print_marks(answer.marked_conversations)


def print_finding(finding: Finding) -> None:
    """One finding, with what to do about it."""
    click.echo(f"- {word(finding.class_.name)}: {harmless(finding.id)}")
    for text in (finding.what_failed, finding.why_it_matters, finding.location, *finding.fix_steps):
        for line in text.splitlines():
            click.echo(f"    {harmless(line)}")
