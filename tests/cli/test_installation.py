"""What `ameide up` writes and recognises, without starting anything."""

from __future__ import annotations

import json
import os
import socket
import tomllib
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from ameide import config
from ameide.cli.process_settings import settings_files
from ameide.cli.processes import NAMES, Managed
from ameide.cli.starting import with_architect_port, with_port
from ameide.cli.state import StateFolder
from ameide.engine.files import sole_holder

from .conftest import CommandLine

SECRET = "canary-password"


def settings(tmp_path: Path) -> config.Settings:
    """Settings as they are once the engines run."""
    url = f"postgresql://role:{SECRET}@127.0.0.1:5432/ameide"
    return replace(
        config.read({"AMEIDE_STATE_DIR": str(tmp_path)}),
        address="http://127.0.0.1:8480",
        temporal_address="127.0.0.1:7233",
        database_url_admin=url,
        database_url_app=url,
        database_url_relay=url,
        database_url_sweeper=url,
        database_url_ingress=url,
        database_url_projector=url,
        database_url_architect=f"{url}?of=architect",
        architect_address="http://127.0.0.1:8580",
    )


def test_an_executor_is_told_no_database_and_no_temporal(tmp_path: Path) -> None:
    text = settings_files(settings(tmp_path))["executor"]
    assert "database" not in text
    assert "temporal" not in text
    assert SECRET not in text
    assert tomllib.loads(text)["author_token_file"] == str(tmp_path / "tokens" / "author")


def test_the_agent_alone_is_told_its_database_and_its_models_key(tmp_path: Path) -> None:
    given = replace(
        settings(tmp_path),
        architect_model="openai:gpt-5.2",
        architect_model_key="sk-of-the-gateway",
        openai_api_key="sk-of-openai",
        anthropic_api_key="sk-of-anthropic",
    )
    files = settings_files(given)
    told = tomllib.loads(files["architect"])
    assert [name for name in told if name.startswith("database")] == ["database_url_architect"]
    assert "temporal_address" not in told
    assert told["architect_token_file"] == str(tmp_path / "tokens" / "architect")
    assert (told["architect_model"], told["architect_model_key"]) == ("openai:gpt-5.2", "sk-of-the-gateway")
    assert told["openai_api_key"] == "sk-of-openai"
    assert "anthropic_api_key" not in told, "no model of that provider is asked"
    others = "".join(text for name, text in files.items() if name != "architect")
    assert "sk-of" not in others
    assert "of=architect" not in others
    without = tomllib.loads(settings_files(replace(given, architect_model=""))["architect"])
    assert not any("key" in name for name in without)


def test_nobody_is_told_the_administrators_connection(tmp_path: Path) -> None:
    assert all("database_url_admin" not in text for text in settings_files(settings(tmp_path)).values())


def test_the_control_process_alone_is_told_how_to_tell_of_a_gate(tmp_path: Path) -> None:
    given = replace(settings(tmp_path), notify_command=("tell", "a b"), notify_webhook_url="https://hooks.example/t")
    files = settings_files(replace(given, notify_webhook_secret="whsec_c2VjcmV0"))
    told = tomllib.loads(files["control"])
    assert told["notify_command"] == ["tell", "a b"]
    assert (told["notify_webhook_url"], told["notify_webhook_secret"]) == ("https://hooks.example/t", "whsec_c2VjcmV0")
    assert not any("notify" in files[name] for name in ("worker", "executor"))
    assert "notifier" in Managed("control", StateFolder(tmp_path)).arguments


def test_the_settings_files_can_be_read_back(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.prepare()
    for name in ("process", "architect", "author", "verifier"):
        state.keep_token(name, f"token-of-{name}")
    for name, text in settings_files(settings(tmp_path)).items():
        file = tmp_path / f"{name}.toml"
        file.write_text(text)
        found = config.read({}, file=file)
        assert found.address == "http://127.0.0.1:8480"
        assert found.process_token == ("token-of-process" if name in ("control", "worker") else "")
        assert found.architect_token == ("token-of-architect" if name == "architect" else "")


def test_secrets_are_the_owners(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "s")
    state.prepare()
    state.keep_token("owner", "t")
    assert (state.tokens / "owner").stat().st_mode & 0o777 == 0o600
    assert state.tokens.stat().st_mode & 0o777 == 0o700
    assert state.root.stat().st_mode & 0o777 == 0o711


def test_remotes_and_registry_are_closed_to_children(tmp_path: Path) -> None:
    state, elsewhere = StateFolder(tmp_path / "s"), tmp_path / "elsewhere"
    (state.root / "remotes").mkdir(parents=True, mode=0o755)
    state.prepare(state.root / "remotes", state.root / "registry", elsewhere)
    assert [(state.root / name).stat().st_mode & 0o777 for name in ("remotes", "registry")] == [0o700, 0o700]
    assert not elsewhere.exists()


def test_nobody_else_can_hold_the_lock(tmp_path: Path) -> None:
    (tmp_path / "lock").touch(0o644)
    with sole_holder(tmp_path / "lock", lambda: None):
        assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_a_stale_pid_is_not_taken_for_the_process(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.prepare()
    managed = Managed("worker", state)
    assert not managed.left_behind()
    pid_file = state.run / "worker.pid.json"
    # This very process has the pid, and began at another time than the file says: the number was given out again.
    pid_file.write_text(json.dumps({"pid": os.getpid(), "started": psutil.Process().create_time() - 1000.0}))
    assert managed.process() is None
    assert managed.left_behind()
    assert not managed.stop(1)
    assert not managed.left_behind()


def test_a_busy_port_is_passed_over_and_said(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said: list[str] = []
        chosen = with_port(replace(settings(tmp_path), listen_port=port), None, False, said.append)
    assert chosen.listen_port != port
    assert chosen.address.endswith(str(chosen.listen_port))
    assert str(port) in said[0]


def test_a_former_port_is_kept(tmp_path: Path) -> None:
    said: list[str] = []
    chosen = with_port(settings(tmp_path), 8490, True, said.append)
    assert (chosen.listen_port, said) == (8490, [])


def test_who_listens_on_all_interfaces_is_reached_on_this_machine(tmp_path: Path) -> None:
    for host, here in (("0.0.0.0", "127.0.0.1"), ("::", "[::1]")):
        listening = replace(settings(tmp_path), listen_host=host)
        both = with_architect_port(with_port(listening, 8490, True, print), 8590, True, print)
        assert (both.address, both.architect_address) == (f"http://{here}:8490", f"http://{here}:8590")


def test_nothing_to_stop(ameide: CommandLine) -> None:
    answer = ameide("down")
    assert answer.code == 0
    assert "No process" in answer.out


def test_a_purge_names_what_it_deletes_and_asks(ameide: CommandLine) -> None:
    ameide.state.keep_token("owner", "t")
    answer = ameide("down", "--purge")
    assert answer.code == 1
    assert str(ameide.state.tokens) in answer.out
    assert "--yes" in answer.err
    assert ameide.state.token("owner") == "t"


def test_a_purge_leaves_what_is_not_ours(ameide: CommandLine) -> None:
    ameide.state.keep_token("owner", "t")
    mine = ameide.state.root / "mine.txt"
    mine.write_text("mine")
    assert ameide("down", "--purge", "--yes").code == 0
    assert [file.name for file in ameide.state.root.iterdir()] == ["mine.txt"]


def test_a_purge_takes_every_folder_of_the_program(ameide: CommandLine) -> None:
    settings = config.read({}, state_dir=ameide.state.root)
    for folder in (settings.registry_root, settings.forge_root, settings.work_dir, settings.dependency_dir):
        folder.joinpath("some").mkdir(parents=True)
    assert ameide("down", "--purge", "--yes").code == 0
    assert not ameide.state.root.exists()


def test_status_of_nothing(ameide: CommandLine) -> None:
    answer = ameide("status", "--json")
    shown = json.loads(answer.out)
    assert answer.code == 3
    assert [row["name"] for row in shown["processes"]][-len(NAMES) :] == list(NAMES)
    assert shown["error"]["code"] == "unavailable"


@pytest.mark.parametrize("words", [("demo", "--print"), ("doctor",), ("change", "--help"), ("--help",), ("--version",)])
def test_what_needs_no_control_plane(ameide: CommandLine, words: tuple[str, ...]) -> None:
    answer = ameide(*words)
    assert answer.code == 0, answer
    assert answer.out


def test_the_agent_does_not_get_the_port_of_the_control_process(tmp_path: Path) -> None:
    said: list[str] = []
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port: int = other.getsockname()[1]
    given = replace(settings(tmp_path), listen_port=port, architect_listen_port=port)
    chosen = with_architect_port(given, None, False, said.append)
    assert port < chosen.architect_listen_port < port + 200
    assert chosen.architect_address == f"http://127.0.0.1:{chosen.architect_listen_port}"
    assert with_architect_port(given, chosen.architect_listen_port, True, said.append) == chosen
