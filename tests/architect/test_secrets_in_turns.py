"""Credentials in what a person asks for: words are masked, a form is refused, and no thread holds either."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from ameide.errors import InvalidArgument
from ameide.infra.redaction import Redactor
from ameide_core_proto.agent.transformation.v1.architect_service_pb import (
    AnalyzeInstruction,
    CollectInstruction,
    ConsentDecided,
    DraftInstruction,
    OpenChangeInstruction,
    StartInstruction,
    SubmitInstruction,
    TriageInstruction,
)
from ameide_core_proto.transformation.governance.v1.command_service_pb import OpenChangeRequest
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import (
    ArtifactContent,
    ArtifactKind,
    ChangeSize,
    Primitive,
    Risk,
    RiskLevel,
    Triage,
)
from ameide_core_proto.transformation.work.v1.work_pb import WorkKind
from tests.architect.house import House, Talker
from tests.architect.scripted import Plain, Scripted, calls, says

TOKEN = "ghp_0123456789abcdefghijABCDEFGHIJ456789"
TABLES = ("thread", "checkpoints", "checkpoint_blobs", "checkpoint_writes")


@pytest.fixture(scope="module")
async def masking(house: House) -> AsyncGenerator[Talker]:
    """The agent without a model, which masks as it does in its own process."""
    async with house.architect(house.agent(redact=Redactor().text)) as talker:
        yield talker


def holding(house: House, text: str) -> list[str]:
    """Tables of the agent in which the text stands, in whatever column."""
    found = "SELECT 1 FROM architect.{} row WHERE position(%s in row::text) + position(%s in row::text) > 0 LIMIT 1"
    return [table for table in TABLES if house.sql(found.format(table), text, text.encode().hex())]


def rows(house: House) -> list[int]:
    """How many rows the agent's tables have, and the conversations that the Domain knows."""
    counts = [f"(SELECT count(*) FROM architect.{table})" for table in TABLES]
    counts.append("(SELECT count(*) FROM ameide.idempotency)")
    [row] = house.sql(f"SELECT ARRAY[{', '.join(counts)}] AS counts")
    return row["counts"]


def draft(**content: Any) -> tuple[str, DraftInstruction]:
    """A requirement as a person wrote it."""
    whole: dict[str, Any] = {"title": "Cancel", "text": "It can.", "acceptance_criteria": ["It says so."], **content}
    return "draft", DraftInstruction(kind=ArtifactKind.REQUIREMENT, content=ArtifactContent(**whole))


def triage(title: str = "Cancel", **fields: Any) -> tuple[str, TriageInstruction]:
    """A triage form."""
    whole: dict[str, Any] = {
        "in_scope": ["Orders"],
        "primitives": [Primitive.DOMAIN],
        "size": ChangeSize.SMALL,
        **fields,
    }
    return "triage", TriageInstruction(title=title, triage=Triage(**whole))


FORMS = [
    (("open_change", OpenChangeInstruction(title=f"Use {TOKEN}")), "open_change.title"),
    (draft(title=f"Use {TOKEN}"), "draft.content.title"),
    (draft(text=f"First\n{TOKEN}\n"), "draft.content.text"),
    (draft(acceptance_criteria=["One.", f"{TOKEN} is used."]), "draft.content.acceptance_criteria[1]"),
    (triage(f"Use {TOKEN}"), "triage.title"),
    (triage(in_scope=["Orders", TOKEN]), "triage.triage.in_scope[1]"),
    (
        triage(risks=[Risk(text="It leaks", level=RiskLevel.LOW, mitigation=f"Take {TOKEN}")]),
        "triage.triage.risks[0].mitigation",
    ),
    (("submit", SubmitInstruction(artifact_id=TOKEN)), "submit.artifact_id"),
    (("start", StartInstruction(coder=TOKEN)), "start.coder"),
    (("analyze", AnalyzeInstruction(question="Why?", work_kind=WorkKind.TOOL_RUN, coder=TOKEN)), "analyze.coder"),
    (("consent_decided", ConsentDecided(consent_id=TOKEN)), "consent_decided.consent_id"),
    (("collect", CollectInstruction(work_request_id=TOKEN)), "collect.work_request_id"),
]


@pytest.mark.parametrize(("form", "field"), FORMS, ids=[field for _, field in FORMS])
async def test_a_form_that_holds_a_credential_is_refused_before_anything_is_kept(
    house: House, masking: Talker, form: tuple[str, Any], field: str
) -> None:
    before = rows(house)
    with pytest.raises(InvalidArgument, match="it holds a GitHub token") as refused:
        await masking.send(masking.request(form, repository_id="orders"))
    assert refused.value.field == field
    assert refused.value.remedy.startswith("Take it out")
    assert TOKEN not in str(refused.value)
    assert rows(house) == before
    assert not holding(house, TOKEN)


async def test_a_conversation_goes_on_after_a_form_was_refused(house: House, masking: Talker) -> None:
    said = await masking.ask("What is there?", repository_id="orders")
    before = rows(house)
    with pytest.raises(InvalidArgument, match=r"draft\.content\.text"):
        await masking.send(masking.request(draft(text=TOKEN), conversation_id=said.conversation_id))
    assert rows(house) == before
    # With a placeholder instead, it is asked about, and lies in the thread as it was typed.
    placed = await masking.send(
        masking.request(draft(text="Ask https://user:<token>@host."), conversation_id=said.conversation_id)
    )
    assert placed.ended.waiting_for_consent_id
    assert "checkpoint_blobs" in holding(house, "https://user:<token>@host.")
    assert not holding(house, TOKEN)


@pytest.mark.parametrize(
    "words",
    [
        ("text", f"Who uses {TOKEN}, and where?"),
        ("draft", DraftInstruction(kind=ArtifactKind.REQUIREMENT, wish=f"Whoever has {TOKEN} is let in at the gate.")),
        (
            "analyze",
            AnalyzeInstruction(
                question=f"Who uses {TOKEN} in here?", work_kind=WorkKind.TOOL_RUN, commit_sha="0123456789" * 4
            ),
        ),
    ],
    ids=["text", "draft.wish", "analyze.question"],
)
async def test_words_are_masked_before_they_are_kept(house: House, masking: Talker, words: tuple[str, Any]) -> None:
    said = await masking.send(masking.request(words, repository_id="orders"))
    assert said.ended is not None
    assert "checkpoint_blobs" in holding(house, "[redacted]")
    assert not holding(house, TOKEN)
    assert TOKEN not in str(said.events)


async def test_what_a_model_wants_to_have_done_is_masked_too(house: House) -> None:
    model = Scripted()
    model.script = [
        calls(("find_in_files", {"term": TOKEN}), ("open_change", {"title": f"Use {TOKEN} in orders"})),
        says("It waits for you."),
    ]
    agent = house.agent(model=model, prompting=Plain(), redact=Redactor().text)
    async with house.architect(agent) as talker:
        said = await talker.ask("Open a change, please.", repository_id="orders")
        assert said.wanted.command is not None
        command = said.wanted.command.value
        assert isinstance(command, OpenChangeRequest)
        assert command.title == "Use [redacted] in orders"
        assert not holding(house, TOKEN)
