"""What a tool run looks for: words as they are given, and of a question those that can stand in a file."""

from __future__ import annotations

import pytest

from ameide.errors import InvalidArgument
from ameide.infra.analysis.terms import MOST, terms_of


@pytest.mark.parametrize(
    ("question", "terms"),
    [
        ('cancel "order id" cancel', ["cancel", "order id"]),
        ("What is in this repository?", []),
        ('Where does the store cancel an "order that has shipped"?', ["store", "cancel", "order that has shipped"]),
        ("", []),
    ],
)
def test_terms(question: str, terms: list[str]):
    assert terms_of(question) == terms


def test_too_many_words_are_refused_and_a_long_question_is_not():
    words = " ".join(f"word{number}" for number in range(MOST + 1))
    with pytest.raises(InvalidArgument, match=r"inputs\.question"):
        terms_of(words)
    assert len(terms_of(f"{words}?")) == MOST
