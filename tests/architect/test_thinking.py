"""The model's part of a turn: what it says, calls and proposes, and what stops it."""

from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest
from langchain_core.messages import ToolMessage

from ameide.architect.agent import Limits
from ameide.architect.ports import Answer, ModelUnavailable, Prompt, Restarted, TextDelta
from ameide.architect.triage import GATES
from ameide_core_proto.agent.transformation.v1.architect_service_pb import DraftInstruction, OpenChangeInstruction
from ameide_core_proto.transformation.governance.v1.command_service_pb import AllotTenantBudgetRequest, StartRunRequest
from ameide_core_proto.transformation.governance.v1.governance_pb import BudgetPeriod
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetConversationRequest
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactKind, Provenance
from ameide_core_proto.transformation.knowledge.v1.command_service_pb import ProposeArtifactRequest
from ameide_core_proto.transformation.work.v1.work_pb import Budget
from tests.architect.house import SCOPE, House, Talker
from tests.architect.scripted import USED, Plain, Scripted, calls, calls_badly, says


@pytest.fixture(scope="module")
def model() -> Scripted:
    """The model of this module."""
    return Scripted()


@pytest.fixture(scope="module")
async def talker(house: House, model: Scripted) -> AsyncGenerator[Talker]:
    """The agent with that model: at most four calls a turn, and little room for messages."""
    limits = Limits(calls=4, characters=4_000, turns=2)
    async with house.architect(house.agent(model=model, prompting=Plain(), limits=limits)) as made:
        yield made


def told(prompt: Prompt) -> str:
    """The last answer of a tool."""
    last = [message for message in prompt.messages if isinstance(message, ToolMessage)][-1]
    return str(last.text)


async def test_it_reads_and_cites_what_it_read(house: House, talker: Talker, model: Scripted) -> None:
    change = await house.change("Refund an order")

    def answer(prompt: Prompt) -> list[TextDelta | Answer]:
        key = told(prompt).split("[[")[1].split("]]")[0]
        return says(f"It is about refunds [[{key}]], and about this [[domain_fact:invented]].")  # pyright: ignore[reportReturnType]

    model.script = [calls(("get_change", {}), ("get_repository", {})), answer]
    said = await talker.ask("What is it about?", change_id=change)
    assert [tool.name for tool in said.of("tool_used")] == ["get_change", "get_repository"]
    assert said.text == "It is about refunds [1], and about this."
    assert "CITATION_REMOVED" in said.notices
    assert said.of("cited")[0].number == 1
    usage = said.ended.usage
    assert usage is not None
    assert (usage.input_tokens, usage.cost_micros) == (2 * USED.input_tokens, 2 * USED.cost_micros)
    found = await house.clients["owner"].queries.get_conversation(
        GetConversationRequest(scope=SCOPE, conversation_id=said.conversation_id, min_position=said.ended.read_position)
    )
    assert found.conversation is not None


async def test_what_it_proposes_waits_for_the_person_and_it_hears_what_came_of_it(
    house: House, talker: Talker, model: Scripted
) -> None:
    change = await house.change()
    proposed = {
        "kind": "requirement",
        "title": "Cancel",
        "text": "Cancel an order.",
        "acceptance_criteria": ["A canceled order says so."],
    }
    model.script = [calls(("propose_draft", proposed), ("propose_draft", proposed)), lambda prompt: says(told(prompt))]
    wish = DraftInstruction(kind=ArtifactKind.REQUIREMENT, wish="orders can be canceled")
    said = await talker.send(talker.request(("draft", wish), change_id=change))
    assert said.of("drafted")[0].content.title == "Cancel"
    assert said.wanted.command is not None
    command = said.wanted.command.value
    assert isinstance(command, ProposeArtifactRequest)
    assert command.provenance is not None
    assert command.provenance.model == "scripted:one"
    done = await talker.send(await talker.decide(said))
    assert done.of("effected")[0].artifact_ref in done.text
    # Both of its calls were answered; the second was not done.
    answers = [str(one.text) for one in model.asked[-1].messages if isinstance(one, ToolMessage)]
    assert len(answers) == 2
    assert any("one command at a time" in answer for answer in answers)


async def test_what_it_may_not_or_calls_badly_is_told_to_it(house: House, talker: Talker, model: Scripted) -> None:
    model.script = [
        calls_badly("list_changes", "{"),
        calls(("open_change", {"title": "No"}), ("drop_table", {})),
        says("I could not."),
    ]
    said = await talker.ask("Open a change", read_only=True, repository_id="orders")
    assert said.text == "I could not."
    errors = [tool.error for tool in said.of("tool_used")]
    assert len(errors) == 3
    assert all(errors)
    assert not said.of("consent_wanted")


async def test_it_is_asked_only_so_often(talker: Talker, model: Scripted) -> None:
    model.script = [calls(("list_changes", {})) for _ in range(4)]
    said = await talker.ask("Go on for ever")
    assert "LIMIT" in said.notices
    model.script = [says("Fine.")]
    # Each of its calls has an answer, so that a provider takes the conversation.
    assert (await talker.ask("And now?", conversation_id=said.conversation_id)).text == "Fine."
    messages = model.asked[-1].messages
    ids = [call["id"] for message in messages for call in getattr(message, "tool_calls", ())]
    assert len(ids) == len([message for message in messages if isinstance(message, ToolMessage)])


async def test_its_calls_are_counted_over_the_consents_of_a_message(
    house: House, talker: Talker, model: Scripted
) -> None:
    criterion = {"kind": "requirement", "text": "Cancel an order.", "acceptance_criteria": ["It says so."]}
    model.script = [calls(("propose_draft", {**criterion, "title": f"Cancel {number}"})) for number in range(9)]
    said = await talker.ask("Draft without an end", change_id=await house.change())
    given = 0
    while said.ended.waiting_for_consent_id:
        given += 1
        assert given < 9
        said = await talker.send(await talker.decide(said))
    assert "LIMIT" in said.notices
    # What its fourth answer asked for, the last that it may give, is not done.
    assert given == 3
    model.script = [says("Fine.")]
    assert (await talker.ask("And now?", conversation_id=said.conversation_id)).text == "Fine."


async def test_what_was_said_before_a_failure_is_void(talker: Talker, model: Scripted) -> None:
    model.script = [[TextDelta("Half an "), Restarted("the line broke", "scripted:two"), *says("A whole answer.")]]
    said = await talker.ask("Well?")
    assert "MODEL_FAILED" in said.notices
    assert said.text.endswith("A whole answer.")
    model.script = [[TextDelta("Half"), ModelUnavailable("nobody answers", usage=USED)]]
    failed = await talker.ask("Still there?", conversation_id=said.conversation_id)
    assert "MODEL_FAILED" in failed.notices
    assert failed.ended.usage is not None
    assert failed.ended.usage.input_tokens == USED.input_tokens


async def test_it_knows_what_was_done_by_a_form(house: House, talker: Talker, model: Scripted) -> None:
    form = talker.request(("open_change", OpenChangeInstruction(title="By form")), repository_id="orders")
    said = await talker.send(form)
    done = await talker.send(await talker.decide(said))
    model.script = [says("That one.")]
    await talker.ask("What did we do?", conversation_id=said.conversation_id)
    told = [str(message.text) for message in model.asked[-1].messages]
    assert "/open-change By form" in told
    assert any(done.of("effected")[0].change_id in text for text in told)


async def test_a_budget_that_is_used_up_ends_the_questions(house: House, talker: Talker, model: Scripted) -> None:
    owner = house.clients["owner"].governance

    async def allot(tokens: int, version: int) -> None:
        await owner.allot_tenant_budget(
            AllotTenantBudgetRequest(
                scope=SCOPE,
                client_request_id=f"allot/{version}",
                expected_version=version,
                budget=Budget(max_tokens=tokens),
                period=BudgetPeriod.IN_ALL,
            )
        )

    model.script = [says("Yes.")]
    said = await talker.ask("Is there a budget?")
    await allot(1, 0)
    model.asked.clear()
    refused = await talker.ask("And now?", conversation_id=said.conversation_id)
    assert "BUDGET" in refused.notices
    assert not model.asked
    # Raised, the conversation goes on.
    await allot(0, 1)
    model.script = [says("Again.")]
    assert (await talker.ask("And now?", conversation_id=said.conversation_id)).text == "Again."


async def test_a_long_conversation_is_summarised(house: House, talker: Talker, model: Scripted) -> None:
    model.script = [says("x" * 1500)]
    said = await talker.ask("First?")
    for _ in range(2):
        model.script = [says("y" * 1500), says("They spoke of x and y.")]
        await talker.ask("More?", conversation_id=said.conversation_id)
    model.script = [says("Short.")]
    await talker.ask("And?", conversation_id=said.conversation_id)
    assert "They spoke of x and y." in str(model.asked[-1].messages[0].text)
    assert sum(len(str(message.text)) for message in model.asked[-1].messages) < 5_000


async def test_secrets_are_kept_in_no_checkpoint(house: House, model: Scripted) -> None:
    secret = "hunter-2-hunter-2"

    def redact(text: str) -> str:
        return text.replace(secret, "[redacted]")

    async with house.architect(house.agent(model=model, prompting=Plain(), redact=redact)) as talker:
        model.script = [says(f"Your password is {secret}.")]
        said = await talker.ask(f"My password is {secret}.")
        assert "[redacted]" in said.text
        assert secret not in said.text
        rows = house.sql(
            "SELECT channel, encode(blob, 'escape') AS blob FROM architect.checkpoint_blobs WHERE thread_id = %s",
            f"default/{said.conversation_id}",
        )
        assert {"talk", "turn"} <= {row["channel"] for row in rows}
        assert not [row["channel"] for row in rows if secret in row["blob"]]


@pytest.mark.parametrize("durable", [False, True])
async def test_the_fallback_that_wrote_a_version_is_named(
    house: House, talker: Talker, model: Scripted, *, durable: bool
) -> None:
    form = {"in_scope": ["orders"], "primitives": ["domain"], "size": "small", "required_gates": [*GATES.values()][:3]}
    first = calls(("propose_triage", {**form, "title": "Cancel", "durable": durable}))
    last = first.pop()
    assert isinstance(last, Answer)
    again = Restarted("It broke off", "scripted:second")
    model.script = [[*first, again, replace(last, model="scripted:second")]]
    said = await talker.ask("Triage it.", change_id=await house.change())
    assert said.wanted.command is not None
    command = said.wanted.command.value
    assert isinstance(command, StartRunRequest if durable else ProposeArtifactRequest)
    assert command.provenance == Provenance(conversation_id=said.conversation_id, model="scripted:second")
