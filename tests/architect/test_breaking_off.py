"""Turns that are broken off, refused or sent late: nothing that they did is lost, and no conversation stays shut."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from ameide.architect.agent import Limits
from ameide.architect.ports import Answer, Prompt, TextDelta
from ameide.errors import AmeideError, Conflict, LimitReached, Refused, Unreachable
from ameide_core_proto.agent.transformation.v1.architect_service_pb import (
    AnalyzeInstruction,
    DraftInstruction,
    TriageInstruction,
)
from ameide_core_proto.transformation.governance.v1.command_service_pb import CancelChangeRequest
from ameide_core_proto.transformation.governance.v1.governance_pb import Conversation, Repository
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetChangeRequest
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactKind, ChangeSize, Primitive, Triage
from ameide_core_proto.transformation.work.v1.work_pb import Usage, WorkKind
from tests.architect.house import SCOPE, House, Said, Talker, key
from tests.architect.reading import NoRepositories
from tests.architect.scripted import USED, Event, Plain, Scripted, calls, says
from tests.architect.test_crashes import kept, killed_by
from tests.architect.test_keeping import Slow

MORE = Usage(input_tokens=77, output_tokens=7, cost_micros=700, model="scripted:one")


class Counting(Slow):
    """Knows what it used when it is broken off."""

    async def ask(self, prompt: Prompt) -> AsyncGenerator[TextDelta | Answer]:
        """Waits."""
        try:
            async for event in super().ask(prompt):
                yield event
        except (asyncio.CancelledError, GeneratorExit):
            prompt.broken_off(MORE)
            raise


class OutOfReach(NoRepositories):
    """Nobody tells the newest commit."""

    def __init__(self, error: AmeideError) -> None:
        self._error = error

    async def head(self, repository: Repository) -> str:
        """No."""
        raise self._error


@pytest.fixture(scope="module")
def model() -> Scripted:
    """The model of this module."""
    return Scripted()


@pytest.fixture(scope="module")
async def talker(house: House, model: Scripted) -> AsyncGenerator[Talker]:
    """The agent with that model."""
    async with house.architect(house.agent(model=model, prompting=Plain())) as made:
        yield made


def used(line: list[Event], usage: Usage) -> list[Event]:
    """The same, at another price."""
    return [replace(event, usage=usage) if isinstance(event, Answer) else event for event in line]


def known(house: House, said: Said) -> Conversation:
    """The conversation as the Domain has it."""
    [row] = house.sql("SELECT state FROM ameide.aggregate WHERE id = %s", said.conversation_id)
    return Conversation.from_binary(bytes(row["state"]))


def answers(prompt: Prompt) -> list[str]:
    """What the model was told of its calls."""
    return [str(message.text) for message in prompt.messages if message.type == "tool"]


async def test_a_turn_that_others_followed_is_told_and_not_had_again(
    house: House, talker: Talker, model: Scripted
) -> None:
    first = talker.request(("text", "First?"))
    model.script = [says("One.")]
    said = await talker.send(first)
    model.script = [says("Two.")]
    await talker.ask("Second?", conversation_id=said.conversation_id)
    model.script = [used(says("Another answer than before."), MORE)]
    first.conversation_id = said.conversation_id
    again = await talker.send(first)
    assert (again.text, again.conversation_id) == ("One.", said.conversation_id)
    assert again.ended
    with pytest.raises(Conflict, match="asked for something else"):
        await talker.ask("Third?", conversation_id=said.conversation_id, turn_id=first.turn_id)
    # Nobody was asked, so that nothing is to be counted.
    assert model.script
    model.script = [says("Three.")]
    assert (await talker.ask("Third?", conversation_id=said.conversation_id)).text == "Three."
    usage = known(house, said).usage
    assert usage is not None
    assert usage.input_tokens == 3 * USED.input_tokens


async def test_what_is_refused_for_good_shuts_no_conversation(house: House, talker: Talker, model: Scripted) -> None:
    model.script = [says("One.")]
    said = await talker.ask("First?")
    # Its words were forgotten, so that its keys stand for what nobody remembers.
    store = talker.threads.store
    again = talker.request(("text", "First?"), conversation_id=said.conversation_id)
    model.script = [says("Once.")]
    await talker.send(again)
    async with store.hold(said.conversation_id):
        await store.forget(said.conversation_id)
    model.script = [used(says("Once."), MORE)]
    with pytest.raises(Conflict):
        await talker.send(again)
    model.script = [says("Two.")]
    assert (await talker.ask("Second?", conversation_id=said.conversation_id)).text == "Two."
    usage = known(house, said).usage
    assert usage is not None
    assert usage.input_tokens == 3 * USED.input_tokens + MORE.input_tokens


async def test_an_effect_of_a_broken_off_turn_is_told_to_the_person_and_the_model(
    house: House, talker: Talker, model: Scripted
) -> None:
    title = f"Agreed to {key()[:6]}"
    model.script = [calls(("open_change", {"title": title}))]
    said = await talker.ask("Open one", repository_id="orders")
    follow = await talker.decide(said)
    async with house.architect_process(crash_at="architect.act.after") as process:
        process.talker.threads = talker.threads
        await killed_by(process, follow)
    model.script = [says("Well then.")]
    other = await talker.ask("What is new?", conversation_id=said.conversation_id)
    assert kept(house, "change", title) == 1
    change_id = other.of("began")[0].change_id
    assert f"Opened the change {change_id}." in other.text
    assert f"Opened the change {change_id}." in answers(model.asked[-1])[-1]
    assert "Nothing was done" not in answers(model.asked[-1])[-1]


async def test_a_refusal_is_told_by_form_when_the_model_may_not_be_asked(
    house: House, talker: Talker, architect: Talker, model: Scripted
) -> None:
    model.script = [calls(("open_change", {"title": "Unwanted"}))]
    said = await talker.ask("Open one", repository_id="orders")
    follow = await talker.decide(said, agree=False)
    # The agent was started again, without its model.
    done = await architect.send(follow)
    assert "declined" in done.text


@pytest.mark.parametrize("letters", ["x", "Ü", "\U0001f680"])
async def test_a_long_question_in_any_script_is_asked_for(house: House, architect: Talker, letters: str) -> None:
    said = await architect.ask("Anything?", change_id=await house.change())
    wish = AnalyzeInstruction(question=letters * 4096, work_kind=WorkKind.TOOL_RUN, commit_sha="a" * 40)
    asked = await architect.send(architect.request(("analyze", wish), conversation_id=said.conversation_id))
    done = await architect.send(await architect.decide(asked))
    assert done.ended.waiting_for_work_request_id


async def test_a_first_turn_that_was_killed_early_keeps_what_it_is_about(house: House, architect: Talker) -> None:
    change = await house.change()
    said = await architect.ask("Anything?", change_id=change)
    store = architect.threads.store
    async with store.hold(said.conversation_id):
        await store.forget(said.conversation_id)
    async with store.hold(said.conversation_id, "requester"):
        pass
    again = await architect.ask("Anything?", conversation_id=said.conversation_id)
    assert again.of("began")[0].change_id == change


async def test_a_question_to_the_model_that_is_broken_off_counts(house: House, talker: Talker, model: Scripted) -> None:
    slow = house.agent(model=Counting(), prompting=Plain(), limits=Limits(seconds=2.0))
    async with house.architect(slow) as other:
        said = await other.ask("Take your time")
    assert "LIMIT" in said.notices
    usage = known(house, said).usage
    assert usage is not None
    assert (usage.input_tokens, usage.cost_micros) == (MORE.input_tokens, MORE.cost_micros)
    model.script = [says("Fine.")]
    await talker.ask("And now?", conversation_id=said.conversation_id)
    usage = known(house, said).usage
    assert usage is not None
    assert usage.input_tokens == MORE.input_tokens + USED.input_tokens


async def test_a_draft_for_a_change_that_was_just_opened_waits_for_the_read_model(
    house: House, architect: Talker
) -> None:
    wish = DraftInstruction(kind=ArtifactKind.REQUIREMENT, wish="An order can be canceled")
    first = await architect.send(architect.request(("draft", wish), repository_id="orders"))
    second = await architect.send(await architect.decide(first))
    assert second.of("effected")
    assert second.of("drafted"), second.text
    assert second.ended.waiting_for_consent_id


async def test_whoever_looks_after_an_effect_finds_it(house: House, talker: Talker, model: Scripted) -> None:
    model.script = [calls(("open_change", {"title": "Looked at"}))]
    said = await talker.ask("Open one", repository_id="orders")
    model.script = [calls(("get_change", {})), says("There it is.")]
    done = await talker.send(await talker.decide(said))
    assert done.text == "There it is."
    assert done.ended.not_found == []


async def test_a_refusal_after_the_consent_is_told_whatever_the_model_says(
    house: House, talker: Talker, model: Scripted
) -> None:
    change = await house.change()
    proposed = {"kind": "requirement", "title": "Cancel", "text": "So.", "acceptance_criteria": ["It is canceled."]}
    model.script = [calls(("propose_draft", proposed))]
    said = await talker.ask("Draft it", change_id=change)
    await house.clients["requester"].governance.cancel_change(
        CancelChangeRequest(scope=SCOPE, client_request_id=key(), change_id=change, reason="Not any more")
    )
    model.script = [says("All is well.")]
    done = await talker.send(await talker.decide(said))
    assert not done.of("effected")
    assert "refused:" in done.text
    assert change in done.text
    model.script = [says("Yes.")]
    assert (await talker.ask("Still there?", conversation_id=said.conversation_id)).text == "Yes."


async def test_a_run_that_was_just_started_can_be_followed(house: House, architect: Talker) -> None:
    change = await house.change()
    triage = Triage(
        in_scope=["Canceling"],
        primitives=[Primitive.DOMAIN],
        size=ChangeSize.SMALL,
        required_gates=["requirement_stabilized", "acceptance", "ready_to_release"],
    )
    form = TriageInstruction(title="Cancel", triage=triage, durable=True)
    said = await architect.send(architect.request(("triage", form), change_id=change))
    done = await architect.send(await architect.decide(said))
    [started] = done.of("effected")
    found = await house.clients["requester"].queries.get_change(GetChangeRequest(scope=SCOPE, change_id=change))
    assert [run.process_instance_id for run in found.runs] == [started.process_instance_id]


@pytest.mark.parametrize("kind", [Unreachable, LimitReached])
async def test_a_repository_that_does_not_answer_is_told_to_who_asked_for_its_analysis(
    house: House, kind: type[AmeideError]
) -> None:
    error = kind("the repository cannot be fetched: no route to host", remedy="`ameide repo check` tries it")
    parts = {"repositories": OutOfReach(error), "prompting": Plain()}
    wish = {"question": "Who calls it?", "by": "tool"}
    model = Scripted([calls(("request_analysis", wish)), says("It cannot be reached.")])
    async with house.architect(house.agent(**parts, model=model)) as other:
        said = await other.ask("Look into it", change_id=await house.change())
        assert said.text == "It cannot be reached."
        assert "refused: the repository cannot be fetched: no route to host" in answers(model.asked[-1])[-1]
        form = AnalyzeInstruction(question="Who calls it?", work_kind=WorkKind.TOOL_RUN)
        with pytest.raises(Refused, match="no route to host"):
            await other.send(other.request(("analyze", form), conversation_id=said.conversation_id))
        model.script = [says("Yes.")]
        assert (await other.ask("Still there?", conversation_id=said.conversation_id)).text == "Yes."
