"""A ``temporal`` on the PATH serves while the pinned server is not built."""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from temporalio.client import Client

from ameide.engine.engine import Engine
from ameide.engine.errors import StartError, StateError
from ameide.engine.install import TemporalInstall
from ameide.engine.ports import Ports
from ameide.engine.postgres import PostgresAddress
from ameide.engine.temporal_settings import FRONTEND, PORTS, static
from tests.engine.conftest import Said

# Understands the one command line that the engine uses, and serves it with the pinned server on a SQLite file.
STAND_IN = """\
#!{python}
import os, sys
assert sys.argv[1:3] == ["server", "start-dev"], sys.argv
options = dict(zip(sys.argv[3:], sys.argv[4:]))
assert options["--ip"] == "127.0.0.1" and "--headless" in sys.argv
file = options["--db-filename"]
with open({template!r}) as template, open(file + ".yaml", "w") as settings:
    settings.write(template.read().replace("FILE", file).replace("7233", options["--port"]))
os.execv({server!r}, [{server!r}, "--config-file", file + ".yaml", "--allow-no-auth", "start"])
"""


@pytest.fixture
def temporal_on_path(tmp_path: Path, cache_dir: Path, session_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in."""
    session_engine.install.ensure()
    ports = Ports(tmp_path / "ports.json", print).claim(PORTS) | {FRONTEND: 7233}
    dynamic_file = tmp_path / "dynamic.yaml"
    dynamic_file.write_text("{}")
    nobody = PostgresAddress("127.0.0.1", 1, "nobody", "", "none")
    settings = yaml.safe_load(static(nobody, Path("FILE"), ports, dynamic_file))
    settings["persistence"]["defaultStore"] = "visibility"
    template = tmp_path / "template.yaml"
    template.write_text(yaml.safe_dump(settings))
    program = tmp_path / "bin" / "temporal"
    program.parent.mkdir()
    server = str(TemporalInstall(cache_dir, print).server)
    program.write_text(STAND_IN.format(python=sys.executable, template=str(template), server=server))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return program


@pytest.fixture
def unbuilt(state_dir: Path, tmp_path: Path, said: Said) -> Iterator[Engine]:
    """An engine with an empty cache folder."""
    engine = Engine(state_dir, tmp_path / "cache", said)
    yield engine
    engine.stop()
    engine.purge()


async def test_it_serves_at_once_and_the_folder_stays_with_it(
    temporal_on_path: Path, unbuilt: Engine, own_engine: Engine, said: Said
) -> None:
    running = await asyncio.to_thread(unbuilt.start)
    assert said.mentions("development server of `temporal` on the PATH) is up")
    assert not said.mentions("Building")
    client = await Client.connect(running.temporal_address, namespace=running.namespace)
    assert [found async for found in client.list_workflows("AmeideChange = 'none'")] == []
    assert await asyncio.to_thread(unbuilt.start) == running

    assert own_engine.home == unbuilt.home
    assert own_engine.install.is_complete()
    assert not own_engine.temporal.needs_build()
    await asyncio.to_thread(temporal_on_path.unlink)
    with pytest.raises(StateError, match="no longer on the PATH"):
        own_engine.temporal.needs_build()


@pytest.mark.usefixtures("temporal_on_path")
def test_a_built_server_is_preferred(own_engine: Engine) -> None:
    assert own_engine.temporal.needs_build()


def test_a_server_that_does_not_start_is_quoted(
    tmp_path: Path, unbuilt: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "temporal"
    program.write_text("#!/bin/sh\necho cannot open the database; exit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(StartError, match="cannot open the database"):
        unbuilt.start()
