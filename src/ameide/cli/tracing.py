"""A command of the command line as the beginning of a trace, or as a part of the one that TRACEPARENT names."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager

from ameide.config import Settings
from ameide.telemetry import tracing
from ameide.telemetry.context import TraceContext

# They run for long and trace what they do themselves.
_PROCESSES = frozenset({"serve", "executor"})
_FLUSH_SECONDS = 2.0


@contextmanager
def traced(settings: Settings, noun: str) -> Generator[None]:
    """One span around a command; of its arguments only the noun is told. A collector that is away costs no error."""
    if noun in _PROCESSES:
        yield
        return
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    tracing.configure(settings.otlp_endpoint, settings.otlp_headers, "ameide-cli")
    try:
        with tracing.span(f"ameide {noun}", parent=TraceContext.parse(settings.traceparent)):
            yield
    finally:
        tracing.shutdown(_FLUSH_SECONDS)
