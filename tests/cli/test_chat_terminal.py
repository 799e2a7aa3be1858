"""`ameide chat` with a person in front of it: the prompt, questions, silence, standard input."""

from __future__ import annotations

import io
import json
import threading

import click
import pytest

from ameide.cli import chat_turns
from ameide.cli.chat_view import Terminal
from ameide_core_proto.agent.transformation.v1 import architect_service_pb as a

from .architect_double import BEGAN, BREAK, CONVERSATION, DONE, OPEN, ScriptedArchitect, ended, event, wanted
from .conftest import CommandLine


def test_a_person_is_asked_at_the_terminal(
    ameide: CommandLine, agent: ScriptedArchitect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prompt(*_: object, **_options: object) -> str:
        return "later"

    monkeypatch.setattr("ameide.cli.chat_consent.at_a_terminal", lambda: True)
    monkeypatch.setattr("click.prompt", prompt)
    agent.turns = [[BEGAN, wanted(OPEN, "open_change"), ended(waiting_for_consent_id="cns-1")]]
    assert ameide("chat", "/open Cancel orders").code == 1
    assert agent.decided == []


class Keyboard(io.StringIO):
    """A person's standard input."""

    def isatty(self) -> bool:
        return True


def test_a_person_talks_at_the_prompt(
    ameide: CommandLine, agent: ScriptedArchitect, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = iter(["/help", "", "Which gates wait?", "/fly", "Stop that", "And now?"])

    def prompt(*_: object, **_options: object) -> str:
        try:
            return next(lines)
        except StopIteration:
            raise click.Abort from None

    monkeypatch.setattr("sys.stdin", Keyboard())
    monkeypatch.setattr("click.prompt", prompt)
    shown = Terminal.show

    def interrupted(self: Terminal, happened: a.ConverseResponse) -> None:
        if happened.event and happened.event.value == "long":
            raise KeyboardInterrupt
        shown(self, happened)

    monkeypatch.setattr(Terminal, "show", interrupted)
    agent.turns = [
        [BEGAN, event("text", "None."), ended()],
        [BEGAN, event("text", "long"), ended()],
        [BEGAN, event("text", "Still none."), ended()],
    ]
    answer = ameide("chat")
    assert answer.code == 0
    assert "/submit" in answer.out
    assert "None.\n" in answer.out
    assert answer.out.endswith("Still none.\n")
    assert "there is no command /fly" in answer.err
    assert "Stopped." in answer.err
    assert [request.conversation_id for request in agent.asked] == ["", CONVERSATION, CONVERSATION]


def test_silence_is_told(ameide: CommandLine, agent: ScriptedArchitect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_turns, "_QUIET_SECONDS", 0.05)
    agent.silent = threading.Event()
    told = Terminal.quiet

    def quiet(self: Terminal, seconds: float) -> None:
        told(self, seconds)
        assert agent.silent is not None
        agent.silent.set()

    monkeypatch.setattr(Terminal, "quiet", quiet)
    agent.turns = [[BEGAN, ended()]]
    answer = ameide("chat", "Think")
    assert (answer.code, "The agent is at it" in answer.err) == (0, True)


def test_a_message_comes_from_standard_input(
    ameide: CommandLine, agent: ScriptedArchitect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Two\nlines\n"))
    agent.turns = [[BEGAN, ended()]]
    assert ameide("chat", "-").code == 0
    assert agent.asked[0].instruction is not None
    assert agent.asked[0].instruction.value == "Two\nlines"
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert ameide("chat").code == 2


def test_with_json_standard_output_holds_the_events_alone(
    ameide: CommandLine, agent: ScriptedArchitect, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = ["Canceling", "", "", "", "domain", "", "", "small", "n"]
    typed = ["/help", "Which gates wait?", "/triage Cancel", *form, "/fly", "/open Cancel orders", "never", "give", ""]
    monkeypatch.setattr("sys.stdin", Keyboard("\n".join(typed)))
    for module in ("chat_commands", "chat_consent"):
        monkeypatch.setattr(f"ameide.cli.{module}.at_a_terminal", lambda: True)
    agent.turns = [
        [BEGAN, event("text", "None."), ended()],
        [BEGAN, ended()],
        [BEGAN, wanted(OPEN, "open_change"), ended(waiting_for_consent_id="cns-1")],
        [BEGAN, DONE, ended()],
    ]
    answer = ameide("chat", "--json")
    assert answer.code == 0, answer.err
    events = [next(name for name in json.loads(line) if name != "seq") for line in answer.out.splitlines()]
    assert events == [
        *("began", "text", "ended", "began", "ended"),
        *("began", "consentWanted", "ended", "began", "effected", "ended"),
    ]
    for asked in ("you> ", "/submit", "In scope, 1: ", "Is a deep analysis needed", "no command /fly", "Your answer"):
        assert asked in answer.err
    assert [decision.agree for _, decision in agent.decided] == [True]


def test_a_run_is_followed_from_the_prompt_as_events(
    ameide: CommandLine, agent: ScriptedArchitect, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed: list[bool] = []

    async def follow(*_: object, as_json: bool) -> int:
        followed.append(as_json)
        return 0

    monkeypatch.setattr("ameide.cli.chat.follow_run", follow)
    assert ameide("chat", "/follow chg-1", "--json").code == 0
    assert ameide("chat", "/follow chg-1").code == 0
    assert followed == [True, False]


def test_an_agent_that_starts_is_waited_for_aloud(
    ameide: CommandLine, agent: ScriptedArchitect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_turns, "_QUIET_SECONDS", 0.0)
    for options in ((), ("--json",)):
        agent.turns = [[BREAK], [BREAK], [BREAK], [BEGAN, ended()]]
        answer = ameide("chat", "Think", "--new", *options)
        assert answer.code == 0
        assert answer.err.count("The agent does not answer yet") == 1


def test_who_only_reads_is_asked_for_no_consent(ameide: CommandLine, agent: ScriptedArchitect) -> None:
    waiting = [BEGAN, wanted(OPEN, "open_change"), ended(waiting_for_consent_id="cns-1")]
    agent.turns = [waiting, waiting, [BEGAN, event("text", "Nothing new."), ended()]]
    assert ameide("chat", "/open Cancel orders").code == 1
    answer = ameide("chat", "What is new?", "--read-only", "--consent", "give")
    assert (answer.code, "Nothing new." in answer.out) == (0, True)
    assert agent.decided == []
    assert [request.read_only for request in agent.asked] == [False, False, True]


def test_a_run_that_is_followed_and_fails_is_the_exit_code(
    ameide: CommandLine, agent: ScriptedArchitect, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = {"chg-failed": 1, "chg-completed": 0}

    async def followed(_session: object, _clients: object, change_id: str, **_: object) -> int:
        return codes[change_id]

    monkeypatch.setattr("ameide.cli.chat.follow_run", followed)
    assert {change: ameide("chat", f"/follow {change}").code for change in codes} == codes
    lines = iter(["/follow chg-failed", "And now?"])

    def prompt(*_: object, **_options: object) -> str:
        try:
            return next(lines)
        except StopIteration:
            raise click.Abort from None

    monkeypatch.setattr("sys.stdin", Keyboard())
    monkeypatch.setattr("click.prompt", prompt)
    agent.turns = [[BEGAN, event("text", "It failed."), ended()]]
    assert "It failed." in ameide("chat").out
