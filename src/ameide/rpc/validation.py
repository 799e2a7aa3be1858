"""The door's validation: the schema's own rules, told with field paths and a remedy for each."""

from __future__ import annotations

from typing import Any

import protovalidate
from connectrpc.errors import ConnectError
from protobuf import Message

from ameide.errors import InvalidArgument
from ameide.rpc.mapping import to_connect
from ameide_core_proto.common.v1.errors_pb import FieldViolation

_REMEDIES = {
    "string.min_len": "Set it",
    "required": "Set it",
    "enum.not_in": "Choose one of the schema's values",
    "enum.defined_only": "Choose one of the schema's values",
    "string.max_len": "Shorten it; longer text belongs into evidence or an artifact",
    "repeated.max_items": "Send fewer",
}


def violations_of(message: Message[Any]) -> list[FieldViolation]:
    """Every rule that the message breaks; empty when it is valid."""
    found: list[FieldViolation] = []
    for violation in protovalidate.collect_violations(message):
        pb = violation.proto
        path = ""
        for element in pb.field.elements if pb.field else []:
            index = f"[{element.subscript.value}]" if element.subscript is not None else ""
            path += f"{'.' if path else ''}{element.field_name}{index}"
        what, _, told = pb.message.partition("; ")
        remedy = told or _REMEDIES.get(pb.rule_id, "See the field's rule in the schema")
        found.append(FieldViolation(field=path, what=what, remedy=remedy))
    return found


def check(message: Message[Any]) -> None:
    """Raises ConnectError(invalid_argument) that names each field and its remedy."""
    found = violations_of(message)
    if found:
        raise invalid(found)


def invalid(found: list[FieldViolation]) -> ConnectError:
    """The invalid_argument error for a list of violations."""
    text = "; ".join(f"{v.field}: {v.what}. {v.remedy}" for v in found[:8])
    return to_connect(InvalidArgument(text), found)
