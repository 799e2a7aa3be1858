"""The first steps of an installation with a database and a Temporal server of one's own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from ameide import config
from ameide.app import upkeep
from ameide.cli.principals import PRINCIPALS, admissions
from ameide.cli.starting import with_schema_and_principals
from ameide.cli.state import StateFolder
from ameide.domain.tokens import KnownTokens
from ameide.infra.settings import AUTHOR_QUEUES, VERIFIER_QUEUES
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


async def test_an_installation_of_before_gets_tokens_for_the_queues_that_are_new(
    tmp_path: Path, database: SpineDatabase
) -> None:
    state, told = StateFolder(tmp_path), list[str]()
    settings = replace(
        config.read({"AMEIDE_STATE_DIR": str(tmp_path), "AMEIDE_TENANT": "before"}),
        database_url_app=database.dsn("ameide_app"),
    )
    state.prepare()
    fewer = [(who, queues[:1]) if who.principal_id == "author" else (who, queues) for who, queues in admissions()]
    for name, token in (await upkeep.bootstrap(settings, fewer)).items():
        state.keep_token(name, token)
    former = {name: state.token(name) for name in PRINCIPALS}
    await asyncio.to_thread(with_schema_and_principals, settings, told.append)
    assert told == ["Gave author a new token, which serves the queues that are new."]
    now = {name: state.token(name) or "" for name in PRINCIPALS}
    assert [name for name in PRINCIPALS if now[name] != former[name]] == ["author"]
    served = await upkeep.queues_of(settings, {name: now[name] for name in ("author", "verifier")})
    assert {name: set(queues) for name, queues in served.items()} == {
        "author": set(AUTHOR_QUEUES),
        "verifier": set(VERIFIER_QUEUES),
    }
    # From then on the folder tells, and nobody is asked.
    unreachable = replace(settings, database_url_app="postgresql:///nowhere")
    await asyncio.to_thread(with_schema_and_principals, unreachable, told.append)
    assert len(told) == 1
    assert {name: state.token(name) for name in PRINCIPALS} == now
    assert ".queues.json" not in state.known_principals()


def test_who_is_not_known_and_what_is_not_there_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, "db", "admit", "somebody", AMEIDE_DATABASE_URL_APP="postgresql:///nowhere")
    assert done.returncode == 2
    assert "'somebody' is not one of 'owner', 'requester'" in done.stderr
    nowhere = run(tmp_path, "temporal", "register")
    assert nowhere.returncode == 2
    assert "TEMPORAL_ADDRESS names no server" in nowhere.stderr
