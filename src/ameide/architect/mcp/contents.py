"""What an artifact says, as a tool takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from ameide.architect.tools.arguments import Arguments, choice, schema, string, strings
from ameide.architect.tools.rendering import word
from ameide.architect.tools.triage_form import TRIAGE, triage_of
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactContent, ArtifactKind, ChecklistItem

KINDS = {word(kind.name): kind for kind in ArtifactKind if kind is not ArtifactKind.UNSPECIFIED}
_GATES = ("requirement_stabilized", "acceptance", "ready_to_release", "promotion")
# How a conversation keeps a triage is no part of it.
_NOT_SAID = {"durable"}
_ITEM: dict[str, object] = schema(
    ["gate", "text"],
    gate=choice("At which gate.", _GATES),
    text=string("One thing to look at.", most=500, least=1),
)
CONTENT: dict[str, dict[str, object]] = {
    "title": string("In a few words.", most=200, least=1),
    "text": string("What it says, in Markdown.", most=4096),
    "acceptance_criteria": strings("Of a requirement: how one can tell it is done, in order.", items=50, most=1000),
    "source": string("Where it was taken from, such as an issue's URL.", most=2048),
    "triage": schema(
        ["in_scope", "primitives", "size"],
        **{name: field for name, field in TRIAGE.items() if name not in _NOT_SAID},
    )
    | {"description": "Of a triage: what the request comes to."},
    "checklist": {"type": "array", "items": _ITEM, "maxItems": 50, "description": "Of a gate checklist."},
}


def content_of(given: Arguments) -> ArtifactContent:
    """The content that the arguments describe."""
    triage = given.values.get("triage")
    return ArtifactContent(
        title=given.text("title"),
        text=given.raw("text"),
        acceptance_criteria=given.texts("acceptance_criteria"),
        source=given.text("source"),
        triage=triage_of(Arguments(cast("Mapping[str, object]", triage))) if isinstance(triage, dict) else None,
        checklist=[
            ChecklistItem(gate=item.text("gate"), text=item.text("text")) for item in given.objects("checklist")
        ],
    )
