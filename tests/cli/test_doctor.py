"""Each thing that `ameide doctor` looks for, taken away: it is named, with what to do."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from ameide.config import DATABASE_ROLES
from tests.conftest import SpineDatabase
from tests.engines.kafka.broker import KafkaBroker

from .conftest import CommandLine

Doctor = Callable[[], dict[str, dict[str, Any]]]


@pytest.fixture
def doctor(ameide: CommandLine) -> Doctor:
    """Runs it; the checks that failed, by name. Its exit code says whether there are any."""

    def look() -> dict[str, dict[str, Any]]:
        answer = ameide("doctor", "--json")
        failed = {check["name"]: check for check in json.loads(answer.out)["checks"] if not check["good"]}
        assert answer.code == (1 if failed else 0)
        assert all(check["remedy"] and check["said"] for check in failed.values())
        return failed

    return look


def test_a_good_machine_passes(doctor: Doctor, ameide: CommandLine) -> None:
    assert doctor() == {}
    assert not (ameide.state.root / "objects").exists()


def test_where_executors_alone_run_nothing_else_is_missing(
    ameide: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("AMEIDE_STATE_DIR", "/proc/nowhere")
    answer = ameide("doctor", "--executor", "--json")
    assert answer.code == 0
    names = {check["name"] for check in json.loads(answer.out)["checks"]}
    assert {"sandbox of the work", "git 2.38 or newer", "buf", "Codex's sandbox"} <= names
    assert not [name for name in names if "Temporal" in name or "database" in name or "state folder" in name]
    # An object store that is not this machine's has to be reached from there.
    monkeypatch.setenv("AMEIDE_OBJECT_STORE", "s3://evidence")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    answer = ameide("doctor", "--executor", "--json")
    failed = [check["name"] for check in json.loads(answer.out)["checks"] if not check["good"]]
    assert (answer.code, failed) == (1, ["object store takes and gives"])


def test_programs(doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("AMEIDE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("AMEIDE_CODER_COMMAND", "no-such-coder --fast")
    with monkeypatch.context() as moved:
        moved.setattr(sys, "executable", str(tmp_path / "python"))
        failed = doctor()
    assert {"git 2.38 or newer", "buf", "uv", "Temporal server, or Go to build it", "coder `command`"} <= failed.keys()
    assert "no-such-coder" in failed["coder `command`"]["said"]
    old = tmp_path / "git"
    old.write_text("#!/bin/sh\necho git version 2.30.1\n")
    old.chmod(0o755)
    assert doctor()["git 2.38 or newer"]["said"] == "git version 2.30.1"


def test_an_old_python(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    class Old(NamedTuple):
        major: int = 3
        minor: int = 11
        micro: int = 3

    monkeypatch.setattr(sys, "version_info", Old())
    assert "3.11.3" in doctor()["Python 3.11.4 or newer"]["said"]


def test_a_state_folder_that_others_can_look_into(doctor: Doctor, ameide: CommandLine) -> None:
    ameide.state.keep_token("owner", "t")
    token = ameide.state.tokens / "owner"
    token.chmod(0o644)
    assert doctor()["state folder is yours alone"]["remedy"].startswith(f"chmod 600 {token}")
    token.chmod(0o600)
    ameide.state.root.chmod(0o777)
    assert "others may write" in doctor()["state folder is yours alone"]["said"]


def test_a_state_folder_that_cannot_be_made(ameide: CommandLine) -> None:
    checks = json.loads(ameide("--state-dir", "/proc/none", "doctor", "--json").out)["checks"]
    assert "AMEIDE_STATE_DIR" in next(check["remedy"] for check in checks if check["name"].startswith("state folder"))


def test_space_and_open_files(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        total: int = 10
        used: int = 9
        free: int = 1

    def full(_path: object) -> Usage:
        return Usage()

    monkeypatch.setattr(shutil, "disk_usage", full)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        failed = doctor()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert failed.keys() == {"2 GiB free for the state folder", "1024 open files"}


def test_no_free_port(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 65535)):
        monkeypatch.setenv("AMEIDE_LISTEN_PORT", "65535")
        assert "AMEIDE_LISTEN_PORT" in doctor()["port for the control process"]["remedy"]


def test_users_that_run_work(doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("AMEIDE_AUTHOR_UID", "64102")
    assert "one user" in doctor()["users that run work"]["said"]
    monkeypatch.delenv("AMEIDE_AUTHOR_UID")
    closed = tmp_path / "python"
    closed.touch(mode=0o600)
    monkeypatch.setenv("AMEIDE_CHILD_PYTHON", str(closed))
    # Whoever is not root cannot become them in the first place.
    variable = "AMEIDE_CHILD_PYTHON" if os.getuid() == 0 else "AMEIDE_AUTHOR_UID"
    assert variable in doctor()["users that run work"]["remedy"]


def test_an_object_store_that_takes_nothing(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMEIDE_OBJECT_STORE", "file:///proc/objects")
    assert "AMEIDE_OBJECT_STORE" in doctor()["object store takes and gives"]["remedy"]


def test_tokens_that_are_gone(doctor: Doctor, ameide: CommandLine) -> None:
    ameide.state.keep_token("owner", "t")
    assert "process, architect, author, verifier" in doctor()["tokens of this installation"]["said"]


def test_a_temporal_that_does_not_answer(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:9")
    assert "127.0.0.1:9" in doctor()["Temporal answers"]["said"]


@pytest.fixture
def connected(database: SpineDatabase, monkeypatch: pytest.MonkeyPatch) -> SpineDatabase:
    """The settings name a database of our own."""
    for role in DATABASE_ROLES:
        monkeypatch.setenv(f"AMEIDE_DATABASE_URL_{role.removeprefix('ameide_').upper()}", database.dsn(role))
    return database


def test_a_database_of_one_s_own(
    doctor: Doctor, ameide: CommandLine, connected: SpineDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doctor() == {}

    def administer(statement: str) -> None:
        with psycopg.connect(connected.address.conninfo, autocommit=True) as admin:
            admin.execute(statement.encode())

    administer("INSERT INTO ameide.schema_version (number, name) VALUES (9999, 'later')")
    assert "schema 9999" in doctor()["database schema"]["said"]
    administer("DELETE FROM ameide.schema_version WHERE number > 1")
    assert "lacks" in doctor()["database schema"]["said"]
    administer("ALTER TABLE ameide.work NO FORCE ROW LEVEL SECURITY")
    assert "work" in doctor()["tenants are kept apart"]["said"]
    wrong = connected.dsn("ameide_relay").replace("password of", "passwort of")
    monkeypatch.setenv("AMEIDE_DATABASE_URL_RELAY", wrong)
    said = doctor()["database roles"]["said"]
    assert said.startswith("ameide_relay: ")
    assert "passwort of" not in said
    monkeypatch.delenv("AMEIDE_DATABASE_URL_RELAY")
    assert "database roles" not in doctor()
    ameide.state.settings_of("control").touch()
    assert "AMEIDE_DATABASE_URL_RELAY" in doctor()["database roles"]["remedy"]


def test_the_database_roles_of_a_host_that_runs_some(
    doctor: Doctor, connected: SpineDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    for role in DATABASE_ROLES[:1] + DATABASE_ROLES[2:]:
        monkeypatch.delenv(f"AMEIDE_DATABASE_URL_{role.removeprefix('ameide_').upper()}")
    assert doctor() == {}
    monkeypatch.setenv("AMEIDE_DATABASE_URL_RELAY", "host=127.0.0.1 port=9 user=x")
    assert doctor()["database roles"]["said"].startswith("ameide_relay: ")


def test_a_database_that_does_not_answer(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    for role in DATABASE_ROLES:
        variable = f"AMEIDE_DATABASE_URL_{role.removeprefix('ameide_').upper()}"
        monkeypatch.setenv(variable, "host=127.0.0.1 port=9 user=x")
    assert "ameide up" in doctor()["database roles"]["remedy"]


def test_a_broker_that_does_not_answer(
    doctor: Doctor, ameide: CommandLine, kafka: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMEIDE_QUEUE_TRANSPORT", "coder=kafka")
    assert doctor()["Kafka answers"]["remedy"] == "Name brokers as host:port, separated by commas"
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    monkeypatch.setenv("KAFKA_BROKERS", f"127.0.0.1:{port}")
    assert "Do the brokers of KAFKA_BROKERS run" in doctor()["Kafka answers"]["remedy"]
    monkeypatch.setenv("KAFKA_BROKERS", kafka.brokers)
    assert doctor() == {}
    said = {check["name"]: check["said"] for check in json.loads(ameide("doctor", "--json").out)["checks"]}
    assert said["Kafka answers"] == kafka.brokers
    assert said["topics of Kafka"] in ("all are there", "1 are made when the forwarder starts")
