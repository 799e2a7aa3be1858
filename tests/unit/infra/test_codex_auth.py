"""Codex's auth.json: what can be used, what is secret in it, and when a refreshed one takes its place."""

from __future__ import annotations

import base64
import json
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ameide.infra.coders.codex_auth import Auth, AuthUnusable, parse_auth, read_auth, write_back

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def token(expires: datetime) -> str:
    """A JSON web token that ends then."""
    claims = base64.urlsafe_b64encode(json.dumps({"exp": int(expires.timestamp())}).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{claims}.signature"


def lone_token(year: int) -> bytes:
    """A file with a token that ends at the beginning of a year and cannot be renewed."""
    return json.dumps({"tokens": {"access_token": token(datetime(year, 1, 1, tzinfo=UTC))}}).encode()


def signed_in(access: str = "access-1-long", refresh: str = "refresh-1-long", account: str = "account-1") -> bytes:
    """What `codex login` writes."""
    tokens = {"id_token": "id-token-1", "access_token": access, "refresh_token": refresh, "account_id": account}
    return json.dumps(
        {"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": tokens, "last_refresh": "then"}
    ).encode()


def test_a_key_and_tokens_are_usable_and_secret() -> None:
    key = parse_auth(b'{"OPENAI_API_KEY": "sk-abcdefgh"}')
    assert (key.signed_in, key.secrets) == (False, ("sk-abcdefgh",))
    tokens = parse_auth(signed_in())
    assert tokens.signed_in
    assert set(tokens.secrets) == {"id-token-1", "access-1-long", "refresh-1-long"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"sk-abcdefgh", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'["sk-abcdefgh"]', "not a JSON object"),
        (b"{}", "neither OPENAI_API_KEY nor tokens"),
        (b'{"OPENAI_API_KEY": "", "tokens": {"refresh_token": "r"}}', "neither OPENAI_API_KEY nor tokens"),
        (b'{"a": "' + b"x" * (1 << 20) + b'"}', "larger than 1 MiB"),
        (
            json.dumps({"tokens": {"access_token": token(datetime(2026, 1, 1, tzinfo=UTC))}}).encode(),
            "expired at 2026-01-01",
        ),
    ],
)
def test_what_cannot_be_used_is_named_and_not_quoted(content: bytes, why: str) -> None:
    with pytest.raises(AuthUnusable, match=why) as refused:
        parse_auth(content, NOW)
    assert "sk-abcdefgh" not in str(refused.value)


def test_an_expired_token_that_can_be_renewed_is_usable() -> None:
    assert parse_auth(signed_in(access=token(datetime(2026, 1, 1, tzinfo=UTC))), NOW).signed_in
    assert parse_auth(lone_token(2027), NOW).signed_in


def test_only_a_plain_file_is_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_auth(tmp_path / "auth.json")
    (tmp_path / "auth.json").mkdir()
    with pytest.raises(AuthUnusable, match="cannot be read"):
        read_auth(tmp_path / "auth.json")


class Kept:
    """An auth.json that an attempt began with."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "auth.json"
        self.file.write_bytes(signed_in())
        self.file.chmod(0o640)
        self.seeded: Auth = read_auth(self.file)

    def write_back(self, refreshed: bytes) -> str:
        return write_back(self.file, self.seeded, refreshed)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_a_refreshed_token_takes_the_place_of_the_old_one(kept: Kept) -> None:
    fresh = signed_in(access="access-2", refresh="refresh-2")
    assert "written back" in kept.write_back(fresh)
    assert kept.file.read_bytes() == fresh
    assert stat.S_IMODE(kept.file.stat().st_mode) == 0o640
    assert [path.name for path in kept.file.parent.iterdir()] == ["auth.json"]


def test_through_a_link_the_file_behind_it_is_replaced(kept: Kept) -> None:
    behind = kept.file.rename(kept.file.with_name("real.json"))
    kept.file.symlink_to(behind)
    assert "are written back" in kept.write_back(signed_in(access="access-2"))
    assert kept.file.is_symlink()
    assert b"access-2" in behind.read_bytes()


def _without_refresh() -> bytes:
    content: dict[str, Any] = json.loads(signed_in(access="access-2"))
    del content["tokens"]["refresh_token"]
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    ("refreshed", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"{}", "neither OPENAI_API_KEY"),
        (_without_refresh(), "lacks refresh_token"),
        (signed_in(access="access-2", account="another"), "another account's"),
    ],
)
def test_less_than_there_was_is_refused(kept: Kept, refreshed: bytes, why: str) -> None:
    assert why in kept.write_back(refreshed)
    assert kept.file.read_bytes() == signed_in()


def test_what_somebody_else_wrote_meanwhile_stays(kept: Kept) -> None:
    kept.file.write_bytes(signed_in(access="access-3"))
    assert "another one lies there" in kept.write_back(signed_in(access="access-2"))
    assert b"access-3" in kept.file.read_bytes()


def test_nothing_new_is_nothing_to_do(kept: Kept) -> None:
    assert kept.write_back(signed_in()) == ""
