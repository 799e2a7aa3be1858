"""Drafts without a model: a wish, a triage, the policy and lines of files, put into the form of their kind.

Every sentence of a draft is the person's, the policy's or the form's. Nothing is concluded, and what is missing is
asked for.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from ameide.architect.tools.artifacts import content_text
from ameide.architect.tools.rendering import clipped, listed
from ameide.architect.triage import folded, required_gates
from ameide.architect.unaided.basis import Basis
from ameide.architect.unaided.wishes import questions_of, statements_of, title_of
from ameide.errors import InvalidArgument
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import (
    ArtifactContent,
    ArtifactKind,
    ChangeSize,
    ChecklistItem,
    Primitive,
    RiskLevel,
    Triage,
)

_TITLE, _TEXT, _CRITERION, _CRITERIA, _ITEM, _ITEMS = 200, 4096, 1000, 50, 500, 20
_SMALL, _MEDIUM = 2, 6
_PRIMITIVES = {
    Primitive.DOMAIN: "rule record command owner state data field store table schema database proto",
    Primitive.PROCESS: "workflow process run gate step retry timeout orchestration",
    Primitive.PROJECTION: "list report view query search history timeline audit dashboard",
    Primitive.INTEGRATION: "webhook forge registry integration import export api http event kafka email notify",
    Primitive.UI_SURFACE: "page ui console screen button form browser css layout",
    Primitive.AGENT: "agent model prompt chat coder llm",
}


def drafted(kind: ArtifactKind, wish: str, basis: Basis) -> ArtifactContent:
    """A first version from a template. Raises `InvalidArgument` when there is nothing to make it of."""
    match kind:
        case ArtifactKind.REQUIREMENT:
            return requirement(wish, basis)
        case ArtifactKind.DEV_BRIEF:
            return dev_brief(wish, basis)
        case ArtifactKind.GATE_CHECKLIST:
            return gate_checklist(wish, basis)
        case ArtifactKind.TRIAGE:
            title = _title(title_of(wish) or basis.title)
            return ArtifactContent(title=title, triage=triage_form(wish or basis.title, basis.policy))
        case _:
            raise InvalidArgument("is no kind of artifact", field="kind")


def requirement(wish: str, basis: Basis) -> ArtifactContent:
    """What is wished, with each of its statements, or what a triage has in scope, as a criterion."""
    triage = _triage(basis)
    stated = statements_of(wish) or (list(triage.in_scope) if triage else [])
    if not stated:
        raise InvalidArgument(
            "says nothing that a requirement could be made of", field="wish", remedy="State what is to be different"
        )
    asked = [*questions_of(wish), *(triage.open_questions if triage else ())]
    text = _sections(
        ("", [wish.strip()] if wish.strip() else []),
        ("In scope", triage.in_scope if triage else ()),
        ("Out of scope", triage.out_of_scope if triage else ()),
        ("Open questions", dict.fromkeys(asked)),
    )
    criteria = [clipped(one, _CRITERION - 30) for one in stated[:_CRITERIA]]
    return ArtifactContent(title=_title(basis.title or title_of(wish)), text=text, acceptance_criteria=criteria)


def dev_brief(wish: str, basis: Basis) -> ArtifactContent:
    """For whoever implements the requirement: when it is done, where its words stand, what to leave alone."""
    wanted = basis.contents.get(ArtifactKind.REQUIREMENT)
    if wanted is None and not wish.strip():
        raise InvalidArgument(
            "is empty, and the change has no requirement", field="wish", remedy="Draft a requirement first, or say what"
        )
    triage, policy = _triage(basis), basis.policy
    criteria = [f"{n}. {one}" for n, one in enumerate(wanted.acceptance_criteria, 1)] if wanted else []
    read = [one.lines for one in basis.files if one.lines is not None]
    places = [f"`{lines.path}` lines {lines.first_line} to {lines.last_line}" for lines in read]
    denied = policy.paths.denied if policy and policy.paths else []
    allowed = policy.paths.allowed if policy and policy.paths else []
    feared = triage.risks if triage else ()
    risks = [f"{one.level.name.lower()}: {one.text}{_in_brackets(one.mitigation)}" for one in feared]
    bounds = policy.bounds if policy else None
    text = _sections(
        ("", [wish.strip()] if wish.strip() else []),
        ("Done when", criteria),
        ("Words of it stand in", places),
        ("Only change", allowed),
        ("Leave alone", [listed(denied, 30)] if denied else ()),
        ("Out of scope", triage.out_of_scope if triage else ()),
        ("Risks", risks),
        ("Bound", [f"{bounds.max_iterations} iterations of coder and verification"] if bounds else ()),
    )
    return ArtifactContent(title=_title(f"Brief: {wanted.title if wanted else title_of(wish)}"), text=text)


def gate_checklist(wish: str, basis: Basis) -> ArtifactContent:
    """What to look at when each gate that the policy demands is decided."""
    wanted, triage = basis.contents.get(ArtifactKind.REQUIREMENT), _triage(basis)
    gates = required_gates(basis.policy) if basis.policy else ["requirement_stabilized", "acceptance"]
    criteria = list(wanted.acceptance_criteria) if wanted else []
    denied = basis.policy.paths.denied if basis.policy and basis.policy.paths else []
    feared = triage.risks if triage else ()
    at = {
        "requirement_stabilized": [
            *(f"Criterion {n} can be tested: {one}" for n, one in enumerate(criteria, 1)),
            *(f"Answered: {one}" for one in (triage.open_questions if triage else ())),
            "What is out of scope is said",
        ],
        "acceptance": [
            *(f"A test shows criterion {n}: {one}" for n, one in enumerate(criteria, 1)),
            *(f"Looked at the risk: {one.text}" for one in feared if one.level != RiskLevel.LOW),
            "No test was deleted or weakened without a reason",
            *([f"Nothing changed in {listed(denied, 8)}"] if denied else []),
        ],
        "ready_to_release": ["The merge commit is the accepted change, and its verification is green"],
        "promotion": [
            f"The digest for {one.name} is the one that the environment before runs healthily"
            for one in (basis.policy.environments if basis.policy else ())
            if one.gate_required
        ],
    }
    asked = statements_of(wish)
    items = [(gate, text) for gate in gates for text in at[gate]]
    items += [(gates[-1] if "acceptance" not in gates else "acceptance", text) for text in asked] if gates else []
    if not items:
        raise InvalidArgument("demands no gate, so that there is nothing to check", field="policy")
    return ArtifactContent(
        title=_title(f"Checklist: {wanted.title if wanted else basis.title or title_of(wish)}"),
        checklist=[ChecklistItem(gate=gate, text=clipped(text, _ITEM - 30)) for gate, text in items[:50]],
    )


def triage_form(wish: str, policy: Policy | None) -> Triage:
    """A form with what can be told without judgement; a person goes through it before it is kept."""
    stated = _once(statements_of(wish)) or _once([title_of(wish)])
    if not stated:
        raise InvalidArgument("says nothing", field="wish", remedy="State what is to be different")
    asked = _once(questions_of(wish))
    words = {word.strip(".,:;!?()'\"").removesuffix("s") for word in wish.casefold().split()}
    touched = [one for one, names in _PRIMITIVES.items() if words & set(names.split())] or [Primitive.DOMAIN]
    count = len(stated)
    size = ChangeSize.SMALL if count <= _SMALL else ChangeSize.MEDIUM if count <= _MEDIUM else ChangeSize.LARGE
    if size == ChangeSize.LARGE and not asked:
        asked = ["How can it be split?"]
    gates = required_gates(policy) if policy else ["requirement_stabilized", "acceptance"]
    if Primitive.UI_SURFACE in touched and "acceptance" not in gates:
        gates.append("acceptance")
    return Triage(
        in_scope=stated,
        primitives=touched,
        required_gates=gates,
        open_questions=asked,
        size=size,
    )


def diff(before: ArtifactContent, after: ArtifactContent, number: int) -> str:
    """What the next version changes, as a unified diff of the words against version `number`; empty for nothing."""
    old, new = (content_text(content).splitlines() for content in (before, after))
    return "\n".join(difflib.unified_diff(old, new, f"version {number}", f"version {number + 1}", lineterm=""))


def _sections(*sections: tuple[str, Iterable[str]]) -> str:
    parts: list[str] = []
    for name, lines in sections:
        if found := list(lines):
            parts.append("\n".join([f"## {name}", *(f"- {line}" for line in found)]) if name else "\n".join(found))
    return clipped("\n\n".join(parts), _TEXT - 40)


def _once(texts: Iterable[str]) -> list[str]:
    """As items of a triage: short, and none that says the same as another."""
    found = {folded(short): short for one in texts if (short := clipped(one, _ITEM - 30).strip())}
    return list(found.values())[:_ITEMS]


def _triage(basis: Basis) -> Triage | None:
    content = basis.contents.get(ArtifactKind.TRIAGE)
    return content.triage if content else None


def _title(text: str) -> str:
    return clipped(text, _TITLE - 40) or "Untitled"


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""
