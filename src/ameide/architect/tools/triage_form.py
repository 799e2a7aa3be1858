"""A triage as a form: its fields as a JSON Schema, and the message that a filled form makes."""

from __future__ import annotations

from ameide.architect.tools.arguments import Arguments, choice, choices, schema, string, strings
from ameide.architect.triage import GATES
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ChangeSize, Primitive, Risk, RiskLevel, Triage

_RISK = schema(
    ["text", "level"],
    text=string("What may go wrong.", most=500, least=1),
    level=choice("How bad.", [level.name.lower() for level in RiskLevel if level]),
    mitigation=string("What is done about it; a high risk needs one.", most=500),
)
TRIAGE: dict[str, dict[str, object]] = {
    "in_scope": strings("What belongs to it.", items=20, least=1),
    "out_of_scope": strings("What does not.", items=20),
    "risks": {"type": "array", "items": _RISK, "maxItems": 20, "description": "What may go wrong."},
    "primitives": choices("Kinds of parts that it touches.", [one.name.lower() for one in Primitive if one])
    | {"minItems": 1},
    "required_gates": choices("Gates that it should pass, those of the policy among them.", GATES.values()),
    "open_questions": strings("What somebody must answer first.", items=20),
    "size": choice("small: hours, medium: days, large: weeks.", [size.name.lower() for size in ChangeSize if size]),
    "deep_analysis": {"type": "boolean", "description": "Whether an executor should look into the repository first."},
    "analysis_question": string("What that should find out.", most=2000),
    "durable": {"type": "boolean", "description": "In a triage run, whose reads are recorded."},
}


def triage_of(arguments: Arguments) -> Triage:
    """The triage of a form that its schema admitted."""
    return Triage(
        in_scope=arguments.texts("in_scope"),
        out_of_scope=arguments.texts("out_of_scope"),
        risks=[
            Risk(text=one.text("text"), level=RiskLevel[one.text("level").upper()], mitigation=one.text("mitigation"))
            for one in arguments.objects("risks")
        ],
        primitives=[Primitive[name.upper()] for name in arguments.texts("primitives")],
        required_gates=arguments.texts("required_gates"),
        open_questions=arguments.texts("open_questions"),
        size=ChangeSize[arguments.text("size").upper()],
        deep_analysis=arguments.flag("deep_analysis"),
        analysis_question=arguments.text("analysis_question"),
    )
