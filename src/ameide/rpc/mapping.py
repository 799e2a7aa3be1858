"""The error tree on the wire and back: type to Connect code, field, reason and remedy in a typed detail."""

from __future__ import annotations

import json

from connectrpc.code import Code
from connectrpc.errors import ConnectError, ErrorDetail

from ameide import errors
from ameide_core_proto.common.v1.errors_pb import ErrorDetail as Detail
from ameide_core_proto.common.v1.errors_pb import FieldViolation

_CODES: dict[type[errors.AmeideError], Code] = {
    errors.InvalidArgument: Code.INVALID_ARGUMENT,
    errors.Unauthenticated: Code.UNAUTHENTICATED,
    errors.PermissionDenied: Code.PERMISSION_DENIED,
    errors.NotFound: Code.NOT_FOUND,
    errors.Refused: Code.FAILED_PRECONDITION,
    errors.Conflict: Code.ALREADY_EXISTS,
    errors.Fenced: Code.ABORTED,
    errors.LimitReached: Code.RESOURCE_EXHAUSTED,
    errors.Unreachable: Code.UNAVAILABLE,
    errors.Internal: Code.INTERNAL,
}
_TYPES: dict[Code, type[errors.AmeideError]] = {code: kind for kind, code in _CODES.items()} | {
    Code.DEADLINE_EXCEEDED: errors.Unreachable,
    Code.CANCELED: errors.Unreachable,
    Code.UNIMPLEMENTED: errors.InvalidArgument,
    Code.OUT_OF_RANGE: errors.InvalidArgument,
}
_KINDS: dict[str, type[errors.AmeideError]] = {kind.code: kind for kind in _CODES}


def to_connect(error: errors.AmeideError, violations: list[FieldViolation] | None = None) -> ConnectError:
    """The Connect error for one of ours. Its detail is an `ErrorDetail` of common.v1."""
    if violations is None:
        violations = [FieldViolation(field=error.field, what=error.message, remedy=error.remedy)] if error.field else []
    detail = Detail(reason=error.reason, violations=violations, remedy=error.remedy)
    return ConnectError(_CODES.get(type(error), Code.INTERNAL), str(error), [ErrorDetail(detail)])


def from_connect(error: ConnectError) -> errors.AmeideError:
    """Ours for a Connect error; transport failures become Unreachable."""
    kind = _TYPES.get(error.code, errors.Internal)
    for detail in error.details:
        found = detail.value(Detail)
        if found is not None:
            first = found.violations[0] if found.violations else None
            if first is not None and len(found.violations) == 1:
                return kind(first.what, field=first.field, remedy=first.remedy or found.remedy, reason=found.reason)
            text = (error.message or kind.__name__).removesuffix(f". {found.remedy}") if found.remedy else error.message
            return kind(text or kind.__name__, remedy=found.remedy, reason=found.reason)
    return kind(error.message or error.code.value)


def from_answer(status: int, body: bytes) -> errors.AmeideError:
    """Ours for an answer of `ameide.rpc.asgi.answer_error`. Whatever a proxy says instead is Unreachable."""
    try:
        told = json.loads(body)
        kind = _KINDS[told["code"]]
        field, remedy, reason = (str(told.get(name) or "") for name in ("field", "remedy", "reason"))
        text = str(told["message"]).removeprefix(f"{field}: ").removesuffix(f". {remedy}" if remedy else "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return errors.Unreachable(f"something between here and the service answered {status}", remedy="Try again later")
    return kind(text, field=field, remedy=remedy, reason=reason)
