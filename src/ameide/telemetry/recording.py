"""What records spans, as the rest of the program sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from ameide.telemetry.context import TraceContext

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Attributes = Mapping[str, str | int | tuple[str, ...]]


class Recording(Protocol):
    """A span that is recorded."""

    @property
    def context(self) -> TraceContext: ...

    def note(self, attributes: Attributes) -> None: ...

    def fail(self, kind: str) -> None: ...

    def end(self) -> None: ...


class Recorder(Protocol):
    """Records spans and sends them away."""

    def start(self, name: str, kind: Kind, parent: TraceContext, attributes: Attributes) -> Recording: ...

    def close(self, seconds: float) -> None: ...
