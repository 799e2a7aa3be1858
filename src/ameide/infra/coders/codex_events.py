"""The events of ``codex exec --json``: lines to read for the live log, and what they say of how it goes.

What the sandbox denies has no event in 0.163; the session's own record has it (`codex_session`).
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from ameide.contracts.usage import added
from ameide_core_proto.transformation.work.v1.work_pb import Usage

_SHOWN_LINES, _SHOWN = 20, 900
_LONGEST, _KEPT = 32 << 20, 64 << 20


@dataclass
class Events:
    """Reads the output of Codex as it comes. `say` takes each line for people.

    `troubles` are the messages of errors since something last went on; `failure` is why the turn failed, once it has.
    """

    say: Callable[[str], None]
    commands: Counter[str] = field(default_factory=Counter[str])
    changes: int = 0
    message: str = ""
    failure: str = ""
    completed: bool = False
    troubles: list[str] = field(default_factory=list[str])
    usage: Usage = field(default_factory=Usage)
    records: list[bytes] = field(default_factory=list[bytes])
    _partial: bytes = b""
    _kept: int = 0

    def feed(self, data: bytes) -> None:
        """Some more output; a line counts once it is whole."""
        *whole, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > _LONGEST:
            self._partial = b""
            self.say("codex: a line too long to be read was left out")
        for line in whole:
            self._line(line)

    def begin(self) -> None:
        """Codex is started again in the same attempt."""
        self.failure, self.completed, self._partial = "", False, b""

    def _line(self, line: bytes) -> None:
        said = table_of(line)
        if "type" not in said:
            if line.strip():
                self.say(line.decode("utf-8", "replace"))
            return
        self._keep(line)
        try:
            self._event(said)
        except (AttributeError, TypeError, ValueError):
            # Of another form than those of the pinned version; reading goes on, or Codex would wait for us.
            self.say(f"codex: {str(said['type'])[:_SHOWN]}, in a form that is not known")

    def _event(self, said: dict[str, Any]) -> None:
        match said["type"]:
            case "item.started" | "item.updated" | "item.completed":
                item: dict[str, Any] = said.get("item") or {}
                self._item(str(said["type"]).removeprefix("item."), item)
            case "turn.completed":
                self._turn_completed(said.get("usage") or {})
            case "turn.failed":
                error: dict[str, Any] = said.get("error") or {}
                self.failure = str(error.get("message", "")) or "the turn failed"
                self.say(f"codex: the turn failed: {self.failure}")
            case "error":
                self.troubles.append(str(said.get("message", "")))
                self.say(f"codex: {self.troubles[-1]}")
            case "thread.started" | "turn.started":
                self.say(f"codex: {said['type']}")
            case other:
                self.say(f"codex: {other}")

    def _keep(self, line: bytes) -> None:
        if self._kept < _KEPT:
            self.records.append(line)
            self._kept += len(line)

    def _item(self, stage: str, item: dict[str, Any]) -> None:
        kind = item.get("type")
        if kind != "error":
            self.troubles.clear()
        match kind, stage:
            case "command_execution", "started":
                command = plain(str(item.get("command", "")))
                self.commands[command] += 1
                self.say(f"$ {command[:_SHOWN]}")
            case "command_execution", "completed":
                self._show(str(item.get("aggregated_output", "")))
                self.say(f"  exit code {item.get('exit_code')}")
            case "file_change", "completed":
                done = item.get("status") == "completed"
                self.changes += done
                changes: list[dict[str, Any]] = item.get("changes") or []
                paths = ", ".join(f"{change.get('kind')} {change.get('path')}" for change in changes)
                self.say(f"{'changed' if done else 'could not change'}: {paths}"[:_SHOWN])
            case (("agent_message" | "reasoning"), "completed"):
                self.message = str(item.get("text", "")) if kind == "agent_message" else self.message
                self._show(str(item.get("text", "")), "")
            case "error", _:
                self.say(f"codex: {item.get('message')}"[:_SHOWN])
            case "todo_list", _:
                for entry in cast("list[dict[str, Any]]", item.get("items") or []):
                    self.say(f"[{'x' if entry.get('completed') else ' '}] {entry.get('text')}"[:_SHOWN])
            case _, "completed" if kind not in ("command_execution", "file_change"):
                self.say(f"codex: {kind} {item.get('tool') or item.get('query') or ''}".rstrip()[:_SHOWN])
            case _:
                pass

    def _turn_completed(self, usage: dict[str, Any]) -> None:
        self.completed = True
        self.troubles.clear()
        turn = usage_from(usage)
        self.usage = added([self.usage, turn])
        self.say(
            f"codex: turn completed, {turn.input_tokens} tokens in ({turn.cached_input_tokens} cached), "
            f"{turn.output_tokens} out ({turn.reasoning_output_tokens} reasoning)"
        )

    def _show(self, text: str, indent: str = "  ") -> None:
        lines = text.rstrip().split("\n") if text.strip() else []
        if len(lines) > _SHOWN_LINES:
            self.say(f"{indent}({len(lines) - _SHOWN_LINES} lines before)")
        for line in lines[-_SHOWN_LINES:]:
            self.say(f"{indent}{line[:_SHOWN]}")


def table_of(line: bytes | str) -> dict[str, Any]:
    """A line of JSON that is a table; an empty one for anything else."""
    try:
        found: object = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def plain(command: str) -> str:
    """A command without the shell that Codex puts before it."""
    try:
        words = shlex.split(command)
    except ValueError:
        return command
    return words[2] if len(words) == 3 and words[1] in ("-c", "-lc") else command


def usage_from(said: dict[str, Any]) -> Usage:
    """Tokens as Codex counts them: cached ones are among the input, reasoning is among the output."""

    def number(name: str) -> int:
        value = said.get(name, 0)
        return value if isinstance(value, int) and value > 0 else 0

    return Usage(
        input_tokens=number("input_tokens"),
        output_tokens=number("output_tokens"),
        cached_input_tokens=number("cached_input_tokens"),
        reasoning_output_tokens=number("reasoning_output_tokens"),
    )
