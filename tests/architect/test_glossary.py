"""The glossary: what the product's words mean, in one file."""

from __future__ import annotations

import pytest

from ameide.architect.tools.glossary import looked_up, terms
from ameide.architect.triage import GATES
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactKind


def test_every_term_that_is_referred_to_is_there() -> None:
    names = {term.name for term in terms()}
    assert {other for term in terms() for other in term.see} <= names
    assert all(term.meaning.endswith(".") for term in terms())


@pytest.mark.parametrize(
    "word", [*GATES.values(), *(kind.name.lower() for kind in ArtifactKind if kind)], ids=lambda word: str(word)
)
def test_gates_and_artifacts_are_explained(word: str) -> None:
    assert looked_up(word.replace("_", " "))[0].name == word.replace("_", " ")


@pytest.mark.parametrize(
    ("word", "first"),
    [("Gates", "gate"), ("lease", "claim"), ("ReadPerformed", "declared read"), ("pull request", "promotion")],
)
def test_a_word_is_found_by_its_other_names_and_by_what_it_means(word: str, first: str) -> None:
    assert looked_up(word)[0].name == first


def test_a_word_that_is_not_there_is_not_explained() -> None:
    assert looked_up("flux capacitor") == []
