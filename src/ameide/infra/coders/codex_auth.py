"""Codex's auth.json: whether it can be used, which secrets it holds, and whether a refreshed one may replace it."""

from __future__ import annotations

import base64
import binascii
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

_LIMIT = 1 << 20
# Neither a secret, nor of a form that anything else could not have.
_PLAIN = frozenset({"auth_mode", "last_refresh", "account_id"})
_SHORTEST = 8
_OTHER_MODES = ("personal_access_token", "agent_identity", "bedrock_api_key")


class AuthUnusable(Exception):
    """Why an auth.json cannot be used, in words that contain nothing of it."""


@dataclass(frozen=True)
class Auth:
    """An auth.json as it was read. `signed_in` when it holds tokens that Codex renews, not a key."""

    data: bytes
    signed_in: bool
    secrets: tuple[str, ...]


def read_auth(file: Path) -> Auth:
    """The auth.json in the operator's CODEX_HOME. Raises `AuthUnusable`, and FileNotFoundError when there is none."""
    try:
        with file.open("rb") as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise AuthUnusable("it is not a plain file")
            return parse_auth(opened.read(_LIMIT + 1))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise AuthUnusable(f"it cannot be read ({error.strerror})") from error


def parse_auth(data: bytes, now: datetime | None = None) -> Auth:
    """The bytes of an auth.json. Raises `AuthUnusable`."""
    content = _content(data)
    tokens = content.get("tokens")
    signed_in = isinstance(tokens, dict) and bool(cast("dict[str, Any]", tokens).get("access_token"))
    if signed_in:
        _check_age(cast("dict[str, Any]", tokens), now or datetime.now(UTC))
    elif not any(content.get(name) for name in ("OPENAI_API_KEY", *_OTHER_MODES)):
        raise AuthUnusable("it holds neither OPENAI_API_KEY nor tokens with an access_token")
    secrets = tuple(dict.fromkeys(text for name, text in _leaves(content) if name not in _PLAIN))
    return Auth(data, signed_in, tuple(secret for secret in secrets if len(secret) >= _SHORTEST))


def write_back(file: Path, seeded: Auth, refreshed: bytes) -> str:
    """Put a refreshed auth.json in the place of the one that the attempt began with.

    Atomically, with its mode and owner. Returns what was done or why not, in a sentence. Another account, a file that
    says less, and one over a file that somebody changed meanwhile are refused.
    """
    if refreshed == seeded.data:
        return ""
    try:
        fresh = parse_auth(refreshed)
        if file.read_bytes() != seeded.data:
            return "The refreshed auth.json is not written back: another one lies there by now."
    except (AuthUnusable, OSError) as error:
        return f"The refreshed auth.json is not written back: {error}."
    if missing := sorted(_filled(_content(seeded.data)) - _filled(_content(refreshed))):
        return f"The refreshed auth.json is not written back: it lacks {', '.join(missing)}."
    if _account(seeded.data) != _account(refreshed):
        return "The refreshed auth.json is not written back: it is another account's."
    try:
        _replace(file.resolve(), fresh.data)
    except OSError as error:
        return f"The refreshed auth.json is not written back: {error.strerror}."
    return "Codex refreshed its tokens; they are written back."


def _replace(file: Path, data: bytes) -> None:
    status = file.stat()
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".auth.")
    try:
        with os.fdopen(handle, "wb") as opened:
            os.fchmod(handle, stat.S_IMODE(status.st_mode))
            if os.geteuid() == 0:
                os.fchown(handle, status.st_uid, status.st_gid)
            opened.write(data)
            opened.flush()
            os.fsync(handle)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _content(data: bytes) -> dict[str, Any]:
    if len(data) > _LIMIT:
        raise AuthUnusable("it is larger than 1 MiB")
    try:
        content = json.loads(data)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        # The decoder's own words would quote the file.
        raise AuthUnusable("it is not JSON") from error
    if not isinstance(content, dict):
        raise AuthUnusable("it is not a JSON object")
    return cast("dict[str, Any]", content)


def _check_age(tokens: Mapping[str, Any], now: datetime) -> None:
    if tokens.get("refresh_token"):
        return
    expires = _expiry(str(tokens["access_token"]))
    if expires is not None and expires <= now:
        raise AuthUnusable(f"its access_token expired at {expires:%Y-%m-%d %H:%M} UTC, and it has no refresh_token")


def _expiry(token: str) -> datetime | None:
    """When a JSON web token ends, by its own word; None for another kind of token."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return datetime.fromtimestamp(int(claims["exp"]), UTC)
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, binascii.Error):
        return None


def _account(data: bytes) -> object:
    tokens = _content(data).get("tokens")
    return cast("dict[str, Any]", tokens).get("account_id") if isinstance(tokens, dict) else None


def _filled(content: Mapping[str, Any]) -> set[str]:
    return {name for name, _text in _leaves(content)} | {name for name, value in content.items() if value}


def _leaves(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text below a JSON value, with the name of the field that it stands in."""
    if isinstance(value, dict):
        for key, inner in cast("dict[str, object]", value).items():
            yield from _leaves(inner, key)
    elif isinstance(value, list):
        for inner in cast("list[object]", value):
            yield from _leaves(inner, name)
    elif isinstance(value, str) and value:
        yield name, value
