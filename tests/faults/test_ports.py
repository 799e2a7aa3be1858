"""A port that is lost between its choice and its use: `ameide up` takes another one."""

from __future__ import annotations

import socket

import pytest

from ameide.cli import starting
from ameide.cli.root import run
from ameide.engine.ports import is_free
from tests.acceptance.installation import Installation, remove


def test_up_takes_another_port_when_it_loses_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Installation.make()
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken: int = other.getsockname()[1]
        looks: list[int] = []

        def late(port: int) -> bool:
            # The other program comes after the first look.
            looks.append(port)
            return len(looks) == 1 or is_free(port)

        monkeypatch.setattr(starting, "is_free", late)
        monkeypatch.setenv("AMEIDE_STATE_DIR", str(made.state_dir))
        monkeypatch.setenv("AMEIDE_LISTEN_PORT", str(taken))
        try:
            assert run(["up"]) == 0
        finally:
            remove(made)
    assert looks[0] == taken
    assert f"Another program took port {taken} meanwhile." in capsys.readouterr().err
