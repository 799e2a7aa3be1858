"""How messages and the carried state travel through Temporal.

protobuf-py messages go as binary protobuf with their type in the payload's metadata, so a reader needs no type hint and
one signal can carry any fact. Everything else (the carried state, plain values) goes as JSON; messages inside of it as
ProtoJSON. Temporal's default converter knows neither: it recurses without end on a message.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from types import ModuleType
from typing import Any, cast, get_type_hints

from protobuf import Message
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    AdvancedJSONEncoder,
    BinaryNullPayloadConverter,
    BinaryPlainPayloadConverter,
    CompositePayloadConverter,
    DataConverter,
    EncodingPayloadConverter,
    JSONPlainPayloadConverter,
    JSONTypeConverter,
    value_to_type,
)

from ameide_core_proto.process.transformation.v1 import facts_pb as process_facts
from ameide_core_proto.process.transformation.v1 import process_fact_service_pb
from ameide_core_proto.transformation.governance.v1 import command_service_pb as governance_commands
from ameide_core_proto.transformation.governance.v1 import facts_pb as governance_facts
from ameide_core_proto.transformation.governance.v1 import governance_pb, policy_pb
from ameide_core_proto.transformation.knowledge.v1 import artifact_pb
from ameide_core_proto.transformation.knowledge.v1 import command_service_pb as knowledge_commands
from ameide_core_proto.transformation.knowledge.v1 import facts_pb as knowledge_facts
from ameide_core_proto.transformation.work.v1 import command_service_pb as work_commands
from ameide_core_proto.transformation.work.v1 import facts_pb as work_facts
from ameide_core_proto.transformation.work.v1 import work_pb

AnyMessage = Message[Any]

_VOCABULARY: tuple[ModuleType, ...] = (
    process_facts,
    process_fact_service_pb,
    governance_commands,
    governance_facts,
    governance_pb,
    policy_pb,
    artifact_pb,
    knowledge_commands,
    knowledge_facts,
    work_commands,
    work_facts,
    work_pb,
)


def _message_types(modules: Iterable[ModuleType]) -> dict[str, type[AnyMessage]]:
    found: dict[str, type[AnyMessage]] = {}
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Message) and value is not Message:
                found[value.desc().type_name] = value
    return found


MESSAGE_TYPES = _message_types(_VOCABULARY)
"""Full protobuf name to class, for every message that may cross the border to Temporal."""


_HINTS = "__carried_fields__"


class MessagePayloadConverter(EncodingPayloadConverter):
    """Binary protobuf with `messageType` in the metadata."""

    @property
    def encoding(self) -> str:
        """The usual name of the encoding, so that Temporal's own tools show the type."""
        return "binary/protobuf"

    def to_payload(self, value: Any) -> Payload | None:
        """None for what is no message, so that the next converter is asked."""
        if not isinstance(value, Message):
            return None
        return Payload(
            metadata={"encoding": self.encoding.encode(), "messageType": value.desc().type_name.encode()},
            data=value.to_binary(),
        )

    def from_payload(self, payload: Payload, type_hint: type[Any] | None = None) -> AnyMessage:
        """The metadata tells the type. Raises RuntimeError for one that this program does not know."""
        del type_hint
        name = payload.metadata["messageType"].decode()
        kind = MESSAGE_TYPES.get(name)
        if kind is None:
            raise RuntimeError(f"Unknown message type {name}. Add its module to the vocabulary in process/converter.py")
        return kind.from_binary(payload.data)


class _StateEncoder(AdvancedJSONEncoder):
    def default(self, o: Any) -> Any:
        if isinstance(o, Message):
            return json.loads(o.to_json())
        if dataclasses.is_dataclass(o) and not isinstance(o, type):
            # Field by field: dataclasses.asdict would descend into messages. What is None is left out, as
            # most of what a run knows is, since each field that is read back costs a workflow task its time.
            values = ((field.name, getattr(o, field.name)) for field in dataclasses.fields(o))
            return {name: value for name, value in values if value is not None}
        return super().default(o)


class _StateDecoder(JSONTypeConverter):
    def to_typed_value(self, hint: Any, value: Any) -> Any:
        # The hint may be a union or a generic alias, too.
        if not isinstance(hint, type):
            return JSONTypeConverter.Unhandled
        kind = cast("type[Any]", hint)
        if issubclass(kind, Message):
            return cast("type[AnyMessage]", kind).from_json(json.dumps(value))
        if dataclasses.is_dataclass(kind) and isinstance(value, dict):
            given = cast("dict[str, Any]", value)
            return kind(**{name: value_to_type(of, given[name], [self]) for name, of in _hints(kind) if name in given})
        return JSONTypeConverter.Unhandled


def _hints(kind: type[Any]) -> list[tuple[str, Any]]:
    """The fields with their types, kept at the class: to find them out takes longer than all else."""
    if _HINTS not in vars(kind):
        setattr(kind, _HINTS, list(get_type_hints(kind).items()))
    return vars(kind)[_HINTS]


class ProcessPayloadConverter(CompositePayloadConverter):
    """Nothing, bytes, our messages, and JSON for the rest; google.protobuf messages are not among our words."""

    def __init__(self) -> None:
        super().__init__(
            BinaryNullPayloadConverter(),
            BinaryPlainPayloadConverter(),
            MessagePayloadConverter(),
            JSONPlainPayloadConverter(encoder=_StateEncoder, custom_type_converters=[_StateDecoder()]),
        )


DATA_CONVERTER = DataConverter(payload_converter_class=ProcessPayloadConverter)
"""The one data converter of worker, ingress and replayer."""
