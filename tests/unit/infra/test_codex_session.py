"""Following the session that Codex records: every model call once, every action, whatever arrives in pieces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ameide.infra import workspace as workspaces
from ameide.infra.coders.codex_session import Action, Session


def record(kind: str, **payload: object) -> str:
    return json.dumps({"timestamp": "now", "type": kind, "payload": payload}) + "\n"


def call(response: str, tokens_in: int, tokens_out: int) -> str:
    return record(
        "token_usage_record", response_id=response, usage={"input_tokens": tokens_in, "output_tokens": tokens_out}
    )


@pytest.fixture
def session(tmp_path: Path) -> Session:
    workspace = workspaces.create(tmp_path, "wrk-1", None)
    home = workspace.root / "codex"
    (home / "sessions" / "2026").mkdir(parents=True)
    return Session(workspace, home)


def write(session: Session, text: str, name: str = "rollout-1.jsonl") -> None:
    with (session.home / "sessions" / "2026" / name).open("a", encoding="utf-8") as file:
        file.write(text)


def test_each_model_call_counts_once(session: Session) -> None:
    assert session.look() == []
    write(session, record("turn_context", model="gpt-5.5") + call("r1", 100, 20))
    session.look()
    write(session, call("r1", 100, 20) + call("r2", 50, 5))
    write(session, call("r2", 50, 5) + call("r3", 7, 1), "rollout-2.jsonl")
    session.look()
    session.look()
    assert (session.model, session.usage.input_tokens, session.usage.output_tokens) == ("gpt-5.5", 157, 26)
    write(session, call("", 1, 1) + call("", 1, 1))
    session.look()
    assert session.usage.input_tokens == 159, "where a provider names no answers, each record is one"


def test_actions_with_what_came_of_them(session: Session) -> None:
    asked = record(
        "response_item", type="function_call", name="exec_command", call_id="c1", arguments='{"cmd": "ls", "yield": 1}'
    )
    ended = record("response_item", type="function_call_output", call_id="c1", output="Output:\nfiles")
    write(session, asked + ended[:30])
    assert session.look() == []
    write(session, ended[30:])
    assert session.look() == [Action("exec_command", "ls", "Output:\nfiles")]
    patch = record("response_item", type="custom_tool_call", name="apply_patch", call_id="c2", input="*** Begin Patch")
    polled = record("response_item", type="function_call", name="write_stdin", call_id="c3", arguments="{}")
    outputs = [
        record("response_item", type="custom_tool_call_output", call_id="c2", output={"content": "done"}),
        record("response_item", type="function_call_output", call_id="c3", output="still running"),
        record("response_item", type="function_call_output", call_id="c9", output="of nothing"),
    ]
    write(session, patch + polled + "".join(outputs))
    assert session.look() == [Action("apply_patch", "*** Begin Patch", '{"content": "done"}')]
    assert len(session.actions) == 2


def test_what_is_no_record_tells_nothing(session: Session, tmp_path: Path) -> None:
    write(session, 'null\n[]\nno json\n{"type": "x"}\n{"type": "token_usage_record", "payload": {"usage": "many"}}\n')
    write(session, call("r1", 3, 1))
    elsewhere = tmp_path / "elsewhere.jsonl"
    elsewhere.write_text(call("r2", 1000, 1000))
    (session.home / "sessions" / "link.jsonl").symlink_to(elsewhere)
    assert session.look() == []
    assert session.usage.input_tokens == 3
