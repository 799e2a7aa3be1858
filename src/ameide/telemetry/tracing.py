"""Spans, and the context that travels whether or not anybody collects them.

Without a collector a span costs two context variables, and what a caller says about its trace still reaches everything
that follows from the call. With one, `configure` loads OpenTelemetry's SDK, which exports by OTLP over HTTP. Spans
carry ids and kinds; no payload, no text that a person wrote, and of an error its type alone.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from ameide.telemetry.context import NO_TRACE, TraceContext
from ameide.telemetry.recording import Attributes, Kind, Recorder, Recording

__all__ = ["Attributes", "configure", "current", "fail", "note", "shutdown", "span", "traced", "use"]


class _Configured:
    recorder: Recorder | None = None


_current: ContextVar[TraceContext] = ContextVar("ameide_trace", default=NO_TRACE)
_recording: ContextVar[Recording | None] = ContextVar("ameide_span", default=None)


def configure(endpoint: str, headers: str, service: str) -> None:
    """Export the spans of this process to an OTLP/HTTP collector; an empty endpoint leaves them unrecorded.

    `headers` as in OTEL_EXPORTER_OTLP_HEADERS. Raises InvalidArgument for an endpoint that is no URL.
    """
    if endpoint:
        # Loaded here: the SDK costs a quarter of a second and memory that a process without a collector need not have.
        from ameide.telemetry import otlp

        use(otlp.Exporter(endpoint, headers, service))


def use(recorder: Recorder | None) -> None:
    """Record spans with this, or none."""
    _Configured.recorder = recorder


def shutdown(seconds: float = 3.0) -> None:
    """Send what is left, for so long at most; a collector that does not answer holds nobody up."""
    if _Configured.recorder is not None:
        _Configured.recorder.close(seconds)
        use(None)


def current() -> TraceContext:
    """The context of what is being done."""
    return _current.get()


def traced(parent: TraceContext) -> bool:
    """Whether a span below this parent changes anything: it would be recorded, or there is a trace to hand on."""
    return _Configured.recorder is not None or bool(parent)


def note(attributes: Attributes) -> None:
    """Say more about the span that is being recorded, if one is."""
    recording = _recording.get()
    if recording is not None:
        recording.note(attributes)


def fail(kind: str) -> None:
    """Mark the span that is being recorded, if one is, as failed; `kind` says of what, in a word."""
    recording = _recording.get()
    if recording is not None:
        recording.fail(kind)


@contextmanager
def span(
    name: str, kind: Kind = "internal", *, parent: TraceContext | None = None, attributes: Attributes | None = None
) -> Generator[TraceContext]:
    """What is done inside, as one span below `parent` (default: the current one); yields the context to hand on.

    Where no spans are recorded that is the parent's own. An error that leaves the span marks it with its type.
    """
    above = _current.get() if parent is None else parent
    recorder = _Configured.recorder
    recording = recorder.start(name, kind, above, attributes or {}) if recorder is not None else None
    here = recording.context if recording is not None else above
    was, was_recording = _current.set(here), _recording.set(recording)
    try:
        yield here
    except BaseException as error:
        if recording is not None:
            recording.fail(type(error).__name__)
        raise
    finally:
        _recording.reset(was_recording)
        _current.reset(was)
        if recording is not None:
            recording.end()
