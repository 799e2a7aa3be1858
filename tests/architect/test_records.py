"""What a conversation remembers of what it read, and how that is cited."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ameide.architect.records import MOST_FILES, MOST_KNOWN, Ledger, Record, file_key, file_of, lines_record
from ameide_core_proto.agent.transformation.v1.architect_service_pb import FileLines

COMMIT = "a1" * 20


def lines(path: str, first: int, last: int) -> FileLines:
    """Lines that were read."""
    return FileLines(repository_id="orders", commit_sha=COMMIT, path=path, first_line=first, last_line=last)


@given(st.text(alphabet=st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1), st.integers(1, 10**6))
def test_lines_of_any_file_can_be_cited(path: str, first: int) -> None:
    key = file_key(lines(path, first, first + 3))
    assert "[" not in key
    assert "]" not in key
    assert file_of(key.removeprefix("file_lines:")) == lines(path, first, first + 3)


@pytest.mark.parametrize("ref", ["orders", f"orders@{COMMIT}:a.py", f"orders@{COMMIT[:12]}:a.py#L1", "@:#L1", ""])
def test_what_is_no_citation_of_lines_is_none(ref: str) -> None:
    assert file_of(ref) is None


def test_one_line_may_be_cited_by_its_number_alone() -> None:
    assert file_of(f"orders@{COMMIT}:a.py#L7") == lines("a.py", 7, 7)


def test_ranges_that_meet_are_one() -> None:
    ledger = Ledger()
    ledger.note(lines_record(lines("a.py", *span)) for span in ((10, 20), (1, 3), (21, 22), (15, 18), (5, 5)))
    assert ledger.files == {f"orders@{COMMIT}:a.py": [(1, 3), (5, 5), (10, 22)]}


def test_a_ledger_forgets_what_was_read_the_longest_ago() -> None:
    ledger = Ledger()
    ledger.note([Record("domain_fact:first", "first", "", 1)])
    ledger.note(Record(f"domain_fact:{n}", str(n), "", n) for n in range(MOST_KNOWN - 1))
    ledger.note([Record("domain_fact:first", "again", "", 9)])
    ledger.note(Record(f"work_request:{n}", str(n), "", n) for n in range(10))
    assert len(ledger.known) == MOST_KNOWN
    assert ledger.known["domain_fact:first"] == ("again", 9)
    assert "domain_fact:0" not in ledger.known
    assert ledger.position == MOST_KNOWN - 2
    ledger.note(lines_record(lines(f"{n}.py", 1, 2)) for n in range(MOST_FILES + 5))
    assert len(ledger.files) == MOST_FILES
