"""Which conversations this person has on this machine, and the turn of each that has not come to its end.

A turn is written down before it is sent, so that after a crash, here or there, the same turn is sent again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, cast

from ameide.cli.state import StateFolder
from ameide.config import Settings
from ameide.engine.files import read_json, write_whole
from ameide_core_proto.agent.transformation.v1.architect_service_pb import ConverseRequest

_KEPT = 50


@dataclass(frozen=True)
class Memory:
    """A file of the state folder, readable by its owner alone; the newest conversations stay."""

    state: StateFolder
    owner: str
    """Whose it is: a file name."""

    @classmethod
    def of(cls, settings: Settings) -> Memory:
        """That of the principal who calls, at the tenant and address that are called."""
        whose = f"{settings.tenant}\n{settings.address}\n{settings.token or settings.principal}"
        return cls(StateFolder(settings.state_dir), hashlib.sha256(whose.encode()).hexdigest()[:32])

    def last(self, subject: str) -> str:
        """The id of the newest conversation about a subject, or nothing."""
        found = self._read("about").get(subject, "")
        return found if isinstance(found, str) else ""

    def note(self, subject: str, conversation_id: str) -> None:
        """This is the newest conversation about the subject."""
        self._write("about", {**self._without("about", subject), subject: conversation_id})

    def unfinished(self, conversation_id: str) -> ConverseRequest | None:
        """The turn of a conversation that has not come to its end."""
        found = self._read("turns").get(conversation_id)
        try:
            return ConverseRequest.from_json(found) if isinstance(found, str) else None
        except ValueError:
            # Written by another version: what cannot be read cannot be sent again.
            return None

    def begin(self, conversation_id: str, request: ConverseRequest) -> None:
        """This turn is about to be sent."""
        self._write("turns", {**self._without("turns", conversation_id), conversation_id: request.to_json()})

    def end(self, conversation_id: str) -> None:
        """It has come to its end."""
        self._write("turns", self._without("turns", conversation_id))

    def forget(self, conversation_id: str) -> None:
        """Nothing of a conversation stays here."""
        about = self._read("about")
        self._write("about", {subject: known for subject, known in about.items() if known != conversation_id})
        self.end(conversation_id)

    def _without(self, part: str, name: str) -> dict[str, Any]:
        kept = {known: value for known, value in self._read(part).items() if known != name}
        return dict(list(kept.items())[-_KEPT:])

    def _read(self, part: str) -> dict[str, Any]:
        found = read_json(self.state.chats / f"{self.owner}.json").get(part)
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}

    def _write(self, part: str, content: dict[str, Any]) -> None:
        whole = {name: self._read(name) for name in ("about", "turns")} | {part: content}
        self.state.chats.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(self.state.chats / f"{self.owner}.json", json.dumps(whole, ensure_ascii=False), mode=0o600)
