"""Whether a triage holds together, and agrees with what the policy of its repository demands."""

from __future__ import annotations

from collections.abc import Iterator

from ameide.errors import InvalidArgument
from ameide.rpc.validation import violations_of
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind, Policy
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ChangeSize, Primitive, RiskLevel, Triage

GATES = {
    GateKind.REQUIREMENT_STABILIZED: "requirement_stabilized",
    GateKind.ACCEPTANCE: "acceptance",
    GateKind.READY_TO_RELEASE: "ready_to_release",
    GateKind.PROMOTION: "promotion",
}
"""The gates that a change passes on its way, as triages and checklists name them, in their order."""


def required_gates(policy: Policy) -> list[str]:
    """The gates that a run under this policy opens on its way. PROMOTION: if an environment asks for one."""
    required = {rule.kind for rule in policy.gates if rule.required}
    if not any(environment.gate_required for environment in policy.environments):
        required.discard(GateKind.PROMOTION)
    return [name for kind, name in GATES.items() if kind in required]


def problems_of(triage: Triage, policy: Policy | None) -> list[str]:
    """What is wrong with it, each with its field and a remedy; empty when it can be kept."""
    found = [f"{one.field}: {one.what}. {one.remedy}" for one in violations_of(triage)]
    return found or [*_own(triage), *(_by_policy(triage, policy) if policy is not None else ())]


def check(triage: Triage, policy: Policy | None) -> None:
    """Raises `InvalidArgument` that names every problem."""
    if problems := problems_of(triage, policy):
        raise InvalidArgument("; ".join(problems), field="triage")


def _own(triage: Triage) -> Iterator[str]:
    for name in ("in_scope", "out_of_scope", "open_questions"):
        texts = [folded(text) for text in getattr(triage, name)]
        if len(set(texts)) < len(texts):
            yield f"{name}: says the same twice. Leave one out"
    if both := {folded(text) for text in triage.in_scope} & {folded(text) for text in triage.out_of_scope}:
        yield f"out_of_scope: {min(both)!r} is in scope as well. Decide for one"
    for place, risk in enumerate(triage.risks):
        if risk.level == RiskLevel.HIGH and not risk.mitigation.strip():
            yield f"risks[{place}].mitigation: a high risk has none. Say what is done about it, or lower it"
    if triage.deep_analysis and not triage.analysis_question.strip():
        yield "analysis_question: a deep analysis has no question. Say what it should find out"
    if triage.analysis_question.strip() and not triage.deep_analysis:
        yield "deep_analysis: there is a question for it. Set it, or leave the question out"
    if triage.size == ChangeSize.LARGE and not (triage.open_questions or triage.out_of_scope):
        yield "size: a large change is better split. Name what is out of scope, or ask how to split it"


def _by_policy(triage: Triage, policy: Policy) -> Iterator[str]:
    named = set(triage.required_gates)
    if missing := [gate for gate in required_gates(policy) if gate not in named]:
        yield f"required_gates: the policy (version {policy.version}) demands {', '.join(missing)}. Name them too"
    if "promotion" in named and not policy.environments:
        yield "required_gates: promotion is named, and the policy has no environment. Leave it out"
    if Primitive.UI_SURFACE in triage.primitives and "acceptance" not in named:
        yield "required_gates: a UI surface is touched, which a person should look at. Name acceptance"


def folded(text: str) -> str:
    """A text as it is compared with others: case, white space and a full stop aside."""
    return " ".join(text.casefold().split()).rstrip(".")
