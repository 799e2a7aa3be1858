"""The embedded engines of a state folder, and the ways to their database that the settings leave open."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from ameide import config
from ameide.cli.state import StateFolder
from ameide.config import Settings
from ameide.engine.engine import Engine
from ameide.engine.postgres import PostgresAddress
from ameide.engine.secret import Secrets

Say = Callable[[str], None]


def engine_of(settings: Settings, say: Say) -> Engine:
    """The embedded engines of this state folder."""
    return Engine(settings.state_dir, settings.cache_dir, say, settings.temporal_address or None)


def embedded_database(settings: Settings, say: Say) -> dict[str, str]:
    """Start the embedded PostgreSQL alone; gives the `database_url_…` settings for it."""
    return database_urls(StateFolder(settings.state_dir), engine_of(settings, say).start_postgres())


def database_urls(state: StateFolder, postgres: PostgresAddress) -> dict[str, str]:
    """The `database_url_…` settings, one a role; passwords are made up once and kept in the state folder."""
    secrets = Secrets(state.secrets)
    place = f"{postgres.host}:{postgres.port}/{postgres.dbname}"
    urls = {"database_url_admin": postgres.conninfo}
    for role in config.DATABASE_ROLES:
        password = quote(secrets.ensure(role), safe="")
        urls[f"database_url_{role.removeprefix('ameide_')}"] = f"postgresql://{role}:{password}@{place}"
    return urls
