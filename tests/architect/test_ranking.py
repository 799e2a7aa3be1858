"""What answers a question by its words: what people wrote before what programs made, and not all from one file."""

from __future__ import annotations

import pytest

from ameide.architect.records import Record
from ameide.architect.unaided.ranking import ranked
from ameide.architect.unaided.terms import searchable, terms_of
from ameide_core_proto.agent.transformation.v1.architect_service_pb import FileLines

COMMIT = "a" * 40


def lines(path: str, text: str, first: int = 1) -> Record:
    last = first + text.count("\n")
    key = f"file_lines:shop@{COMMIT}:{path}#L{first}-L{last}"
    where = FileLines(repository_id="shop", commit_sha=COMMIT, path=path, first_line=first, last_line=last, text=text)
    return Record(key, path, text, lines=where)


@pytest.mark.parametrize(
    "made", ["gen/orders_pb.py", "web/dist/app.js", "vendor/orders.go", "poetry.lock", "package-lock.json"]
)
def test_what_a_program_made_comes_after_what_people_wrote(made: str):
    found = [lines(made, "order shipped = 2, order placed = 1"), lines("src/store.py", "the order has shipped")]
    best = ranked(terms_of("which order shipped, which is placed?"), [("search_files", found)], 5)
    assert [one.record.label for one in best] == ["src/store.py", made]


def test_lines_that_nobody_can_read_come_last():
    found = [lines("a.py", "order shipped " + "x" * 400), lines("b.py", "order")]
    best = ranked(terms_of("order shipped"), [("search_files", found)], 5)
    assert [one.record.label for one in best] == ["b.py", "a.py"]


def test_one_file_does_not_fill_an_answer():
    many = [lines("src/store.py", "order", first) for first in range(1, 60, 10)]
    best = ranked(terms_of("order"), [("search_files", [*many, lines("README.md", "order")])], 8)
    assert sorted(one.record.label for one in best) == ["README.md", "src/store.py", "src/store.py"]


def test_a_word_that_names_a_kind_of_record_is_looked_for_in_files_after_the_others():
    assert searchable(terms_of("Has an order shipped?"), 4) == ["order", "shipped"]
