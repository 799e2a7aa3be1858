"""Drafts without a model: made of the person's words, the policy's and the form's, and valid whatever was said."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ameide.architect.records import lines_record
from ameide.architect.triage import problems_of
from ameide.architect.unaided.basis import Basis
from ameide.architect.unaided.revising import revised
from ameide.architect.unaided.templates import diff, drafted, triage_form
from ameide.architect.unaided.wishes import items_of, questions_of, statements_of, title_of
from ameide.domain.decisions.default_policy import default_policy
from ameide.errors import InvalidArgument
from ameide.rpc.validation import violations_of
from ameide_core_proto.agent.transformation.v1.architect_service_pb import FileLines
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import (
    ArtifactContent,
    ArtifactKind,
    ChangeSize,
    Primitive,
    Risk,
    RiskLevel,
    Triage,
)

WISH = """\
Customers want to cancel an order.

- An order that was not shipped can be canceled.
- A canceled order is not shipped.

Who is told of it?
"""
KINDS = (ArtifactKind.REQUIREMENT, ArtifactKind.DEV_BRIEF, ArtifactKind.GATE_CHECKLIST, ArtifactKind.TRIAGE)
POLICY = default_policy("orders", gitops=True)
LINES = FileLines(
    repository_id="orders", commit_sha="a" * 40, path="src/orders.py", first_line=3, last_line=9, text="x"
)
TRIAGED = ArtifactContent(
    title="Cancel",
    triage=Triage(
        in_scope=["canceling"],
        out_of_scope=["refunds"],
        risks=[Risk(text="stock is lost", level=RiskLevel.HIGH, mitigation="a test")],
        primitives=[Primitive.DOMAIN],
        open_questions=["Until when?"],
        size=ChangeSize.SMALL,
    ),
)
REQUIRED = ArtifactContent(title="Cancel", acceptance_criteria=["It can be canceled.", "It is not shipped."])


def test_a_requirement_is_what_was_wished_in_numbered_criteria() -> None:
    basis = Basis("Cancel an order", POLICY, {ArtifactKind.TRIAGE: TRIAGED})
    content = drafted(ArtifactKind.REQUIREMENT, WISH, basis)
    assert content.title == "Cancel an order"
    assert content.acceptance_criteria == [
        "An order that was not shipped can be canceled.",
        "A canceled order is not shipped.",
    ]
    assert "## Out of scope\n- refunds" in content.text
    assert "## Open questions\n- Who is told of it?\n- Until when?" in content.text


def test_a_brief_says_where_to_begin_and_what_to_leave_alone() -> None:
    contents = {ArtifactKind.TRIAGE: TRIAGED, ArtifactKind.REQUIREMENT: REQUIRED}
    content = drafted(ArtifactKind.DEV_BRIEF, "", Basis("Cancel", POLICY, contents, (lines_record(LINES),)))
    assert content.title == "Brief: Cancel"
    for words in (
        "1. It can be canceled.",
        "`src/orders.py` lines 3 to 9",
        "ameide.yaml",
        "high: stock is lost (a test)",
        "5 iterations of coder and verification",
    ):
        assert words in content.text
    assert content.acceptance_criteria == []


def test_a_checklist_has_items_for_each_gate_that_the_policy_demands() -> None:
    contents = {ArtifactKind.TRIAGE: TRIAGED, ArtifactKind.REQUIREMENT: REQUIRED}
    content = drafted(ArtifactKind.GATE_CHECKLIST, "Ask support", Basis("Cancel", POLICY, contents))
    items = [(item.gate, item.text) for item in content.checklist]
    assert ("requirement_stabilized", "Answered: Until when?") in items
    assert ("acceptance", "A test shows criterion 2: It is not shipped.") in items
    assert ("acceptance", "Ask support") in items
    assert {gate for gate, _ in items} == {"requirement_stabilized", "acceptance", "ready_to_release", "promotion"}
    merged_only = default_policy("orders", gitops=False)
    content = drafted(ArtifactKind.GATE_CHECKLIST, "", Basis("Cancel", merged_only, contents))
    assert "promotion" not in {item.gate for item in content.checklist}


def test_nothing_is_made_of_nothing() -> None:
    for kind in (ArtifactKind.REQUIREMENT, ArtifactKind.DEV_BRIEF, ArtifactKind.TRIAGE):
        with pytest.raises(InvalidArgument):
            drafted(kind, "  ", Basis(policy=POLICY))


def test_the_form_of_a_triage_has_what_can_be_told_without_judgement() -> None:
    triage = triage_form(WISH + "It is seen in the list of the console.", POLICY)
    assert triage.open_questions == ["Who is told of it?"]
    assert triage.primitives == [Primitive.PROJECTION, Primitive.UI_SURFACE]
    assert triage.size == ChangeSize.SMALL
    assert not triage.deep_analysis


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.sampled_from("aB ä.?!\n-*1)#:+\t"), max_size=400) | st.text(max_size=200))
def test_whatever_is_wished_a_draft_is_valid(wish: str) -> None:
    for kind in KINDS:
        try:
            content = drafted(kind, wish, Basis("", POLICY, {}))
        except InvalidArgument as error:
            assert error.field == "wish"  # noqa: PT017 -- some wishes say nothing
            continue
        assert violations_of(content) == []
        if content.triage is not None:
            assert problems_of(content.triage, POLICY) == []


@pytest.mark.parametrize(
    "wish", ["x. " * 5000, "- a\n" * 300, "word " * 3000, "\n".join(f"- item {n} {'y' * 900}" for n in range(90))]
)
def test_long_wishes_are_cut_and_not_refused(wish: str) -> None:
    for kind in KINDS:
        assert violations_of(drafted(kind, wish, Basis("", POLICY, {}))) == []


def test_a_revision_does_what_each_line_says() -> None:
    new = revised(REQUIRED, "title: Cancel an order\n- 1\n2: It is never shipped.\n+ Support can undo it.")
    assert new.title == "Cancel an order"
    assert new.acceptance_criteria == ["It is never shipped.", "Support can undo it."]
    assert REQUIRED.acceptance_criteria == ["It can be canceled.", "It is not shipped."]
    shown = diff(REQUIRED, new, 3)
    assert shown.startswith("--- version 3\n+++ version 4\n")
    assert "-1. It can be canceled.\n" in shown
    assert "+1. It is never shipped.\n+2. Support can undo it." in shown
    assert diff(new, new, 4) == ""


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ("make it better", "no model is configured"),
        ("- 3", "names criterion 3, and there are 2"),
        ("title: Cancel", "changes nothing"),
        ("", "is empty"),
    ],
)
def test_a_revision_that_needs_judgement_is_sent_back(wish: str, says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        revised(REQUIRED, wish)


def test_the_parts_of_a_wish() -> None:
    assert items_of(WISH)[0] == "An order that was not shipped can be canceled."
    assert statements_of("One thing. Another one! A question?") == ["One thing.", "Another one!"]
    assert questions_of(WISH) == ["Who is told of it?"]
    assert title_of("# Heading\n\nMore.") == "Heading"
    assert title_of("word " * 40).endswith("…")
    assert len(title_of("word " * 40)) < 90
