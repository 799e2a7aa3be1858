"""What is said of an error cannot steer the terminal, whoever had a word in it."""

from __future__ import annotations

import json

import pytest

from ameide.cli.failure import report
from ameide.errors import Refused

HOSTILE = Refused("remote: \x1b]0;owned\x07 \u202egpj", remedy="say\nit \x9b2J again", field="url\x1b[1m")


def test_for_a_person_it_shows_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    report(HOSTILE, as_json=False)
    said = capsys.readouterr().err
    assert "url\\x1b[1m: remote: \\x1b]0;owned\\x07 \\u202egpj" in said
    assert "say\nit \\x9b2J again." in said


def test_for_a_program_it_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    report(HOSTILE, as_json=True)
    said = capsys.readouterr().err
    assert said.strip().isascii()
    assert "\x1b" not in said
    assert json.loads(said)["error"]["message"] == HOSTILE.message
