"""What `ameide doctor` says of the coder `codex`: its program, its sandbox, its credentials, the prices."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import CommandLine

Doctor = Callable[[], dict[str, tuple[bool, str]]]
CONFIG = """
model = "gpt-5.5"
model_provider = "mine"
[model_providers.mine]
base_url = "http://127.0.0.1:9/v1"
wire_api = "responses"
env_key = "MY_KEY"
"""


@pytest.fixture
def doctor(ameide: CommandLine) -> Doctor:
    """Each check by its name: whether it is good, and what it says, with the remedy if not."""

    def look() -> dict[str, tuple[bool, str]]:
        checks = json.loads(ameide("doctor", "--json").out)["checks"]
        return {check["name"]: (check["good"], check["said"] + " " + check["remedy"]) for check in checks}

    return look


def test_without_codex_set_up_only_what_comes_along_is_looked_at(doctor: Doctor) -> None:
    found = doctor()
    assert found["Codex CLI 0.163"][0]
    assert "0.163.0, /" in found["Codex CLI 0.163"][1]
    assert found["Codex's sandbox"][0]
    assert "not set up" in found["Codex's credentials"][1]
    assert "prices of models" not in found


def test_credentials_and_the_models_endpoint_are_named(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEX_HOME", str(tmp_path))
    good, said = doctor()["Codex's credentials"]
    assert not good
    assert "has no auth.json" in said
    assert "codex login" in said
    (tmp_path / "auth.json").write_text(json.dumps({"OPENAI_API_KEY": "sk-nobody-shall-see-this"}))
    good, said = doctor()["Codex's credentials"]
    assert good
    assert "asked at OpenAI (api.openai.com:443)" in said
    assert "nobody-shall-see" not in said
    (tmp_path / "config.toml").write_text(CONFIG)
    good, said = doctor()["Codex's credentials"]
    assert not good
    assert "MY_KEY is not set" in said
    monkeypatch.setenv("MY_KEY", "sk-nobody-shall-see-this")
    good, said = doctor()["Codex's credentials"]
    assert good
    assert said.strip() == "MY_KEY; gpt-5.5, asked at http://127.0.0.1:9/v1"


def test_another_version_and_a_program_that_is_not_there(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "codex"
    tmp_path.chmod(0o755)
    monkeypatch.setenv("AMEIDE_CODEX", str(other))
    assert not doctor()["Codex CLI 0.163"][0]
    other.write_text("#!/bin/sh\necho codex-cli 0.99.1\n")
    other.chmod(0o755)
    for folder in list(tmp_path.parents)[: -len(Path(tempfile.gettempdir()).parts)]:
        folder.chmod(0o711)
    good, said = doctor()["Codex CLI 0.163"]
    assert not good
    assert "0.99.1, not 0.163" in said


def test_prices_that_cannot_be_read(doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text('["gpt-5.5"]\ninput = 1_250_000\noutput = "much"\n')
    monkeypatch.setenv("AMEIDE_PRICES", str(prices))
    good, said = doctor()["prices of models"]
    assert not good
    assert "gpt-5.5 needs `input` and `output`" in said
    prices.write_text('["gpt-5.5"]\ninput = 1_250_000\noutput = 10_000_000\n')
    assert doctor()["prices of models"] == (True, "gpt-5.5 ")
