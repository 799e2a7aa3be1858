"""`ameide up` on engines of somebody else, and a port that is lost between its choice and its use."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ameide.cli import starting
from ameide.cli.root import run
from ameide.engine.engine import Running
from ameide.engine.ports import is_free
from tests.conftest import SpineDatabase

CONNECTIONS = ("app", "relay", "sweeper", "ingress", "projector")


def test_up_takes_another_port_when_it_loses_one(
    engine: Running,
    database: SpineDatabase,
    state_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AMEIDE_STATE_DIR", str(state_dir))
    monkeypatch.setenv("TEMPORAL_ADDRESS", engine.temporal_address)
    for name in CONNECTIONS:
        monkeypatch.setenv(f"AMEIDE_DATABASE_URL_{name.upper()}", database.dsn(f"ameide_{name}"))
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken: int = other.getsockname()[1]
        looks: list[int] = []

        def late(port: int) -> bool:
            # The other program comes after the first look.
            looks.append(port)
            return len(looks) == 1 or is_free(port)

        monkeypatch.setattr(starting, "is_free", late)
        monkeypatch.setenv("AMEIDE_LISTEN_PORT", str(taken))
        try:
            assert run(["up"]) == 0
        finally:
            assert run(["down"]) == 0
    assert looks[0] == taken
    assert f"Another program took port {taken} meanwhile." in capsys.readouterr().err


def test_another_port_for_the_agent_moves_nothing_else(
    engine: Running,
    database: SpineDatabase,
    state_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AMEIDE_STATE_DIR", str(state_dir))
    monkeypatch.setenv("TEMPORAL_ADDRESS", engine.temporal_address)
    for name in (*CONNECTIONS, "architect"):
        monkeypatch.setenv(f"AMEIDE_DATABASE_URL_{name.upper()}", database.dsn(f"ameide_{name}"))
    with socket.create_server(("127.0.0.1", 0)) as busy, socket.create_server(("127.0.0.1", 0)) as other:
        taken: int = other.getsockname()[1]
        looks: list[int] = []

        def late(port: int) -> bool:
            looks.append(port)
            return (port == taken and looks.count(taken) == 1) or is_free(port)

        monkeypatch.setattr(starting, "is_free", late)
        # The control process does not get the port that it wants, and keeps the one that it got.
        monkeypatch.setenv("AMEIDE_LISTEN_PORT", str(busy.getsockname()[1]))
        monkeypatch.setenv("AMEIDE_ARCHITECT_LISTEN_PORT", str(taken))
        try:
            assert run(["up"]) == 0
        finally:
            assert run(["down"]) == 0
    said = capsys.readouterr().err
    assert f"Another program took port {taken} meanwhile." in said
    assert [said.count(f"Starting {name}.") for name in ("control", "worker", "executor", "architect")] == [1, 1, 1, 2]
    assert "restarting" not in said
