"""What Codex's output says: lines for people, kinds of trouble, circles, and what tokens cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ameide.config.prices import Price, prices_of
from ameide.errors import InvalidArgument
from ameide.infra.coders.codex_events import Events
from ameide.infra.coders.codex_failures import Trouble, trouble_of
from ameide.infra.coders.codex_program import check_version
from ameide.infra.coders.repetition import Repetition
from ameide_core_proto.transformation.work.v1.work_pb import Usage


def event(**said: object) -> bytes:
    return json.dumps(said).encode() + b"\n"


def item(stage: str, kind: str, **said: object) -> bytes:
    return event(type=f"item.{stage}", item={"id": "item_1", "type": kind, **said})


def test_events_become_lines_whatever_comes() -> None:
    lines: list[str] = []
    events = Events(lines.append)
    events.feed(event(type="turn.started") + b"a warning of the program\n")
    started = item("started", "command_execution", command="/usr/bin/bash -c 'ls -l'")
    events.feed(started[:20])
    events.feed(started[20:])
    events.feed(item("completed", "command_execution", aggregated_output="one\ntwo\n", exit_code=0))
    events.feed(item("completed", "file_change", changes=[{"path": "a.py", "kind": "add"}], status="completed"))
    events.feed(item("completed", "file_change", changes=[{"path": "b.py", "kind": "add"}], status="failed"))
    events.feed(item("updated", "todo_list", items=[{"text": "first", "completed": True}, {"text": "then"}]))
    events.feed(item("completed", "agent_message", text="done") + event(type="something.new") + b"[1]\n" + b"\xff\n")
    events.feed(event(type="turn.completed", usage={"input_tokens": 5, "output_tokens": 2, "cached_input_tokens": -1}))
    assert lines == [
        "codex: turn.started",
        "a warning of the program",
        "$ ls -l",
        "  one",
        "  two",
        "  exit code 0",
        "changed: add a.py",
        "could not change: add b.py",
        "[x] first",
        "[ ] then",
        "done",
        "codex: something.new",
        "[1]",
        "\ufffd",
        "codex: turn completed, 5 tokens in (0 cached), 2 out (0 reasoning)",
    ]
    assert (events.completed, events.changes, events.message, dict(events.commands)) == (True, 1, "done", {"ls -l": 1})
    assert len(events.records) == 9


def test_events_of_another_form_stop_nothing() -> None:
    lines: list[str] = []
    events = Events(lines.append)
    events.feed(
        event(type="item.completed", item=["no", "table"]) + event(type=7) + event(type="turn.failed", error="x")
    )
    events.feed(b"x" * (33 << 20))
    events.feed(b"\n" + event(type="turn.completed", usage={"input_tokens": "many"}))
    assert events.completed
    assert "codex: item.completed, in a form that is not known" in lines
    assert "codex: a line too long to be read was left out" in lines


def test_a_long_output_is_shown_from_its_end() -> None:
    lines: list[str] = []
    output = "\n".join(map(str, range(50)))
    Events(lines.append).feed(item("completed", "command_execution", aggregated_output=output, exit_code=1))
    assert lines[0] == "  (30 lines before)"
    assert lines[1:3] == ["  30", "  31"]


def test_troubles_last_until_something_goes_on() -> None:
    events = Events(lambda _line: None)
    events.feed(event(type="error", message="Reconnecting... 1/5 (status 503)"))
    assert events.troubles == ["Reconnecting... 1/5 (status 503)"]
    events.feed(item("completed", "error", message="a warning"))
    assert events.troubles
    events.feed(item("completed", "reasoning", text="hm"))
    assert events.troubles == []
    events.feed(event(type="turn.failed", error={"message": "no"}))
    assert events.failure == "no"
    events.begin()
    assert events.failure == ""


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("unexpected status 401 Unauthorized: Incorrect API key provided, url: http://x/v1", Trouble.CREDENTIALS),
        ("unexpected status 403 Forbidden: no, url: http://x", Trouble.CREDENTIALS),
        ("Your access token could not be refreshed. Please log out and sign in again.", Trouble.CREDENTIALS),
        ("Quota exceeded. Check your plan and billing details.", Trouble.QUOTA),
        (
            "You\u2019ve hit your usage limit. Visit https://x to purchase more credits or try again at 12:54 PM.",
            Trouble.QUOTA,
        ),
        ("exceeded retry limit, last status: 429 Too Many Requests", Trouble.BUSY),
        ("We\u2019re currently experiencing high demand, which may cause temporary errors.", Trouble.BUSY),
        ("stream disconnected before completion: error sending request for url (http://x)", Trouble.BUSY),
        ('{"error": {"message": "The model does not exist", "code": "model_not_found"}}', Trouble.OTHER),
        ("", Trouble.OTHER),
    ],
)
def test_kinds_of_trouble(message: str, kind: Trouble) -> None:
    assert trouble_of(message) is kind


def _ends_at(limit: int, actions: list[tuple[str, str]]) -> int | None:
    circle = Repetition(limit)
    return next((place for place, (asked, result) in enumerate(actions, 1) if circle.note(asked, result)), None)


def test_the_same_again_and_again_is_a_circle() -> None:
    assert _ends_at(3, [("ls", "a")] * 9) == 3
    assert _ends_at(0, [("ls", "a")] * 99) is None
    pytest_ = [("pytest", f"Chunk ID: {n:06x}\nWall time: 0.{n} seconds\n1 failed in 0.{n}s") for n in range(9)]
    assert _ends_at(3, pytest_) == 3
    assert _ends_at(3, [step for _ in range(9) for step in (("sed", ""), ("pytest", "red"))]) == 5


def test_what_differs_in_between_is_progress() -> None:
    edits = [step for n in range(9) for step in ((f"edit {'abcdefghi'[n]}", "ok"), ("pytest", "red"))]
    assert _ends_at(3, edits) is None
    assert _ends_at(3, [("pytest", result) for result in ("red", "green", "blue") * 3]) is None
    before = [(f"read {name}", name) for name in "abcdef"]
    assert _ends_at(3, [*before, *[("ls", "a")] * 3]) == 9


def test_the_version_is_pinned() -> None:
    assert check_version("WARNING: something\ncodex-cli 0.163.7\n") == "0.163.7"
    for said in ("codex-cli 0.164.0", "codex-cli 0.1630.0", "", "command not found"):
        with pytest.raises(InvalidArgument):
            check_version(said)


def test_what_tokens_cost(tmp_path: Path) -> None:
    price = Price(1_000_000, 100_000, 10_000_000)
    assert price.of(Usage(input_tokens=500, cached_input_tokens=200, output_tokens=100)) == 1320
    assert price.of(Usage(input_tokens=1, cached_input_tokens=9)) == 1, "rounded up; more than all cannot be cached"
    file = tmp_path / "prices.toml"
    file.write_text('["gpt-5.5"]\ninput = 2_000_000\noutput = 3_000_000\n')
    assert prices_of(file) == {"gpt-5.5": Price(2_000_000, 2_000_000, 3_000_000)}
    assert prices_of(None) == {}


@pytest.mark.parametrize(
    "text", ["a =", "a = 3", "[a]\ninput = 1", "[a]\ninput = 1\noutput = -1", "[a]\ninput = 1\noutput = 1\nimport = 1"]
)
def test_prices_that_are_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(text)
    with pytest.raises(InvalidArgument, match="AMEIDE_PRICES"):
        prices_of(file)
