"""Passwords of the engines: random, kept in one file that only its owner may read."""

import json
import secrets
from pathlib import Path

from ameide.engine.files import read_json, write_whole


class Secrets:
    """Named passwords of one state folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def known(self, name: str) -> str | None:
        """The password recorded under ``name``."""
        value = read_json(self.path).get(name)
        return value if isinstance(value, str) else None

    def ensure(self, name: str) -> str:
        """The password recorded under ``name``, made up (256 bits) and recorded first if there is none."""
        password = self.known(name)
        if password is None:
            password = secrets.token_urlsafe(32)
            write_whole(self.path, json.dumps(read_json(self.path) | {name: password}, indent=2) + "\n", mode=0o600)
        return password
