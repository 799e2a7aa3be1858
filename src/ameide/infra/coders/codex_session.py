"""The session that Codex records in its CODEX_HOME while it works: tokens by model call, and every action.

Events tell the tokens at the end of a turn, which may take an hour; here they stand as soon as a model call is over.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ameide.contracts.usage import added
from ameide.infra.coders.codex_events import table_of, usage_from
from ameide.infra.workspace import Workspace, WorkspaceRefused
from ameide_core_proto.transformation.work.v1.work_pb import Usage

_PART = 256 << 20
_POLLS = "write_stdin"


@dataclass(frozen=True)
class Action:
    """Something that the agent did: the tool, what it asked of it, and what came of that."""

    tool: str
    asked: str
    result: str


@dataclass
class Session:
    """Follows the session files below a private CODEX_HOME. `actions` is in the order in which they ended."""

    workspace: Workspace
    home: Path
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    actions: list[Action] = field(default_factory=list[Action])
    _read: dict[Path, int] = field(default_factory=dict[Path, int])
    _partial: dict[Path, bytes] = field(default_factory=dict[Path, bytes])
    _counted: set[str] = field(default_factory=set[str])
    _asked: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])

    def look(self) -> list[Action]:
        """Read what is new; the actions that ended since the last look."""
        before = len(self.actions)
        folder = self.home / "sessions"
        if folder.is_dir():
            for _name, file in self.workspace.files(folder):
                if file.suffix == ".jsonl":
                    for record in self._new(file):
                        # One of another form than those of the pinned version tells nothing.
                        with contextlib.suppress(AttributeError, TypeError, ValueError):
                            self._note(record)
        return self.actions[before:]

    def files(self) -> Iterator[Path]:
        """The files of the session, in order."""
        yield from self._read

    def _new(self, file: Path) -> Iterator[dict[str, Any]]:
        start = self._read.get(file, 0)
        try:
            data = self.workspace.read_file(file, _PART, start)
        except (OSError, WorkspaceRefused):
            return
        self._read[file] = start + len(data)
        *whole, self._partial[file] = (self._partial.get(file, b"") + data).split(b"\n")
        for line in whole:
            record = table_of(line)
            if isinstance(record.get("payload"), dict):
                yield record

    def _note(self, record: dict[str, Any]) -> None:
        payload: dict[str, Any] = record["payload"]
        match record.get("type"), payload.get("type"):
            case "turn_context", _:
                self.model = str(payload.get("model") or self.model)
            case "token_usage_record", _:
                identity = str(payload.get("response_id") or "")
                if not identity or identity not in self._counted:
                    self._counted.add(identity)
                    self.usage = added([self.usage, usage_from(payload.get("usage") or {})])
            case "response_item", ("function_call" | "custom_tool_call"):
                asked = str(payload.get("arguments") or payload.get("input") or "")
                self._asked[str(payload.get("call_id"))] = (str(payload.get("name")), asked)
            case "response_item", ("function_call_output" | "custom_tool_call_output"):
                tool, asked = self._asked.pop(str(payload.get("call_id")), ("", ""))
                if tool and tool != _POLLS:
                    self.actions.append(Action(tool, _command(asked), _text(payload.get("output"))))
            case _:
                pass


def _command(asked: str) -> str:
    """The command among the arguments of a shell call; anything else as it is."""
    command = table_of(asked).get("cmd")
    return command if isinstance(command, str) else asked


def _text(output: object) -> str:
    return output if isinstance(output, str) else json.dumps(output)
