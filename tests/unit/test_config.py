"""Settings: where a value comes from, how a wrong one is named, what a secret shows."""

from pathlib import Path

import pytest

from ameide import config
from ameide.errors import InvalidArgument


def test_defaults_lie_below_the_state_folder() -> None:
    settings = config.read({"AMEIDE_STATE_DIR": "/s"})
    assert settings.registry_root == Path("/s/registry")
    assert settings.object_store == "file:///s/objects"
    assert settings.listen_port == 8480


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "ameide.toml"
    file.write_text(config.to_toml({"tenant": "acme", "listen_port": 9000, "coder_command": ("run", "a b")}))
    settings = config.read({"AMEIDE_CONFIG": str(file), "AMEIDE_TENANT": "other"})
    assert (settings.tenant, settings.listen_port) == ("other", 9000)
    assert settings.coder_command == ("run", "a b")


def test_a_secret_is_read_from_its_file_and_never_shown(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("ameide_default_1_canary\n")
    by_variable = config.read({"AMEIDE_TOKEN_FILE": str(secret)})
    assert by_variable.token == "ameide_default_1_canary"
    assert "canary" not in repr(by_variable)
    file = tmp_path / "ameide.toml"
    file.write_text(config.to_toml({"token_file": secret}))
    assert config.read({"AMEIDE_CONFIG": str(file)}).token == by_variable.token


def test_a_standard_name_is_used_where_there_is_one() -> None:
    assert config.read({"TEMPORAL_ADDRESS": "t:7233"}).temporal_address == "t:7233"


@pytest.mark.parametrize(
    ("environment", "field"),
    [
        ({"AMEIDE_LISTEN_PORT": "eighty"}, "AMEIDE_LISTEN_PORT"),
        ({"AMEIDE_CONFIG": "/nowhere.toml"}, "AMEIDE_CONFIG"),
        ({"AMEIDE_TOKEN_FILE": "/nowhere"}, "AMEIDE_TOKEN_FILE"),
        ({"AMEIDE_LOG_LEVEL": "loud"}, "AMEIDE_LOG_LEVEL"),
    ],
)
def test_a_wrong_value_is_named(environment: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        config.read(environment)
    assert caught.value.field == field
    assert caught.value.remedy


def test_a_log_level_is_known_in_either_case() -> None:
    assert [config.read({"AMEIDE_LOG_LEVEL": level}).log_level for level in ("debug", "ERROR")] == ["DEBUG", "ERROR"]


def test_a_file_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ameide.toml"
    file.write_text('tennant = "x"\n')
    with pytest.raises(InvalidArgument, match="tennant"):
        config.read({"AMEIDE_CONFIG": str(file)})
