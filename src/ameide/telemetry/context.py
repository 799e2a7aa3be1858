"""W3C Trace Context: the two strings by which everything that one thing caused is found together."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

# Version 00. A newer version may say more; what is not understood is left out, as if there were no trace.
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_TRACESTATE = re.compile(r"[\x20-\x7e]{1,512}")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Where in which trace something happens; empty when it belongs to none. Both parts are valid or empty."""

    traceparent: str = ""
    tracestate: str = ""

    @classmethod
    def parse(cls, traceparent: str | None, tracestate: str | None = "") -> TraceContext:
        """The context that a caller or an envelope names. One that breaks the standard's form counts as none."""
        if not traceparent or _TRACEPARENT.fullmatch(traceparent) is None:
            return NO_TRACE
        return cls(traceparent, tracestate if tracestate and _TRACESTATE.fullmatch(tracestate) else "")

    @classmethod
    def read(cls, header: Callable[[str], str | None]) -> TraceContext:
        """The context in the headers of a call; `header` gives one by its name."""
        return cls.parse(header("traceparent"), header("tracestate"))

    @property
    def headers(self) -> dict[str, str]:
        """Its parts by their standard names, without empty ones."""
        parts = {"traceparent": self.traceparent, "tracestate": self.tracestate}
        return {name: value for name, value in parts.items() if value}

    @property
    def trace_id(self) -> str:
        """The trace, 32 hexadecimal digits; empty when there is none."""
        return self.traceparent[3:35]

    def __bool__(self) -> bool:
        return bool(self.traceparent)


NO_TRACE = TraceContext()
