"""What an error of a provider's client means: whether asking again may help, and in words what happened."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Callable, Mapping
from typing import cast

from langchain_core.exceptions import ContextOverflowError, ModelError

_CHARACTERS = 300
_REFUSED = frozenset({400, 413, 422, 500})
_FOR_NOW = frozenset({408, 409, 425, 429})
_USED_UP = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_NETWORK = frozenset({"httpx", "httpx2", "httpcore", "httpcore2", "ssl", "anyio"})
_LONGEST_WAIT = 60.0
_OVERFLOW = "context_overflow"
# As servers say it that LangChain does not know: vLLM, llama.cpp, gateways before them.
_TOO_LONG = re.compile(
    r"maximum context length|context_length_exceeded|exceeds? (the )?(available |maximum )?context"
    r"|context (length|window|limit|size) (is |was )?exceeded|ContextWindowExceeded|prompt is too long",
    re.IGNORECASE,
)


class ModelFailed(Exception):
    """One try did not come to an answer. `kind` is a word for spans; `after` seconds the provider asked to wait for.

    `too_long`: the model was given more than it can take.
    """

    def __init__(self, reason: str, *, kind: str, retry: bool, after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind
        self.too_long = kind == _OVERFLOW
        self.retry = retry
        self.after = after


def failed(error: Exception, *, begun: bool, redact: Callable[[str], str]) -> ModelFailed:
    """What a try failed of. `begun`: a part of the answer had come, so that the request itself was right."""
    status = getattr(error, "status_code", None)
    code = getattr(error, "code", None)
    said = " ".join(redact(_words(error)).split())[:_CHARACTERS] or type(error).__name__
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return ModelFailed("it did not answer in time", kind="timeout", retry=True)
    if isinstance(error, ContextOverflowError) or (status in _REFUSED and _TOO_LONG.search(f"{code} {said}")):
        return ModelFailed("the conversation is too long for it", kind=_OVERFLOW, retry=False)
    # An error in the stream comes with the status that the stream began with.
    if status is not None and status >= 400:
        retry = (status in _FOR_NOW or status >= 500) and code not in _USED_UP
        return ModelFailed(f"it answered {status}: {said}", kind=str(status), retry=retry, after=_after(error))
    if begun:
        # A request that was wrong would not have been answered at all.
        return ModelFailed(f"its answer broke off: {said}", kind="broken_stream", retry=code not in _USED_UP)
    if isinstance(error, (ModelError, OSError)) or type(error).__module__.partition(".")[0] in _NETWORK:
        retry = not isinstance(error, ModelError) or error.is_retryable
        said = " ".join(redact(_words(_root(error))).split())[:_CHARACTERS] or said
        return ModelFailed(f"it could not be reached: {said}", kind=type(error).__name__, retry=retry)
    return ModelFailed(f"its answer was not understood: {said}", kind=type(error).__name__, retry=False)


def _words(error: BaseException) -> str:
    told = _fields(getattr(error, "body", None))
    told = _fields(told.get("error")) or told
    return str(told.get("message") or getattr(error, "message", "") or error)


def _root(error: BaseException) -> BaseException:
    """A client says that the connection failed; what of, e.g. a certificate, says the error below."""
    seen: set[int] = set()
    while (below := error.__cause__ or error.__context__) is not None and id(below) not in seen:
        seen.add(id(below))
        error = below
    return error


def _fields(found: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", found) if isinstance(found, dict) else {}


def _after(error: Exception) -> float | None:
    """What the header Retry-After says, in seconds from now, within bounds."""
    headers = getattr(getattr(error, "response", None), "headers", None)
    if headers is None:
        return None
    said = cast("Mapping[str, str]", headers).get("retry-after", "")
    try:
        seconds = float(said)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(said).timestamp() - time.time()
        except ValueError:
            return None
    return min(max(seconds, 0.0), _LONGEST_WAIT)
