"""Chat models of providers, made by LangChain when they are first needed: name, key, base URL, protocol, options."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from ameide.config import Settings
from ameide.errors import InvalidArgument

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

VARIABLE, FALLBACKS, URL, KEY = (
    f"AMEIDE_ARCHITECT_{name}" for name in ("MODEL", "FALLBACK_MODELS", "MODEL_URL", "MODEL_KEY")
)
PROTOCOL, OPTIONS = "AMEIDE_ARCHITECT_MODEL_PROTOCOL", "AMEIDE_ARCHITECT_MODEL_OPTIONS"
# Named here, so that no variable that these clients know sends what is said to another place.
_HOMES = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com"}
_OWN_KEY = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
_NAME = re.compile(r"[a-z][a-z0-9_]*:\S{1,120}")
_REASONS = re.compile(r"o\d|gpt-[5-9]|codex")
# What other settings say, or what would change how the answer is read.
_TAKEN = frozenset(
    {
        *("model", "model_provider", "api_key", "base_url", "timeout", "max_retries", "max_tokens", "n", "cache"),
        *("max_completion_tokens", "use_responses_api", "http_client", "http_async_client", "callbacks", "streaming"),
        *("disable_streaming", "openai_api_key", "openai_api_base", "anthropic_api_key", "anthropic_api_url"),
        *("azure_endpoint", "output_version", "configurable_fields", "config_prefix", "rate_limiter"),
    }
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One model as the settings want it. `url` is empty for a provider whose home its client knows."""

    name: str
    url: str
    seconds: float
    output_tokens: int
    own_url: bool = False
    responses: bool = False
    key: str = field(default="", repr=False)
    options: Mapping[str, object] = field(default_factory=dict[str, object], repr=False)

    @property
    def provider(self) -> str:
        """LangChain's name of the provider."""
        return self.name.partition(":")[0]

    @property
    def model(self) -> str:
        """The provider's name of the model."""
        return self.name.partition(":")[2]

    @property
    def server(self) -> tuple[str, int]:
        """Host and port of the base URL; empty and 0 when there is none."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or (0 if not self.url else 443 if parts.scheme == "https" else 80)


def wanted(settings: Settings) -> Sequence[Wanted]:
    """The model and its fallbacks; none when no model is set. Raises InvalidArgument naming the setting that is wrong.

    Key and base URL of the settings are for the first model's provider: another provider gets neither.
    """
    if not settings.architect_model:
        if settings.architect_fallback_models:
            raise InvalidArgument("there is no model to fall back from", field=VARIABLE, remedy="Name the first model")
        return ()
    names = (settings.architect_model, *settings.architect_fallback_models)
    for field_name, name in zip((VARIABLE, *[FALLBACKS] * len(names)), names, strict=False):
        if not _NAME.fullmatch(name):
            remedy = "Write provider:model, e.g. openai:gpt-5.2 or anthropic:claude-opus-4-7"
            raise InvalidArgument(f"{name!r} is no name of a model", field=field_name, remedy=remedy)
    first = settings.architect_model.partition(":")[0]
    return [_wanted(settings, name, main=name.partition(":")[0] == first) for name in names]


def _wanted(settings: Settings, name: str, *, main: bool) -> Wanted:
    provider, _, model = name.partition(":")
    own = settings.architect_model_url.rstrip("/") if main else ""
    if own and (urlsplit(own).scheme not in ("http", "https") or not urlsplit(own).hostname or "@" in own):
        raise InvalidArgument("is not a URL of http or https without a password", field=URL, remedy="Correct it")
    keys = {"openai": settings.openai_api_key, "anthropic": settings.anthropic_api_key}
    key = (settings.architect_model_key if main else "") or keys.get(provider, "")
    if not key and provider in _OWN_KEY and not own:
        remedy = f"Set {_OWN_KEY[provider]}, or {KEY}; with _FILE at its end it names a file"
        raise InvalidArgument(f"there is no key for {name}", field=KEY if main else _OWN_KEY[provider], remedy=remedy)
    responses = _by_responses(settings.architect_model_protocol, own)
    options = _options(settings.architect_model_options) if main else {}
    if provider == "openai" and responses:
        # Nothing that was said is kept by the provider; what the model thought comes back sealed, for its next call.
        options = (
            {"store": False} | ({"include": ["reasoning.encrypted_content"]} if _REASONS.match(model) else {}) | options
        )
    return Wanted(
        name=name,
        url=own or _HOMES.get(provider, ""),
        seconds=float(settings.architect_model_seconds),
        output_tokens=settings.architect_output_tokens,
        own_url=bool(own),
        responses=provider == "openai" and responses,
        key=key,
        options=options,
    )


def _by_responses(protocol: str, own: str) -> bool:
    if protocol not in ("", "chat", "responses"):
        raise InvalidArgument(f"{protocol!r} is no protocol", field=PROTOCOL, remedy="Set it to chat or responses")
    return protocol == "responses" or (not protocol and not own)


def _options(words: Sequence[str]) -> dict[str, object]:
    options: dict[str, object] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise InvalidArgument(f"{name!r} has no value", field=OPTIONS, remedy="Write name=value")
        if name in _TAKEN:
            raise InvalidArgument(f"{name} is not an option", field=OPTIONS, remedy="Another setting says it")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    return options


def opened(want: Wanted) -> BaseChatModel:
    """The client. It takes seconds to load, and connects to nothing.

    Raises InvalidArgument when its package is not installed, or when it does not take what the settings say.
    """
    from langchain.chat_models import init_chat_model
    from langsmith.run_trees import configure

    configure(enabled=False)
    given: dict[str, Any] = {
        "timeout": want.seconds,
        # Asked again by us: what a lost try cost is counted, and the person is told.
        "max_retries": 0,
        "max_tokens": want.output_tokens,
        **want.options,
    }
    if want.key:
        given["api_key"] = want.key
    if want.url:
        given["azure_endpoint" if want.provider == "azure_openai" else "base_url"] = want.url
    if want.provider == "openai":
        given.setdefault("stream_usage", True)
        # An own server may need no key, the client wants one; a transport of the client's own knows no proxy.
        given |= {"api_key": want.key or "none", "use_responses_api": want.responses, "http_socket_options": ()}
        # Its own watch over silence can swallow a cancellation; the time of the whole answer is bounded anyway.
        given["stream_chunk_timeout"] = 0
        given["output_version"] = "responses/v1" if want.responses else "v0"
    if want.provider == "anthropic":
        given["api_key"] = want.key or "none"
    try:
        return cast("BaseChatModel", init_chat_model(want.model, model_provider=want.provider, **given))
    except ImportError as error:
        package = re.search(r"pip install ([\w-]+)", str(error))
        remedy = (
            f"Install it beside ameide: pip install {package[1]}" if package else "Install its package beside ameide"
        )
        raise InvalidArgument(
            f"the package for {want.provider} is not installed", field=VARIABLE, remedy=remedy
        ) from error
    except Exception as error:
        # A client that refuses shows what it was given, its key among it: of its words only those about names are told.
        unknown = isinstance(error, ValueError) and "Unsupported provider" in str(error)
        what = "is no provider that LangChain knows" if unknown else f"does not take these settings ({_where(error)})"
        remedy = "See https://docs.langchain.com/oss/python/integrations/providers" if unknown else f"Look at {OPTIONS}"
        raise InvalidArgument(f"{want.provider} {what}", field=VARIABLE, remedy=remedy) from None


def _where(error: Exception) -> str:
    errors = getattr(error, "errors", None)
    if callable(errors):
        found: object = errors(include_input=False, include_context=False)
        if isinstance(found, list):
            places = [str(each.get("loc", "")) for each in found if isinstance(each, dict)]  # pyright: ignore
            return ", ".join(places) or type(error).__name__
    return type(error).__name__
