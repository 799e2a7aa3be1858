"""Structured logs: one JSON object a line on standard error, with the correlation ids of what is being done."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import cast

from ameide.secret_shapes import masked

_bound: ContextVar[dict[str, str] | None] = ContextVar("ameide_log_context", default=None)
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


@contextmanager
def bound(**ids: str) -> Generator[None]:
    """Adds the ids (correlation_id, work_request_id, …) to each line logged inside."""
    token = _bound.set({**(_bound.get() or {}), **{k: v for k, v in ids.items() if v}})
    try:
        yield
    finally:
        _bound.reset(token)


class _Json(logging.Formatter):
    def __init__(self, mask: Callable[[str], str]) -> None:
        super().__init__()
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **(_bound.get() or {}),
            **{k: v for k, v in record.__dict__.items() if k not in _STANDARD},
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        shown = {name: self._shown(value) for name, value in line.items()}
        return json.dumps(shown, default=str, ensure_ascii=False)

    def _shown(self, value: object) -> object:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, list | tuple):
            return [self._mask(str(one)) for one in cast("Iterable[object]", value)]
        return self._mask(str(value))


def _last_words(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logging.getLogger("ameide").critical("ended by an unexpected error", exc_info=(kind, error, trace))


def configure(level: str = "INFO", mask: Callable[[str], str] = masked) -> None:
    """Send the program's own log to standard error as JSON; libraries from warnings up.

    `mask` takes secrets out of every text of a line; the default knows what credentials look like.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json(mask))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("ameide").setLevel(level)
    # A process that breaks says so in its log as well, and not past the mask.
    sys.excepthook = _last_words
