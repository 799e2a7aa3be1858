"""The coder `codex` and its credentials: missing, unusable, refused, in a variable, refreshed."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from ameide_core_proto.transformation.work.v1.work_pb import (
    FailureCode,
)
from tests.infra.codex_world import CHANGE, CodexWorld, result_of
from tests.infra.responses_endpoint import (
    KEY,
    Run,
    conversation,
)

Spoil = Callable[[Path], None]


def _nothing(home: Path) -> None:
    (home / "auth.json").unlink()


def _no_json(home: Path) -> None:
    (home / "auth.json").write_text("sk-not-json-at-all")


def _no_key(home: Path) -> None:
    (home / "auth.json").write_text('{"OPENAI_API_KEY": null}')


def _expired(home: Path) -> None:
    claims = "eyJleHAiOjE2MDAwMDAwMDB9"
    (home / "auth.json").write_text(json.dumps({"tokens": {"access_token": f"eyJhbGciOiJub25lIn0.{claims}.c2lnbmVk"}}))


def _no_provider(home: Path) -> None:
    (home / "config.toml").write_text('model_provider = "elsewhere"\n')


def _no_toml(home: Path) -> None:
    (home / "config.toml").write_text("model = \n")


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (_nothing, "has no auth.json"),
        (_no_json, "not JSON"),
        (_no_key, "neither OPENAI_API_KEY nor tokens"),
        (_expired, "expired at 2020-09-13"),
        (_no_provider, "'elsewhere'"),
        (_no_toml, "not TOML"),
    ],
)
async def test_credentials_that_cannot_be_used_are_named_before_the_checkout(
    world: CodexWorld, spoil: Spoil, named: str
) -> None:
    async with world.model(conversation(*CHANGE)) as endpoint:
        spoil(world.home)
        outcome = await world.run()
    result = result_of(outcome)
    assert result.failure_code is FailureCode.MISSING_CREDENTIALS, result.summary
    assert named in result.summary
    assert "docs/how-to/codex.md" in result.summary or "Correct it" in result.summary
    assert "checked out" not in await world.evidence(outcome, "work.log")
    assert endpoint.calls == []
    assert b"sk-not-json-at-all" not in world.everything()


async def test_a_key_that_the_model_refuses_is_a_missing_credential(world: CodexWorld) -> None:
    async with world.model(conversation(*CHANGE), key="sk-another-key-of-nobody", stream_max_retries=5) as endpoint:
        result = result_of(await world.run())
    assert result.failure_code is FailureCode.MISSING_CREDENTIALS
    assert "codex login" in result.summary
    assert 1 <= endpoint.refused < 5, "it does not go on for as long as Codex would"
    assert b"sk-another-key-of-nobody" not in world.everything()


async def test_the_key_of_a_provider_may_come_from_its_variable(world: CodexWorld) -> None:
    provider: dict[str, str | bool] = {"requires_openai_auth": False, "env_key": "SCRIPTED_KEY"}
    async with world.model(conversation(Run("env | grep SCRIPTED"), *CHANGE), key="", **provider) as endpoint:
        missing = result_of(await world.run())
        assert missing.failure_code is FailureCode.MISSING_CREDENTIALS
        assert "SCRIPTED_KEY is not set" in missing.summary
        outcome = await world.run(variables={"SCRIPTED_KEY": KEY})
    assert result_of(outcome).failure_code is FailureCode.UNSPECIFIED, result_of(outcome).summary
    assert endpoint.refused == 0
    assert "SCRIPTED_KEY=" not in await world.evidence(outcome, "work.log")
    assert KEY.encode() not in world.everything()


REFRESHING = """#!/bin/sh
# A double of the CLI: what it does with its own tokens needs OpenAI, which no test has.
case "$1" in
--version) echo codex-cli 0.163.0 ;;
sandbox) ;;
exec)
    sed -i s/access-one/access-two/ "$CODEX_HOME/auth.json"
    echo x >> orders.py
    sleep 1
    echo '{"type":"item.completed","item":{"type":"agent_message","text":"Now it is access-two-of-codex."}}'
    echo '{"type":"item.completed","item":{"type":"file_change","status":"completed","changes":[]}}'
    echo '{"type":"turn.completed","usage":{"input_tokens":7,"output_tokens":1}}'
    ;;
esac
"""


@pytest.mark.parametrize("write_back", [False, True])
async def test_a_refreshed_token_is_secret_at_once_and_goes_back_where_configured(
    world: CodexWorld, write_back: bool
) -> None:
    program = world.remote.folder.parent / "codex"
    program.write_text(REFRESHING)
    program.chmod(0o755)
    tokens = {"access_token": "access-one-of-codex", "refresh_token": "refresh-of-codex", "account_id": "account"}
    world.home.mkdir()
    auth = world.home / "auth.json"
    auth.write_text(json.dumps({"OPENAI_API_KEY": None, "tokens": tokens}))
    auth.chmod(0o640)
    outcome = await world.run(program=str(program), write_back=write_back)
    assert result_of(outcome).failure_code is FailureCode.UNSPECIFIED, result_of(outcome).summary
    assert result_of(outcome).summary == "Now it is [redacted]."
    usage = result_of(outcome).usage
    assert usage
    assert usage.input_tokens == 7
    assert ("access-two-of-codex" in auth.read_text()) is write_back
    assert stat.S_IMODE(auth.stat().st_mode) == 0o640
    for secret in ("access-one-of-codex", "access-two-of-codex", "refresh-of-codex"):
        assert secret.encode() not in world.everything()
