"""The two programs that can serve Temporal for a state folder: the built server, or a ``temporal`` of the machine."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ameide.engine.errors import StateError
from ameide.engine.files import write_whole
from ameide.engine.install import VERSION, TemporalInstall
from ameide.engine.postgres import Postgres
from ameide.engine.temporal_schema import drop_partial_visibility, prepare
from ameide.engine.temporal_settings import FRONTEND, PORTS, dynamic, static


class Program(Protocol):
    """A way to serve Temporal."""

    name: str
    ports: tuple[str, ...]

    def prepare(self) -> None:
        """Make what has to be there before the server starts."""
        ...

    def settings(self, ports: dict[str, int]) -> str:
        """Everything that decides how it runs, as one text; a server that runs with another text is restarted."""
        ...

    def command(self, ports: dict[str, int], settings_file: Path) -> list[str]:
        """How it is started, once ``settings_file`` holds the settings."""
        ...


class BuiltServer:
    """The pinned server of the cache folder, on the embedded PostgreSQL."""

    name: str = f"server {VERSION}"
    ports: tuple[str, ...] = PORTS

    def __init__(self, home: Path, install: TemporalInstall, postgres: Postgres, say: Callable[[str], None]) -> None:
        self._home = home
        self._install = install
        self._postgres = postgres
        self._say = say
        self._visibility = home / "visibility.db"
        self._dynamic = home / "dynamic.yaml"

    def prepare(self) -> None:
        """Its files. The database is brought up to date when the settings are asked for."""
        drop_partial_visibility(self._visibility)
        write_whole(self._dynamic, dynamic())

    def settings(self, ports: dict[str, int]) -> str:
        """Its static configuration file."""
        database = prepare(self._postgres, self._install.sql, self._say)
        return static(database, self._visibility, ports, self._dynamic)

    def command(self, ports: dict[str, int], settings_file: Path) -> list[str]:
        """``ports`` are in the file."""
        del ports
        return [str(self._install.server), "--config-file", str(settings_file), "--allow-no-auth", "start"]


class MachinesServer:
    """The development server of a ``temporal`` on the PATH: there at once, about a third as fast, in a SQLite file."""

    name: str = "development server of `temporal` on the PATH"
    ports: tuple[str, ...] = (FRONTEND,)

    def __init__(self, home: Path, temporal: str) -> None:
        self._file = home / "development.db"
        self._temporal = temporal

    def prepare(self) -> None:
        """Nothing; it makes its file itself."""

    def settings(self, ports: dict[str, int]) -> str:
        """Its command line is all there is."""
        return "\n".join(self.command(ports, self._file))

    def command(self, ports: dict[str, int], settings_file: Path) -> list[str]:
        """``settings_file`` is only a record of this command."""
        del settings_file
        options = ["--ip", "127.0.0.1", "--port", str(ports[FRONTEND]), "--headless", "--log-level", "warn"]
        return [self._temporal, "server", "start-dev", "--db-filename", str(self._file), *options]


def machines_temporal(home: Path, install: TemporalInstall) -> str | None:
    """The ``temporal`` of the PATH, when it is to serve the state folder with this ``home``; None for the built server.

    It serves a fresh folder when nothing is built yet. A folder stays with what it began with, because the runs in its
    database are unknown to the other.
    """
    found = shutil.which("temporal")
    if (home / "development.db").exists():
        if found is None:
            raise StateError(
                f"The runs in {home} lie with the `temporal` program that served them, and it is no longer on the PATH."
                " Install it again, or give them up: ameide down --purge"
            )
        return found
    begun = (home / "visibility.db").exists()
    return None if begun or install.is_complete() else found
