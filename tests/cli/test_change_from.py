"""A requirement from an issue, a file or standard input: what is read, what is refused, and who confirms it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import CommandLine, Script
from .forge_double import BODY, Forge, forge_double

TOKEN = "a-token-of-the-forge"


@pytest.fixture
def forge() -> Iterator[Forge]:
    with forge_double() as found:
        yield found


@pytest.fixture
def credential(ameide: CommandLine) -> tuple[str, ...]:
    """Options that name a token by reference."""
    folder = ameide.state.root / "credentials"
    folder.mkdir()
    (folder / "issues").write_text(TOKEN)
    (folder / "issues").chmod(0o600)
    return ("--issue-credential", "issues")


def start(ameide: CommandLine, source: str, *options: str) -> tuple[int, str]:
    """Up to the question, which nobody is there to answer; exit code and what was said."""
    answer = ameide("change", "start", "orders", "--from", source, *options)
    return answer.code, answer.err


@pytest.mark.parametrize(
    ("kind", "header"),
    [
        ("github", ("authorization", f"Bearer {TOKEN}")),
        ("gitlab", ("private-token", TOKEN)),
        ("gitea", ("authorization", f"token {TOKEN}")),
    ],
)
def test_an_issue_of_each_forge_is_read_with_a_credential_by_reference(
    ameide: CommandLine, forge: Forge, credential: tuple[str, ...], kind: str, header: tuple[str, str]
) -> None:
    url = forge.has_issue(kind)
    code, said = start(ameide, url, "--forge", kind, *credential)
    [(_, headers)] = forge.asked
    assert headers[header[0]] == header[1]
    assert code == 2
    assert said.startswith(f"Cancel an order\nfrom {url}\n")
    assert "  1. An open order can be canceled, and says so\n  2. A shipped one cannot\n  3. It is logged\n" in said
    assert "--yes is needed" in said
    assert "Thank you" not in said
    assert "Ask \\x1b[2JAda." in said, "an issue cannot steer the terminal"
    assert TOKEN not in said


def test_the_url_tells_which_forge_it_is_and_without_credential_none_is_sent(ameide: CommandLine, forge: Forge) -> None:
    for kind in ("gitlab", "gitea"):
        start(ameide, forge.has_issue(kind))
    assert [path for path, _ in forge.asked] == [
        "/api/v4/projects/acme%2Fshop%2Forders/issues/7",
        "/api/v1/repos/acme/orders/issues/7",
    ]
    assert not any({"authorization", "private-token"} & headers.keys() for _, headers in forge.asked)


@pytest.mark.parametrize(
    ("status", "headers", "code", "said"),
    [
        (404, {}, 1, "has no such issue, or does not show it"),
        (401, {}, 1, "does not accept the credential"),
        (403, {}, 1, "does not let this credential read"),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1700000000"}, 1, "Try again at 22:13 UTC"),
        (429, {"retry-after": "30"}, 1, "Try again in 30 s"),
        (301, {"location": "https://elsewhere.example/"}, 1, "has moved"),
        (502, {}, 3, "answered 502"),
    ],
)
def test_what_a_forge_refuses_is_told_with_the_remedy(
    ameide: CommandLine, forge: Forge, status: int, headers: dict[str, str], code: int, said: str
) -> None:
    answer = start(ameide, forge.has_issue("gitea", status, headers))
    assert answer[0] == code
    assert said in answer[1]
    assert len(forge.asked) == 1, "a redirect is not followed"


def test_what_is_no_issue_is_told(ameide: CommandLine, forge: Forge) -> None:
    url = forge.has_issue("gitea")
    [path] = forge.answers
    refused: list[tuple[object, str]] = [
        ({"title": "A change", "body": "", "pull_request": {"url": "x"}}, "it is a pull request"),
        (b"<html>", "answered no JSON"),
        ([], "the answer is no issue"),
        ({"title": "Long", "body": "x" * 4097}, "text: it has 4097 characters, at most 4096"),
        ({"title": "Large", "body": "x" * (1 << 20)}, "more than 1048576 bytes"),
    ]
    for data, said in refused:
        forge.answers[path] = (200, {}, data)
        code, told = start(ameide, url, "--yes")
        assert code in (1, 2)
        assert said in told


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("https://forge.example/acme/orders", "names no issue"),
        ("https://forge.example/acme/../orders/issues/7", "names no issue"),
        ("ftp://forge.example/acme/orders/issues/7", "names no issue"),
        ("https://forge.example:none/acme/orders/issues/7", "names no issue"),
        ("https://[forge.example/acme/orders/issues/7", "names no issue"),
        ("https://ada:pa55word@forge.example/acme/orders/issues/7", "carries a credential"),
        ("no-such-file.md", "is no file"),
    ],
)
def test_a_source_that_is_none_is_told(ameide: CommandLine, source: str, said: str) -> None:
    code, told = start(ameide, source)
    assert code == 2
    assert said in told
    assert "pa55word" not in told


def test_nobody_at_the_forge_is_told(ameide: CommandLine) -> None:
    with forge_double() as gone:
        url = gone.has_issue("gitea")
    code, said = start(ameide, url)
    assert (code, "127.0.0.1 does not answer" in said) == (3, True)


def test_a_file_and_standard_input_are_read_alike(
    ameide: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"# Cancel an order\n\n{BODY}"
    (tmp_path / "r.md").write_text(text)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    of_file, of_input = start(ameide, str(tmp_path / "r.md")), start(ameide, "-")
    assert of_file == of_input
    assert of_file[1].startswith("Cancel an order\nA customer changes their mind.\n")


def test_a_file_that_is_no_text_is_told_whichever_option_named_it(ameide: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "r.md"
    file.write_bytes(b"# A title \xff\n")
    for words in (
        ("start", "orders", "--from"),
        ("start", "orders", "--requirement"),
        ("revise", "chg-1", "--requirement"),
    ):
        answer = ameide("change", *words, str(file))
        assert answer.code == 2
        assert f"requirement: {file} is no text in UTF-8" in answer.err
        assert "--from" not in answer.err


def test_two_sources_at_once_are_refused(ameide: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "r.md").write_text("# A title\n")
    code, said = start(ameide, "-", "--requirement", str(tmp_path / "r.md"))
    assert (code, "give one of them" in said) == (2, True)


def test_a_script_says_yes(ameide: CommandLine, script: Script, tmp_path: Path) -> None:
    """It gets past the question, to a door that in these tests opens no change."""
    (tmp_path / "r.md").write_text("# A title\n")
    answer = ameide("change", "start", "orders", "--from", str(tmp_path / "r.md"), "--yes", "--json")
    assert "--yes is needed" not in answer.err
    assert json.loads(answer.err.splitlines()[-1])["error"]["code"] != "usage"
