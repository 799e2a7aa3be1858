"""Codex's config.toml: what of the operator's counts, and the one that an attempt gets.

What an attempt gets is built from nothing: the model and its provider are taken over, everything that could widen what
the agent may do (sandbox, approvals, hooks, MCP servers, programs to notify, trusted projects) is not.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from ameide.errors import InvalidArgument

API_KEY = "CODEX_API_KEY"
"""The environment variable with a key for OpenAI's own provider, or another one that takes what is in auth.json."""

PROFILE = "attempt"
"""The permissions of the agent's commands by the name that ``codex sandbox`` knows them by."""

_OPENAI = "openai"
_RENEWAL = "auth.openai.com:443"
_OPENAI_HOSTS = ("api.openai.com:443", "chatgpt.com:443", _RENEWAL)
_LOCAL = {"oss": "http://localhost:11434/v1", "ollama": "http://localhost:11434/v1"} | {
    "lmstudio": "http://localhost:1234/v1"
}
_KEPT = frozenset(
    {
        *("model", "model_provider", "model_reasoning_effort", "model_reasoning_summary", "model_verbosity"),
        *("model_context_window", "model_auto_compact_token_limit", "model_supports_reasoning_summaries"),
        *("service_tier", "openai_base_url", "chatgpt_base_url", "forced_login_method", "developer_instructions"),
        *("forced_chatgpt_workspace_id", "tool_output_token_limit", "personality"),
    }
)
_PROVIDER_KEPT = frozenset(
    {
        *("name", "base_url", "wire_api", "env_key", "requires_openai_auth", "query_params", "http_headers"),
        *("env_http_headers", "experimental_bearer_token", "request_max_retries", "stream_max_retries"),
        *("stream_idle_timeout_ms", "supports_websockets"),
    }
)
_OFF = (
    "apps",
    "browser_use",
    "computer_use",
    "goals",
    "hooks",
    "image_generation",
    "memories",
    "multi_agent",
    "plugins",
)
_FIXED: Mapping[str, Any] = {
    "approval_policy": "never",
    "sandbox_mode": "workspace-write",
    "web_search": "disabled",
    # A login shell would put the system's search path before the one that the children have.
    "allow_login_shell": False,
    "cli_auth_credentials_store": "file",
    "check_for_update_on_startup": False,
    "analytics": {"enabled": False},
    "feedback": {"enabled": False},
    "history": {"persistence": "none"},
    "features": dict.fromkeys(_OFF, False),
}


@dataclass(frozen=True)
class CodexConfig:
    """What of the operator's config.toml counts, and in `left_out` the names of the rest.

    `provider` is the provider's table, None for OpenAI's own; a `built_in` one has no table in the file.
    """

    kept: Mapping[str, Any]
    provider_id: str
    provider: Mapping[str, Any] | None
    left_out: tuple[str, ...] = ()
    built_in: bool = False

    @property
    def model(self) -> str:
        """The model that is named; empty when Codex chooses."""
        return str(self.kept.get("model", ""))

    @property
    def endpoint(self) -> str:
        """The URL at which the model is asked; empty for OpenAI's, which depends on the credentials."""
        if self.provider is None:
            return str(self.kept.get("openai_base_url", ""))
        return str(self.provider.get("base_url", ""))

    @property
    def needs_auth(self) -> bool:
        """Whether the provider takes what is in auth.json."""
        return self.provider is None or bool(self.provider.get("requires_openai_auth"))

    @property
    def key_variable(self) -> str:
        """The environment variable with the key; empty when the provider has none."""
        own = str((self.provider or {}).get("env_key", ""))
        return own or (API_KEY if self.needs_auth else "")

    @property
    def variables(self) -> tuple[str, ...]:
        """Every environment variable from which Codex takes a secret."""
        headers = cast("Mapping[str, Any]", (self.provider or {}).get("env_http_headers", {}))
        return tuple(name for name in (self.key_variable, *map(str, headers.values())) if name)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Secrets that the file itself holds."""
        provider = self.provider or {}
        headers = cast("Mapping[str, Any]", provider.get("http_headers", {}))
        found = (provider.get("experimental_bearer_token"), *headers.values())
        return tuple(value for value in found if isinstance(value, str))

    def hosts(self, *, signed_in: bool) -> tuple[str, ...]:
        """``host:port`` that Codex needs to reach. Somebody who signed in has tokens, which OpenAI renews."""
        if self.provider is None:
            own = (host_of(self.endpoint),) if self.endpoint else ()
            return (*own, *_OPENAI_HOSTS)
        return (host_of(self.endpoint), *((_RENEWAL,) if signed_in and self.needs_auth else ()))

    def for_attempt(self, tree: Path, home: Path, *, read_only: bool = False) -> str:
        """The config.toml of an attempt with this working tree and this HOME, where tools keep their caches.

        With `read_only` the agent's commands write nothing anywhere.

        The tree isn't trusted: in a trusted one Codex would start what the repository's own `.codex` names.
        """
        unseen = [*self.variables, "CODEX_HOME", "*KEY*", "*SECRET*", "*TOKEN*"]
        whole: dict[str, Any] = {
            **self.kept,
            **_FIXED,
            **_sandbox(home, read_only=read_only),
            "shell_environment_policy": {"inherit": "all", "exclude": unseen},
            "projects": {str(tree): {"trust_level": "untrusted"}},
        }
        if self.provider is not None and not self.built_in:
            whole["model_providers"] = {self.provider_id: dict(self.provider)}
        return "".join(f"{_key(name)} = {_value(value)}\n" for name, value in whole.items())


def _sandbox(home: Path, *, read_only: bool) -> dict[str, Any]:
    """What the agent's commands may, in the words of ``-s workspace-write`` and as the profile for `codex sandbox`."""
    files = {":root": "read"}
    if read_only:
        profile = {PROFILE: {"filesystem": files, "network": {"enabled": False}}}
        return {"sandbox_mode": "read-only", "permissions": profile}
    files |= {":workspace_roots": "write", ":tmpdir": "write", str(home): "write"}
    return {
        "sandbox_workspace_write": {
            "network_access": False,
            "writable_roots": [str(home)],
            "exclude_slash_tmp": True,
            "exclude_tmpdir_env_var": False,
        },
        "permissions": {PROFILE: {"filesystem": files, "network": {"enabled": False}}},
    }


def read_config(text: str, source: str) -> CodexConfig:
    """What counts of a config.toml. Raises InvalidArgument, naming `source`, when it cannot be used."""
    try:
        stored = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(f"is not TOML: {error}", field=source, remedy="Correct it") from error
    kept = {name: value for name, value in stored.items() if name in _KEPT}
    left_out = tuple(sorted(stored.keys() - _KEPT - {"model_providers"}))
    identity = str(stored.get("model_provider", _OPENAI))
    if identity == _OPENAI:
        return CodexConfig(kept, identity, None, left_out)
    providers = cast("dict[str, Any]", stored.get("model_providers", {}))
    if identity in _LOCAL and identity not in providers:
        # Built into Codex, which takes no table of that name.
        return CodexConfig(kept, identity, {"base_url": _LOCAL[identity]}, left_out, built_in=True)
    provider = providers.get(identity)
    if not isinstance(provider, dict) or not cast("dict[str, Any]", provider).get("base_url"):
        raise InvalidArgument(
            f"model_provider names {identity!r}, but [model_providers.{identity}] has no base_url",
            field=source,
            remedy="Add it: docs/how-to/codex.md shows one",
        )
    said = cast("dict[str, Any]", provider)
    unused = tuple(f"model_providers.{identity}.{name}" for name in sorted(said.keys() - _PROVIDER_KEPT))
    chosen = {name: value for name, value in said.items() if name in _PROVIDER_KEPT}
    host_of(str(chosen["base_url"]), source)
    return CodexConfig(kept, identity, chosen, (*left_out, *unused))


def host_of(url: str, source: str = "base_url") -> str:
    """``host:port`` of a URL. Raises InvalidArgument when it has no host."""
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise InvalidArgument(f"{url!r} is no http or https URL", field=source, remedy="Correct base_url")
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _key(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _value(value: object) -> str:
    if isinstance(value, dict):
        table = cast("dict[str, object]", value)
        return "{" + ", ".join(f"{_key(name)} = {_value(inner)}" for name, inner in table.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, cast("list[object]", value))) + "]"
    # A string, number or truth value of JSON is one of TOML; DEL alone must be escaped there, too.
    return json.dumps(value, ensure_ascii=False, default=str).replace("\x7f", "\\u007f")
