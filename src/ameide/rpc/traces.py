"""Which calls are spans, and what their spans say: the semantic conventions for RPC."""

from __future__ import annotations

from typing import Any

from connectrpc.method import MethodInfo

from ameide.telemetry.recording import Attributes

# A poll waits for work of whatever trace, and a heartbeat says nothing that the attempt's span does not.
_UNTRACED = frozenset({"PollWork", "RecordWorkHeartbeat"})


def is_traced(method: MethodInfo[Any, Any]) -> bool:
    """Whether a call of this method belongs into the trace of its caller."""
    return method.name not in _UNTRACED


def attributes_of(method: MethodInfo[Any, Any]) -> Attributes:
    """The standard attributes of a call."""
    return {"rpc.system": "connect_rpc", "rpc.service": method.service_name, "rpc.method": method.name}
