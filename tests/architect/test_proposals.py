"""What a model proposes is checked before a person is asked, and has no effect."""

from __future__ import annotations

from typing import Any

import pytest

from ameide.architect.tools.registry import granted
from ameide.architect.tools.tool import Grant
from ameide.architect.unaided.drafting import draft, triage_of
from ameide.errors import InvalidArgument
from ameide_core_proto.agent.transformation.v1.architect_service_pb import (
    AnalyzeInstruction,
    DraftInstruction,
    OpenChangeInstruction,
    StartInstruction,
    SubmitInstruction,
    TriageInstruction,
)
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import (
    ArtifactContent,
    ArtifactKind,
    ChangeSize,
    Primitive,
    RiskLevel,
    Triage,
)
from ameide_core_proto.transformation.work.v1.work_pb import WorkKind
from tests.architect.reading import Desk, desk
from tests.views.readers import Readers
from tests.views.story import Story, told

TRIAGE: dict[str, Any] = {
    "title": "Cancel an order",
    "in_scope": ["a customer cancels an order that was not shipped"],
    "out_of_scope": ["refunds"],
    "risks": [{"text": "stock is not given back", "level": "high", "mitigation": "a test for it"}],
    "primitives": ["domain", "projection"],
    "required_gates": ["requirement_stabilized", "acceptance", "ready_to_release", "promotion"],
    "size": "small",
}
REQUIREMENT: dict[str, Any] = {
    "kind": "requirement",
    "title": "Cancel an order",
    "text": "An order that was not shipped can be canceled.",
    "acceptance_criteria": ["A canceled order is not shipped."],
}


@pytest.fixture(scope="module")
async def story(readers: Readers) -> Story:
    """A change with a requirement."""
    return await told(readers)


@pytest.fixture
async def writer(story: Story) -> Desk:
    """Somebody who talks about that change."""
    return desk(await story.readers.reader()).about(repository_id="orders", change_id=story.change_id)


async def test_a_triage_is_made_of_its_form_and_the_policy_agrees(writer: Desk) -> None:
    answer = await writer.call("propose_triage", **TRIAGE)
    assert isinstance(answer.proposal, TriageInstruction), answer.error
    triage = answer.proposal.triage
    assert triage is not None
    assert triage.primitives == [Primitive.DOMAIN, Primitive.PROJECTION]
    assert (triage.size, triage.risks[0].level) == (ChangeSize.SMALL, RiskLevel.HIGH)
    assert "Nothing happened yet" in answer.notes[0]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"required_gates": ["acceptance"]}, "the policy (version 1) demands requirement_stabilized, ready_to_release"),
        ({"risks": [{"text": "x", "level": "high"}]}, "risks[0].mitigation: a high risk has none"),
        ({"risks": [{"text": "x", "level": "huge"}]}, "risks.0.level: 'huge' is not one of"),
        ({"deep_analysis": True}, "analysis_question: a deep analysis has no question"),
        ({"analysis_question": "why?"}, "deep_analysis: there is a question for it"),
        ({"out_of_scope": ["A customer cancels an order that was not shipped."]}, "is in scope as well"),
        ({"in_scope": ["one", "One."]}, "in_scope: says the same twice"),
        ({"size": "large", "out_of_scope": []}, "size: a large change is better split"),
        ({"primitives": []}, "primitives: [] should be non-empty"),
        ({"primitives": ["database"]}, "'database' is not one of"),
        ({"approve": True}, "'approve' was unexpected"),
    ],
)
async def test_a_triage_that_does_not_hold_together_is_sent_back(
    writer: Desk, changed: dict[str, Any], says: str
) -> None:
    answer = await writer.call("propose_triage", **TRIAGE | changed)
    assert says in answer.error
    assert answer.proposal is None


async def test_each_tool_proposes_what_a_person_could_ask_for_by_form(writer: Desk, story: Story) -> None:
    requirement = story.requirement.subject
    assert requirement is not None
    draft = (await writer.call("propose_draft", **REQUIREMENT)).proposal
    assert isinstance(draft, DraftInstruction)
    assert (draft.kind, draft.artifact_id) == (ArtifactKind.REQUIREMENT, "")
    revised = (await writer.call("propose_draft", **REQUIREMENT, artifact_id=requirement.artifact_id)).proposal
    assert isinstance(revised, DraftInstruction)
    assert revised.artifact_id == requirement.artifact_id
    checklist = [{"gate": "acceptance", "text": "look at the migration"}]
    listed = (await writer.call("propose_draft", kind="gate_checklist", title="Look", checklist=checklist)).proposal
    assert isinstance(listed, DraftInstruction)
    submit = (await writer.call("submit_artifact")).proposal
    assert submit == SubmitInstruction()
    analyze = (await writer.call("request_analysis", question="Where are orders canceled?")).proposal
    assert isinstance(analyze, AnalyzeInstruction)
    assert analyze.work_kind == WorkKind.AGENT_WORK
    start = (await writer.call("start_run", artifact_id=requirement.artifact_id)).proposal
    assert start == StartInstruction(artifact_id=requirement.artifact_id)
    fresh = writer.about(change_id="")
    assert (await fresh.call("open_change", title="Cancel")).proposal == OpenChangeInstruction(title="Cancel")


async def test_what_the_domain_would_refuse_is_said_at_once(writer: Desk) -> None:
    async def error(tool: str, **arguments: object) -> str:
        answer = await writer.call(tool, **arguments)
        assert answer.proposal is None
        return answer.error or answer.not_found[0]

    assert "is about" in await error("open_change", title="Another")
    assert "acceptance_criteria: a requirement has none" in await error("propose_draft", kind="requirement", title="x")
    assert "has no item" in await error("propose_draft", kind="gate_checklist", title="x")
    assert "no artifact art-0" in await error("propose_draft", **REQUIREMENT, artifact_id="art-0")
    assert "commit_sha: 'main' does not match" in await error("request_analysis", question="x", commit_sha="main")
    writer = writer.about(change_id="")
    assert "Propose open_change first" in await error("start_run")


async def test_a_reader_and_a_read_only_turn_propose_nothing(writer: Desk) -> None:
    viewer = frozenset({"viewer"})
    assert {tool.grant for tool in granted(viewer)} == {Grant.READ}
    assert {tool.grant for tool in granted(frozenset({"requester"}), read_only=True)} == {Grant.READ}
    for held in (writer.about(roles=viewer), writer.about(read_only=True)):
        answer = await held.call("propose_triage", **TRIAGE)
        assert "not granted here" in answer.error
        assert answer.proposal is None


async def test_a_revision_that_changes_nothing_is_none(writer: Desk, story: Story) -> None:
    subject = story.requirement.subject
    assert subject is not None
    again = {
        "kind": "requirement",
        "title": "cancel",
        "text": "An order can be canceled.",
        "acceptance_criteria": ["1"],
    }
    answer = await writer.call("propose_draft", **again, artifact_id=subject.artifact_id)
    assert "is what version 1 says already" in answer.error
    other = await writer.call("propose_draft", kind="dev_brief", title="cancel", artifact_id=subject.artifact_id)
    assert "is a requirement" in other.error


async def test_content_that_was_given_is_kept_and_compared(writer: Desk, story: Story) -> None:
    subject = story.requirement.subject
    assert subject is not None
    content = ArtifactContent(title="cancel", text="An order can be canceled.", acceptance_criteria=["1", "2"])
    kept = (await draft(writer.ctx, DraftInstruction(kind=ArtifactKind.REQUIREMENT, content=content))).drafted
    assert (kept.content, kept.diff) == (content, "")
    asked = DraftInstruction(kind=ArtifactKind.REQUIREMENT, content=content, artifact_id=subject.artifact_id)
    made = await draft(writer.ctx, asked)
    assert made.drafted.against_number == 1
    assert made.drafted.diff.endswith(" 1. 1\n+2. 2")
    assert [answer.untrusted for _, answer in made.calls] == [(f"{subject.artifact_id}@1",)]
    asked.content, asked.wish = None, "+ 2"
    assert (await draft(writer.ctx, asked)).drafted == made.drafted
    asked.wish = "make it better"
    with pytest.raises(InvalidArgument, match="no model is configured"):
        await draft(writer.ctx, asked)


async def test_a_draft_from_a_template_stands_on_what_the_change_has(writer: Desk) -> None:
    made = await draft(writer.ctx, DraftInstruction(kind=ArtifactKind.GATE_CHECKLIST))
    assert made.drafted.content is not None
    texts = [item.text for item in made.drafted.content.checklist]
    assert "A test shows criterion 1: 1" in texts
    assert "get_artifact" in [name for name, _ in made.calls]
    assert all(answer.error == "" for name, answer in made.calls if name == "get_artifact")
    with pytest.raises(InvalidArgument, match="says nothing"):
        await draft(writer.about(change_id="").ctx, DraftInstruction(kind=ArtifactKind.REQUIREMENT))


async def test_a_form_that_a_person_filled_in_is_checked_alike(writer: Desk) -> None:
    triage = Triage(in_scope=["canceling"], primitives=[Primitive.DOMAIN], size=ChangeSize.SMALL)
    with pytest.raises(InvalidArgument, match="the policy \\(version 1\\) demands"):
        await triage_of(writer.ctx, TriageInstruction(title="Cancel", triage=triage))
    triage.required_gates = ["requirement_stabilized", "acceptance", "ready_to_release", "promotion"]
    content = await triage_of(writer.ctx, TriageInstruction(title="Cancel", triage=triage))
    assert content.triage == triage
