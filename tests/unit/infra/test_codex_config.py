"""What of the operator's config.toml reaches an attempt, and whom Codex has to reach."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from ameide.errors import InvalidArgument
from ameide.infra.coders.codex_config import read_config

MINE = """
model = "gpt-5.5"
model_provider = "mine"
model_reasoning_effort = "high"
sandbox_mode = "danger-full-access"
notify = ["curl", "http://somewhere.example"]
[model_providers.mine]
name = "say \\"mine\\""
base_url = "https://models.example/v1"
wire_api = "responses"
env_key = "MY_KEY"
http_headers = { "X-Team" = "header-secret" }
env_http_headers = { "X-More" = "MY_HEADER" }
stream_max_retries = 2
auth = { command = "print-token" }
[model_providers.other]
base_url = "https://other.example/v1"
[mcp_servers.tool]
command = "tool"
[features]
hooks = true
[projects."/srv"]
trust_level = "trusted"
[sandbox_workspace_write]
network_access = true
"""
TREE, HOME = Path("/attempt/tree"), Path("/attempt/home")
MODELS = ("models.example:443",)


def test_model_and_provider_are_taken_over_and_nothing_that_widens() -> None:
    config = read_config(MINE, "config.toml")
    attempt = tomllib.loads(config.for_attempt(TREE, HOME))
    assert (attempt["model"], attempt["model_reasoning_effort"]) == ("gpt-5.5", "high")
    assert list(attempt["model_providers"]) == ["mine"]
    assert attempt["model_providers"]["mine"]["name"] == 'say "mine"'
    assert "auth" not in attempt["model_providers"]["mine"]
    assert (attempt["sandbox_mode"], attempt["approval_policy"]) == ("workspace-write", "never")
    assert attempt["sandbox_workspace_write"]["network_access"] is False
    assert attempt["projects"] == {str(TREE): {"trust_level": "untrusted"}}
    assert attempt["features"]["hooks"] is False
    assert not {"notify", "mcp_servers", "hooks"} & attempt.keys()
    assert set(config.left_out) == {
        *("sandbox_mode", "notify", "mcp_servers", "features", "projects", "sandbox_workspace_write"),
        "model_providers.mine.auth",
    }


def test_what_is_secret_and_where_it_comes_from() -> None:
    config = read_config(MINE, "config.toml")
    assert config.variables == ("MY_KEY", "MY_HEADER")
    assert config.secrets == ("header-secret",)
    assert {"MY_KEY", "CODEX_HOME"} <= set(
        tomllib.loads(config.for_attempt(TREE, HOME))["shell_environment_policy"]["exclude"]
    )


@pytest.mark.parametrize(
    ("text", "variable", "needs_auth"),
    [
        ("", "CODEX_API_KEY", True),
        (MINE, "MY_KEY", False),
        (MINE.replace("env_key", "requires_openai_auth = true\n#"), "CODEX_API_KEY", True),
        (MINE.replace("env_key", "#"), "", False),
        ('model_provider = "ollama"', "", False),
    ],
)
def test_where_the_key_comes_from(text: str, variable: str, needs_auth: bool) -> None:
    config = read_config(text, "config.toml")
    assert (config.key_variable, config.needs_auth) == (variable, needs_auth)


@pytest.mark.parametrize(
    ("text", "signed_in", "hosts"),
    [
        ("", True, ("api.openai.com:443", "chatgpt.com:443", "auth.openai.com:443")),
        (MINE, True, MODELS),
        (
            MINE.replace("env_key", "requires_openai_auth = true\nenv_key"),
            True,
            ("models.example:443", "auth.openai.com:443"),
        ),
        (MINE.replace("https://models.example", "http://127.0.0.1:8080"), False, ("127.0.0.1:8080",)),
        ('model_provider = "ollama"', False, ("localhost:11434",)),
        (
            'openai_base_url = "https://gate.example/v1"',
            False,
            ("gate.example:443", "api.openai.com:443", "chatgpt.com:443", "auth.openai.com:443"),
        ),
    ],
)
def test_hosts(text: str, signed_in: bool, hosts: tuple[str, ...]) -> None:
    assert read_config(text, "config.toml").hosts(signed_in=signed_in) == hosts


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("model =", "not TOML"),
        ('model_provider = "mine"', "no base_url"),
        ('model_provider = "mine"\nmodel_providers.mine = 3', "no base_url"),
        ('model_provider = "mine"\nmodel_providers.mine.base_url = "models.example"', "no http or https URL"),
    ],
)
def test_what_cannot_be_used_is_named(text: str, why: str) -> None:
    with pytest.raises(InvalidArgument, match=why) as refused:
        read_config(text, "config.toml")
    assert refused.value.remedy
