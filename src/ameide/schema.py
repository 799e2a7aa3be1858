"""The database of an installation: its roles, its schema, and what is wrong with them.

Apart from `app`, since `ameide up` needs it before anything else of the program, and loading that takes long.
"""

from __future__ import annotations

from ameide import config
from ameide.config import Settings, needed
from ameide.storage import migrate as migrations
from ameide.storage.db import password_of
from ameide.storage.diagnosis import Diagnosis, diagnose


async def migrate(settings: Settings) -> list[str]:
    """Create the roles, set their passwords from the connection strings, apply what is missing of the schema.

    Returns the names of the migrations applied. Raises Refused for a database that is newer than this program.
    """
    passwords: dict[str, str] = {}
    for role in (*config.DATABASE_ROLES, config.SCALER_ROLE):
        if password := password_of(database_url(settings, role)):
            passwords[role] = password
    admin = needed(settings, "database_url_admin")
    await migrations.ensure_roles(admin, passwords)
    return await migrations.migrate(admin)


async def number(settings: Settings) -> int:
    """The number of the newest migration that the database has had."""
    return await migrations.schema_of(needed(settings, "database_url_admin"))


def database_url(settings: Settings, role: str) -> str:
    """The connection string of a role, or nothing."""
    url: str = getattr(settings, f"database_url_{role.removeprefix('ameide_')}")
    return url


async def diagnose_database(settings: Settings) -> Diagnosis:
    """What is wrong with the database, as far as the roles that have a connection can tell."""
    urls = {role: database_url(settings, role) for role in config.DATABASE_ROLES}
    return await diagnose({role: url for role, url in urls.items() if url})


def known() -> int:
    """The number of the newest migration of this program."""
    return migrations.migrations()[-1][0]
