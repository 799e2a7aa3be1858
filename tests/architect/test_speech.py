"""What reaches the person of what a model says, however it is cut into pieces."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ameide.architect import speech
from ameide.architect.agent import Said
from ameide.architect.records import Ledger, Record
from ameide.errors import Unreachable
from ameide_core_proto.agent.transformation.v1.architect_service_pb import CitedRecord, FileLines, Notice, NoticeKind
from ameide_core_proto.common.v1.reading_pb import CitationKind

COMMIT = "a" * 40
TEXT = ["def cancel(order):", "    if order.shipped:", "        raise Shipped", "", "    order.state = CANCELED"]
PLACE = f"repo-1@{COMMIT}:src/[id]/store.py"
KEY = f"file_lines:{PLACE}#L1-L5"
FACT = "domain_fact:fact-1"


def ledger() -> Ledger:
    found = Ledger()
    lines = FileLines(repository_id="repo-1", commit_sha=COMMIT, path="src/[id]/store.py", first_line=1, last_line=3)
    rest = FileLines(repository_id="repo-1", commit_sha=COMMIT, path="src/[id]/store.py", first_line=4, last_line=5)
    found.note([Record(FACT, "Change c-1 was opened", "", 7), Record("artifact_version:art-1@2", "Requirement", "", 9)])
    found.note([Record(KEY, "store.py", "", 0, lines), Record(KEY, "store.py", "", 0, rest)])
    return found


async def lines_at(repository: str, commit: str, path: str, first: int, last: int) -> FileLines:
    text = "\n".join(TEXT[first - 1 : last])
    return FileLines(
        repository_id=repository, commit_sha=commit, path=path, first_line=first, last_line=last, text=text
    )


async def said(*pieces: str, numbers: dict[str, int] | None = None) -> Sequence[Said]:
    """Everything that was said of an answer in these pieces."""
    speaking = speech.begin(ledger(), {} if numbers is None else numbers, lines_at)
    found: list[Said] = []
    for piece in pieces:
        found += await speaking.hear(piece)
    return [*found, *await speaking.end()]


def words(pieces: Sequence[Said]) -> str:
    return "".join(piece for piece in pieces if isinstance(piece, str))


def notices(pieces: Sequence[Said]) -> list[NoticeKind]:
    return [piece.kind for piece in pieces if isinstance(piece, Notice)]


def cited(pieces: Sequence[Said]) -> list[CitedRecord]:
    return [piece for piece in pieces if isinstance(piece, CitedRecord)]


async def test_a_record_that_was_read_is_numbered_and_told_before_the_text() -> None:
    found = await said(f"It is open [[{FACT}]], as [[artifact_version:art-1@2]] says [[{FACT}]].\n")
    assert words(found) == "It is open [1], as [2] says [1].\n"
    assert not notices(found)
    first, second = cited(found)
    assert (first.number, first.label, first.citation and first.citation.log_position) == (
        1,
        "Change c-1 was opened",
        7,
    )
    assert second.citation is not None
    assert (second.citation.kind, second.citation.ref) == (CitationKind.ARTIFACT_VERSION, "art-1@2")
    assert [type(piece) for piece in found] == [str, CitedRecord, str, CitedRecord, str]


@pytest.mark.parametrize(
    "key",
    [
        "domain_fact:fact-2",
        "artifact_version:art-1@3",
        "evidence_bundle:ev-1",
        "jira:ABC-1",
        f"file_lines:{PLACE}#L1-L6",
        f"file_lines:{PLACE}#L5-L1",
        f"file_lines:repo-1@{'b' * 40}:src/[id]/store.py#L1",
        f"file_lines:{PLACE}",
        "file_lines:x",
    ],
)
async def test_what_was_never_read_is_taken_out_and_said(key: str) -> None:
    found = await said(f"It is so [[{key}]].")
    assert words(found) == "It is so."
    assert notices(found) == [NoticeKind.CITATION_REMOVED]
    assert not cited(found)


async def test_the_number_of_an_earlier_answer_of_the_turn_stays() -> None:
    found = await said(f"See [[{FACT}]] and [[artifact_version:art-1@2]].", numbers={FACT: 4})
    assert words(found) == "See [4] and [5]."
    assert [record.number for record in cited(found)] == [5]


async def test_numbers_that_the_model_writes_are_no_citations() -> None:
    found = await said(f"It is so [1], and `a [1]` or ``a[`1`]`` are code, [[{FACT}]].")
    assert words(found) == "It is so, and `a [1]` or ``a[`1`]`` are code, [1]."
    assert notices(found) == [NoticeKind.CITATION_REMOVED]


@pytest.mark.parametrize(
    "number",
    [
        *("approved[1]", "approved)[12]", "approved [1](by the owner)", "approved [ 1 ]", "approved [1, 2]"),
        *(
            "approved [\u200b1]",
            "approved [1\ufe0f]",
            "approved \uff3b1\uff3d",
            "approved [**1**]",
            "approved [\u0661]",
        ),
        *("approved ` [1]", "approved `` [1] `", f"approved [[{FACT}]][2]"),
        *("approved [[1]1]", "approved [[[domain_fact:no]]1]", "approved [\u200b[ [1] 1 ] 1]"),
        "approved [\u200b[[domain_fact:no]]\ufe0f1]",
    ],
)
async def test_no_number_looks_like_a_checked_one(number: str) -> None:
    text = f"The gate is {number} by now.\n"
    for size in (1, 3, len(text)):
        found = await said(*(text[at : at + size] for at in range(0, len(text), size)))
        assert NoticeKind.CITATION_REMOVED in notices(found)
        assert words(found).count("1") == len(cited(found))
        assert "2" not in words(found)


@pytest.mark.parametrize(
    "text",
    [
        "- > raise Allowed\n",
        "1. > raise Allowed\n",
        "- ```\nraise Allowed\n```\n",
        "      ```\nraise Allowed\n      ```\n",
        ">> raise Allowed\n",
    ],
)
async def test_a_quote_is_checked_wherever_it_stands(text: str) -> None:
    for size in (1, len(text)):
        whole = f"{text}[[{KEY}]]\n"
        found = await said(*(whole[at : at + size] for at in range(0, len(whole), size)))
        assert words(found) == "[1]\n"
        assert notices(found) == [NoticeKind.QUOTE_REMOVED]


async def test_a_quote_within_a_quotation_is_plain_text() -> None:
    found = await said(f">> The owner agreed.\n> - > All of it. [[{FACT}]]\n\nSo it is.\n")
    assert words(found) == "The owner agreed.\nAll of it. [1]\n\nSo it is.\n"
    assert notices(found) == [NoticeKind.UNCITED]


async def test_a_line_that_ends_like_a_citation_is_quoted_as_it_is() -> None:
    line = f"see [[{FACT}]]"

    async def read(repository: str, commit: str, path: str, first: int, last: int) -> FileLines:
        return FileLines(
            repository_id=repository, commit_sha=commit, path=path, first_line=first, last_line=last, text=line
        )

    speaking = speech.begin(ledger(), {}, read)
    found = [*await speaking.hear(f"> {line}\n[[{KEY}]]\n"), *await speaking.end()]
    assert words(found) == f"> {line}\n[1]\n"
    assert [record.lines is not None for record in cited(found)] == [True]


async def test_double_brackets_of_code_stay() -> None:
    found = await said("Use [[nodiscard]], [[gnu::pure]] and `[[a:b]]`, or [[ -f x ]].")
    assert words(found) == "Use [[nodiscard]], [[gnu::pure]] and `[[a:b]]`, or [[ -f x ]]."


async def test_a_quote_is_shown_as_the_bytes_are() -> None:
    found = await said(f"> if order.shipped:\n>raise Shipped\n\n[[{KEY}]] refuses it.\n")
    assert words(found) == ">     if order.shipped:\n>         raise Shipped\n\n[1] refuses it.\n"
    [record] = cited(found)
    assert record.lines is not None
    assert record.lines.text.splitlines() == TEXT
    assert found.index(record) < next(at for at, piece in enumerate(found) if isinstance(piece, str))


@pytest.mark.parametrize(
    "text",
    [
        f"> if order.shipped and not forced:\n[[{KEY}]]\n",
        f"> if order.shipped:\n> order.state = CANCELED\n[[{KEY}]]\n",
        f"> order.state = CANCELED\n> ...\n> if order.shipped:\n(see [[{KEY}]])\n",
        f"```python\nraise Allowed\n```\n[[{KEY}]]\n",
        f"> raise Allowed [[{KEY}]]\n",
        f">\n[[{KEY}]]\n",
    ],
)
async def test_words_that_are_not_there_are_no_quote(text: str) -> None:
    found = await said(f"Look:\n{text}")
    assert "Allowed" not in words(found)
    assert "forced" not in words(found)
    assert "order" not in words(found)
    assert notices(found) == [NoticeKind.QUOTE_REMOVED]
    assert "[1]" in words(found)


async def test_a_quote_of_a_file_that_was_never_read_goes_with_its_citation() -> None:
    found = await said(f"> import os\n[[file_lines:repo-1@{COMMIT}:other.py#L1]] says so.\n")
    assert words(found).strip() == "says so."
    assert notices(found) == [NoticeKind.CITATION_REMOVED, NoticeKind.QUOTE_REMOVED]


async def test_a_fence_with_a_source_is_a_quote_and_one_without_is_not() -> None:
    found = await said(
        f"```python\nif order.shipped:\n...\norder.state = CANCELED\n```\n[[{KEY}]]\n",
        "```sh\nmake [[x:y]] a[1] [1]\n```\n",
    )
    assert words(found) == (
        "```python\n    if order.shipped:\n…\n    order.state = CANCELED\n```\n[1]\n```sh\nmake [[x:y]] a[1] [1]\n```\n"
    )
    assert not notices(found)


async def test_a_quotation_without_a_file_is_plain_text() -> None:
    found = await said(f"> The owner agreed.\n\nSo [[{FACT}]].")
    assert words(found) == "The owner agreed.\n\nSo [1]."
    assert notices(found) == [NoticeKind.UNCITED]


async def test_an_answer_about_records_that_names_none_says_so() -> None:
    found = await said("The change is approved, its gate was decided by the owner, and the run may go on from there.")
    assert notices(found) == [NoticeKind.UNCITED]
    assert notices(await said("Hello.")) == []


async def test_lines_that_cannot_be_read_now_are_not_cited() -> None:
    async def unreachable(*_: object) -> FileLines:
        raise Unreachable("the repository does not answer")

    speaking = speech.begin(ledger(), {}, unreachable)
    found = [*await speaking.hear(f"So [[{KEY}]]."), *await speaking.end()]
    assert words(found) == "So."
    assert notices(found) == [NoticeKind.CITATION_REMOVED]


async def test_no_character_reaches_the_terminal_that_it_acts_on() -> None:
    found = await said("a\x1b[31mb\x07c\u202ed\r\ne\tf")
    assert words(found) == "a[31mbcd\ne\tf"


@pytest.mark.parametrize(
    "text",
    [
        "The token is ghp_0123456789abcdefghijABCDEFGHIJ456789 here.\n",
        "password = hunter2hunter2Q9x and more\n",
        "> password = hunter2hunter2Q9x\n",
        "```\nAuthorization: Bearer abcdefghijklmnop\n```\n",
    ],
)
async def test_no_secret_is_said_in_whatever_pieces(text: str) -> None:
    for size in (1, 5, len(text)):
        found = words(await said(*(text[at : at + size] for at in range(0, len(text), size))))
        assert "[redacted]" in found
        assert "ghp_" not in found
        assert "hunter2hunter2Q9x" not in found
        assert "abcdefghijklmnop" not in found


async def test_words_go_on_while_the_line_does() -> None:
    speaking = speech.begin(ledger(), {}, lines_at)
    assert words(await speaking.hear("It is open, ")) == "It is open,"
    assert words(await speaking.hear(f"as [[{FACT}")) == " as"
    assert words(await speaking.hear("]] says ")) == " [1] says"
    assert words(await speaking.end()) == " "


@pytest.mark.parametrize("number", ["[\n1]", "[1,\n1]", "[[1]\n1]", "[1\n\n]"])
async def test_no_number_over_two_lines_looks_like_a_checked_one(number: str) -> None:
    assert not re.search(r"\[[\s\d,]*\]", words(await said(f"It is approved {number} by Ann.\n")))


async def test_a_deep_nest_of_numbers_leaves_none() -> None:
    found = words(await said(f"So {'[' * 60}{'1]' * 60} and {'[[domain_fact:' * 60}{'none]]' * 60} it is."))
    assert not re.search(r"\[\d+\]", found)


@pytest.mark.parametrize("before", ["[1]", "[[domain_fact:none]]", "- [1] ", "\u200b[[1]1]", "> [1]", "\u200b"])
async def test_no_quote_is_left_when_what_stood_before_it_is_taken_out(before: str) -> None:
    found = await said(f"{before}> raise Allowed\n\n[[{FACT}]]\n")
    assert words(found).split() in (["raise", "Allowed", "[1]"], ["-", "raise", "Allowed", "[1]"])
    assert NoticeKind.UNCITED in notices(found)


async def test_no_fence_is_left_when_what_stood_before_it_is_taken_out() -> None:
    found = await said(f"[1]```\nraise Allowed\n```\n[[{KEY}]]\n")
    assert words(found) == "\nraise Allowed\n```\n[1]\n"


@pytest.mark.parametrize("before", ["[1] ", "[[domain_fact:none]] ", f"[[{FACT}]], ", "\u200b", "See (1) "])
async def test_a_source_is_one_whatever_stands_before_it(before: str) -> None:
    found = await said(f"```\nraise Allowed\n```\n{before}[[{KEY}]]\n")
    assert ("Allowed" in words(found)) == ("(1)" in before)
    assert (NoticeKind.QUOTE_REMOVED in notices(found)) == ("(1)" not in before)


async def test_of_a_long_line_all_is_said_once() -> None:
    text = f"It is so [[{FACT}]] and [1] `a [1]` goes on. " * 200
    for size in (7, len(text)):
        found = words(await said(*(text[at : at + size] for at in range(0, len(text), size))))
        assert found == "It is so [1] and `a [1]` goes on. " * 200


PARTS = st.sampled_from(
    [
        *(
            f"[[{FACT}]]",
            f"[[{KEY}]]",
            "[[domain_fact:none]]",
            "\n",
            " ",
            "> raise Shipped\n",
            "> no such\n",
            "```\n",
            "`x`",
        ),
        *("[1]", "[[", "]]", "word", "word ", "- ", "\n\n", ">", "[[file_lines:", "…", "`", "token: aB3dE5gH7jK9mN1pQ"),
        f"[[domain_fact:none]] [[{FACT}]]",
        *(
            "[",
            "]",
            "1",
            "1]",
            "[ ",
            "[[1]1]",
            "[[[domain_fact:none]]1]",
            "[\u200b1]",
            "\u200b",
            "[[domain_fact:",
            "`` ",
        ),
        *(
            "token: ",
            "aB3dE5gH7jK9mN1pQ",
            "\r\n",
            "\t",
            "\ufdd01\ufdd1",
            "~~~\n",
            "1. ",
            "-----BEGIN RSA PRIVATE KEY-----",
        ),
    ]
)
CODE = re.compile(r"(?<!`)(`{1,8})(?!`).+?(?<!`)\1(?!`)")


def numbers_in(text: str) -> set[str]:
    """What looks like a citation, outside of code."""
    return set(re.findall(r"\[[\s\u200b]*\d{1,3}[\s\u200b]*\]", CODE.sub("code", text)))


@settings(max_examples=200, deadline=None)
@example(["word ", " ", "[[file_lines:", "]]", "- "], 1)
@example([" ", " ", "[1]", "\n\n"], 1)
@example(["- ", "[[file_lines:", "word ", "]]", "> raise Shipped\n"], 1)
@example(["- ", " ", "[1]", "\n"], 1)
@example(["token: aB3dE5gH7jK9mN1pQ", f"[[{FACT}]]"], 1)
@example(["token: ", "aB3dE ", "[1]", "5gH7jK9mN1pQ", " "], 1)
@example(["[1]", "> no such\n"], 1)
@example(["[[domain_fact:none]]", ">", "> raise Shipped\n"], 1)
@example(["[[file_lines:", "]]", ">", "token: aB3dE5gH7jK9mN1pQ"], 1)
@example(["[[", "token: aB3dE5gH7jK9mN1pQ", "]]", "> no such\n"], 1)
@example(["[[domain_fact:", "[[domain_fact:none]]", "none", "]]"], 1)
@example(["[ ", "[1]", " ", "1]"], 1)
@example(["[", "\n", "1]"], 1)
@example(["`", "[1]", "token: aB3dE5gH7jK9mN1pQ", "`"], 1)
@given(st.lists(PARTS, max_size=12), st.integers(1, 9))
async def test_pieces_change_nothing_and_nothing_unread_is_cited(parts: list[str], size: int) -> None:
    text = "".join(parts)
    whole = await said(text)
    pieces = await said(*(text[at : at + size] for at in range(0, len(text), size)))
    assert words(pieces) == words(whole)
    assert [piece for piece in pieces if not isinstance(piece, str)] == [
        one for one in whole if not isinstance(one, str)
    ]
    assert "domain_fact:none" not in words(whole)
    told: set[int] = set()
    for piece in pieces:
        if isinstance(piece, CitedRecord):
            told.add(piece.number)
    assert told == set(range(1, len(told) + 1))
    if "```" in text or "~~~" in text:
        return
    assert numbers_in(words(whole)) <= {f"[{number}]" for number in told}
    quoted = {line.strip() for line in TEXT if line.strip()}
    shown = [line[1:].strip() for line in words(whole).splitlines() if line.startswith(">")]
    assert all(not line or line in quoted or line == "…" for line in shown)
