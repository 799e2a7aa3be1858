"""`ameide serve` when it cannot: it ends at once, and says what to do."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from tests.conftest import SpineDatabase


def serve(folder: Path, *roles: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """The roles in a process of their own, with these settings and no others."""
    environment = {"AMEIDE_STATE_DIR": str(folder), **{f"AMEIDE_{key}": str(value) for key, value in settings.items()}}
    command = [sys.executable, "-m", "ameide", "serve", *roles]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_missing_setting_is_named(tmp_path: Path) -> None:
    done = serve(tmp_path, "worker")
    assert done.returncode == 2
    assert done.stderr.startswith("error: AMEIDE_ADDRESS: is not set")
    assert "Traceback" not in done.stderr


def test_a_taken_port_ends_the_domain_and_is_named(tmp_path: Path, database: SpineDatabase) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = serve(tmp_path, "domain", "relay", LISTEN_PORT=port, **dsns(database))
    assert done.returncode == 3
    assert f"AMEIDE_LISTEN_PORT: 127.0.0.1:{port} cannot be listened on (Address already in use)" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_forwarder_with_nothing_to_forward_says_so(tmp_path: Path) -> None:
    done = serve(tmp_path, "forwarder")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ROLE: nothing goes by Kafka, so nothing is forwarded")
    assert "AMEIDE_FACTS_TRANSPORT=kafka" in done.stderr
    done = serve(tmp_path, "forwarder", FACTS_TRANSPORT="pigeon")
    assert done.returncode == 2
    assert done.stderr.startswith("error: AMEIDE_FACTS_TRANSPORT: 'pigeon' carries nothing")


def dsns(database: SpineDatabase) -> dict[str, str]:
    """The connections of the control process."""
    return {f"DATABASE_URL_{name.upper()}": database.dsn(f"ameide_{name}") for name in ("app", "relay")}
