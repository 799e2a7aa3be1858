"""The first steps of an installation with a database and a Temporal server of one's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ameide.domain.tokens import KnownTokens
from ameide.infra.settings import AUTHOR_QUEUES
from ameide.storage.db import Database
from tests.conftest import SpineDatabase


def run(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command with these variables and no others."""
    return subprocess.run(
        [sys.executable, "-m", "ameide", *command],
        env={"AMEIDE_STATE_DIR": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


async def test_first_principals_are_admitted_by_who_holds_the_database(tmp_path: Path, database: SpineDatabase) -> None:
    way = {"AMEIDE_DATABASE_URL_APP": database.dsn("ameide_app"), "AMEIDE_TENANT": "acme"}
    done = run(tmp_path, "db", "admit", "author", "process", **way)
    assert done.returncode == 0, done.stderr
    told = dict(line.split("=", 1) for line in done.stdout.splitlines())
    again = run(tmp_path, "db", "admit", "author", "--json", **way)
    later: dict[str, str] = json.loads(again.stdout)
    assert later.keys() == {"author"}
    app = Database(database.dsn("ameide_app"), max_size=2)
    await app.open()
    try:
        known = KnownTokens(app)
        callers = {name: await known.authenticate(token) for name, token in told.items()}
        second = await known.authenticate(later["author"])
    finally:
        await app.close()
    assert {name: (caller.tenant_id, caller.principal_id) for name, caller in callers.items()} == {
        "author": ("acme", "author"),
        "process": ("acme", "process"),
    }
    assert callers["author"].roles == {"executor"}
    assert set(callers["author"].queues) == set(AUTHOR_QUEUES)
    # Another token of the same principal; the first one goes on being one.
    assert second.principal_id == "author"
    assert later["author"] != told["author"]


def test_who_is_not_known_and_what_is_not_there_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, "db", "admit", "somebody", AMEIDE_DATABASE_URL_APP="postgresql:///nowhere")
    assert done.returncode == 2
    assert "'somebody' is not one of 'owner', 'requester'" in done.stderr
    nowhere = run(tmp_path, "temporal", "register")
    assert nowhere.returncode == 2
    assert "TEMPORAL_ADDRESS names no server" in nowhere.stderr
