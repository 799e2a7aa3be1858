"""The files of one installation: where it answers, whose tokens it has, which processes it started."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from ameide.engine.files import read_json, write_whole


@dataclass(frozen=True)
class StateFolder:
    """Paths and small files below the state folder. Secrets are written 0600, folders that hold them 0700."""

    root: Path

    @property
    def tokens(self) -> Path:
        """One file a principal."""
        return self.root / "tokens"

    @property
    def run(self) -> Path:
        """Settings, pid files and readiness of the running processes."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        """One file a process."""
        return self.root / "logs"

    @property
    def secrets(self) -> Path:
        """Passwords of the database roles."""
        return self.root / "secrets.json"

    def left_out(self, process: str) -> Path:
        """There when `ameide up` was last told to leave this process out, or could not have it."""
        return self.run / f"without-{process}"

    @property
    def restoring(self) -> Path:
        """There while a backup is restored; left there by a restore that was interrupted."""
        return self.root / "restoring"

    @property
    def chats(self) -> Path:
        """What `ameide chat` keeps of turns that have not come to their end."""
        return self.root / "chats"

    def settings_of(self, process: str) -> Path:
        """The settings file that a process of `ameide up` is started with."""
        return self.run / f"{process}.toml"

    def prepare(self, *closed: Path) -> None:
        """Make the folders. The root can be passed by other accounts (PostgreSQL's, the children's), not listed.

        `closed` are more folders that only we may enter; those that lie elsewhere are their owner's matter.
        """
        self.root.mkdir(parents=True, exist_ok=True, mode=0o711)
        own = [folder for folder in closed if folder.is_relative_to(self.root)]
        for folder in (self.tokens, self.run, self.logs, *own):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.chmod(0o700)

    def address(self) -> str:
        """URL where the control process answers, or empty."""
        return self._address("address.json")

    def architect_address(self) -> str:
        """URL where the Architect agent answers, or empty."""
        return self._address("architect.json")

    def remember_address(self, address: str) -> None:
        """Record where the control process answers."""
        write_whole(self.run / "address.json", json.dumps({"address": address}) + "\n", mode=0o600)

    def remember_architect(self, address: str) -> None:
        """Record where the Architect agent answers."""
        write_whole(self.run / "architect.json", json.dumps({"address": address}) + "\n", mode=0o600)

    def _address(self, file: str) -> str:
        address = read_json(self.run / file).get("address")
        return address if isinstance(address, str) else ""

    def token(self, principal: str) -> str | None:
        """The principal's token, or None."""
        # A name that is a path would read another file.
        if Path(principal).name != principal:
            return None
        try:
            return (self.tokens / principal).read_text(encoding="utf-8").strip()
        except OSError:
            return None

    def keep_token(self, principal: str, token: str) -> None:
        """Store the principal's token, readable by the owner only."""
        write_whole(self.tokens / principal, token + "\n", mode=0o600)

    def queues(self, principal: str) -> tuple[str, ...]:
        """The queues that the principal's token is known to serve; none when nobody has looked."""
        found = read_json(self._queues).get(principal)
        return tuple(map(str, cast("list[object]", found))) if isinstance(found, list) else ()

    def keep_queues(self, principal: str, queues: tuple[str, ...]) -> None:
        """Record the queues that the principal's token serves."""
        known = {**read_json(self._queues), principal: list(queues)}
        write_whole(self._queues, json.dumps(known) + "\n", mode=0o600)

    @property
    def _queues(self) -> Path:
        return self.tokens / ".queues.json"

    def known_principals(self) -> list[str]:
        """Principals that have a token here."""
        try:
            return sorted(file.name for file in self.tokens.iterdir() if not file.name.startswith("."))
        except OSError:
            return []
