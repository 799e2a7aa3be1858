"""Effects by form: each fixed beforehand, agreed to by the person at the Domain, and had once."""

import pytest

from ameide.contracts.subjects import command_hash
from ameide.errors import InvalidArgument, NotFound
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
from ameide_core_proto.transformation.governance.v1.command_service_pb import StartRunRequest
from ameide_core_proto.transformation.governance.v1.governance_pb import ConsentAction, Run, RunKind
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import (
    ArtifactContent,
    ArtifactKind,
    ChangeSize,
    Primitive,
    Triage,
)
from ameide_core_proto.transformation.knowledge.v1.command_service_pb import (
    ProposeArtifactRequest,
    ReviseArtifactRequest,
    SubmitArtifactRequest,
)
from ameide_core_proto.transformation.work.v1.work_pb import WorkKind
from tests.architect.house import SCOPE, House, Said, Talker, key

REQUIREMENT = ArtifactContent(
    title="Cancel an order", text="A customer can cancel an order.", acceptance_criteria=["A canceled order says so."]
)


async def agreed(architect: Talker, said: Said, *, agree: bool = True) -> Said:
    """The turn after the person's word."""
    return await architect.send(await architect.decide(said, agree=agree))


async def conversation_about(house: House, architect: Talker) -> tuple[str, str]:
    """A new conversation about a new change: both ids."""
    change = await house.change()
    said = await architect.ask("What is there?", change_id=change)
    return said.conversation_id, change


def start_of(said: Said) -> StartRunRequest:
    """The run that the person is asked to agree to."""
    assert said.wanted.command is not None
    command = said.wanted.command.value
    assert isinstance(command, StartRunRequest)
    return command


def count(house: House, command: str) -> int:
    """How many commands of that name the Domain has stored an answer for."""
    [row] = house.sql("SELECT count(*) AS n FROM ameide.idempotency WHERE command = %s", command)
    return int(row["n"])


async def test_a_requirement_from_nothing_to_submitted(house: House, architect: Talker) -> None:
    draft = DraftInstruction(kind=ArtifactKind.REQUIREMENT, content=REQUIREMENT)
    first = await architect.send(architect.request(("draft", draft), repository_id="orders"))
    assert first.wanted.consent is not None
    assert first.wanted.consent.action == ConsentAction.OPEN_CHANGE
    assert first.ended.waiting_for_consent_id == first.wanted.consent.consent_id
    # A change came first; then the draft itself is asked for, in the same errand.
    second = await agreed(architect, first)
    assert second.of("effected")[0].change_id.startswith("chg-")
    assert second.of("drafted")[0].content == REQUIREMENT
    assert second.wanted.consent is not None
    assert second.wanted.consent.action == ConsentAction.PROPOSE_ARTIFACT
    third = await agreed(architect, second)
    artifact, _, number = third.of("effected")[0].artifact_ref.partition("@")
    assert number == "1"
    assert not third.ended.waiting_for_consent_id
    assert f"Proposed {artifact}@1" in third.text
    # Revised at once, though the read model may be behind, with a diff.
    better = ArtifactContent(
        title=REQUIREMENT.title,
        text=REQUIREMENT.text,
        acceptance_criteria=[*REQUIREMENT.acceptance_criteria, "A shipped order is not."],
    )
    revise = DraftInstruction(kind=ArtifactKind.REQUIREMENT, content=better, artifact_id=artifact)
    fourth = await architect.send(architect.request(("draft", revise), conversation_id=first.conversation_id))
    assert "+2. A shipped order is not." in fourth.of("drafted")[0].diff
    fifth = await agreed(architect, fourth)
    assert fifth.of("effected")[0].artifact_ref == f"{artifact}@2"
    submit = architect.request(("submit", SubmitInstruction()), conversation_id=first.conversation_id)
    last = await agreed(architect, await architect.send(submit))
    assert last.of("effected")[0].artifact_ref == f"{artifact}@2"
    start = architect.request(("start", StartInstruction()), conversation_id=first.conversation_id)
    shown = await architect.send(start)
    assert (start_of(shown).artifact_id, start_of(shown).expected_number) == (artifact, 2)
    run = await agreed(architect, shown)
    assert run.of("effected")[0].process_instance_id.startswith("r2r/default/chg-")


async def test_a_run_is_for_the_version_that_was_shown_or_for_none(house: House, architect: Talker) -> None:
    knowledge = house.clients["requester"].knowledge

    async def submitted(artifact_id: str, number: int) -> None:
        await knowledge.submit_artifact(
            SubmitArtifactRequest(scope=SCOPE, client_request_id=key(), artifact_id=artifact_id, expected_number=number)
        )

    conversation_id, change = await conversation_about(house, architect)
    proposed = await knowledge.propose_artifact(
        ProposeArtifactRequest(
            scope=SCOPE, client_request_id=key(), change_id=change, kind=ArtifactKind.REQUIREMENT, content=REQUIREMENT
        )
    )
    assert proposed.artifact is not None
    artifact_id = proposed.artifact.artifact_id
    await submitted(artifact_id, 1)
    start = ("start", StartInstruction(artifact_id=artifact_id))
    await house.shows(artifact_id, 1)
    shown = await architect.send(architect.request(start, conversation_id=conversation_id))
    assert shown.wanted.consent is not None
    assert f"for {artifact_id} version 1" in shown.wanted.consent.summary
    # Somebody is quicker than the person's word.
    other = ArtifactContent(title="Delete every order", text="All.", acceptance_criteria=["Nothing is left."])
    await knowledge.revise_artifact(
        ReviseArtifactRequest(
            scope=SCOPE, client_request_id=key(), artifact_id=artifact_id, expected_number=1, content=other
        )
    )
    await submitted(artifact_id, 2)
    refused = await agreed(architect, shown)
    assert not refused.of("effected")
    assert "expected_number" in refused.text
    assert "the newest version is 2" in refused.text
    await house.shows(artifact_id, 2)
    again = await architect.send(architect.request(start, conversation_id=conversation_id))
    assert start_of(again).expected_number == 2
    assert (await agreed(architect, again)).of("effected")


async def test_the_consent_binds_the_command_that_is_shown(house: House, architect: Talker) -> None:
    request = architect.request(("open_change", OpenChangeInstruction(title="Shown")), repository_id="orders")
    said = await architect.send(request)
    assert said.wanted.command is not None
    assert said.wanted.consent is not None
    assert said.wanted.command.field == "open_change"
    assert command_hash(said.wanted.command.value) == said.wanted.consent.subject_hash
    assert (await architect.send(request)).events == said.events
    before = count(house, "OpenChange")
    follow = await architect.decide(said)
    done, again = await architect.send(follow), await architect.send(follow)
    assert done.of("effected")
    assert again.events == done.events
    assert count(house, "OpenChange") == before + 1


async def test_what_is_declined_is_not_done(house: House, architect: Talker) -> None:
    before = count(house, "OpenChange")
    request = architect.request(("open_change", OpenChangeInstruction(title="Declined")), repository_id="orders")
    said = await agreed(architect, await architect.send(request), agree=False)
    assert not said.of("effected")
    assert "declined" in said.text
    assert count(house, "OpenChange") == before


async def test_a_consent_that_is_not_decided_is_waited_for(house: House, architect: Talker) -> None:
    request = architect.request(("open_change", OpenChangeInstruction(title="Slow")), repository_id="orders")
    said = await architect.send(request)
    consent = said.wanted.consent
    assert consent is not None
    decided = ("consent_decided", ConsentDecided(consent_id=consent.consent_id))
    early = await architect.send(architect.request(decided, conversation_id=said.conversation_id))
    assert "WAITING" in early.notices
    assert early.ended.waiting_for_consent_id == consent.consent_id
    done = await agreed(architect, said)
    assert done.of("effected")


async def test_another_wish_sets_the_command_aside(house: House, architect: Talker) -> None:
    before = count(house, "OpenChange")
    request = architect.request(("open_change", OpenChangeInstruction(title="Aside")), repository_id="orders")
    said = await architect.send(request)
    other = await architect.ask("Something else?", conversation_id=said.conversation_id)
    assert "WAITING" in other.notices
    assert not other.ended.waiting_for_consent_id
    late = await agreed(architect, said)
    assert "NOT_FOUND" in late.notices
    assert not late.of("effected")
    assert count(house, "OpenChange") == before


async def test_a_triage_is_kept_as_an_artifact(house: House, architect: Talker) -> None:
    conversation_id, _ = await conversation_about(house, architect)
    triage = Triage(
        in_scope=["Canceling"],
        primitives=[Primitive.DOMAIN],
        size=ChangeSize.SMALL,
        required_gates=["requirement_stabilized", "acceptance", "ready_to_release"],
    )
    form = TriageInstruction(title="Cancel", triage=triage)
    request = architect.request(("triage", form), conversation_id=conversation_id)
    done = await agreed(architect, await architect.send(request))
    assert done.of("effected")[0].artifact_ref.endswith("@1")
    # The same in a run of its own, which reads and proposes by itself.
    durable = TriageInstruction(title="Cancel", triage=triage, durable=True)
    asked = await architect.send(architect.request(("triage", durable), conversation_id=conversation_id))
    assert asked.wanted.command is not None
    assert asked.wanted.command.field == "start_run"
    started = await agreed(architect, asked)
    [run] = house.sql(
        "SELECT state FROM ameide.aggregate WHERE kind = 'run' AND id = %s",
        started.of("effected")[0].process_instance_id,
    )
    kept = Run.from_binary(bytes(run["state"]))
    assert kept.input is not None
    assert kept.kind == kept.input.kind == RunKind.TRIAGE
    assert kept.workflow_type == "r2r.triage.v1"
    assert kept.input.triage is not None
    assert kept.input.triage.triage == triage


async def test_an_analysis_is_work_and_its_result_is_waited_for(house: House, architect: Talker) -> None:
    conversation_id, _ = await conversation_about(house, architect)
    wish = AnalyzeInstruction(question="What is in it?", work_kind=WorkKind.TOOL_RUN, commit_sha="a" * 40)
    asked = await architect.send(architect.request(("analyze", wish), conversation_id=conversation_id))
    done = await agreed(architect, asked)
    work = done.ended.waiting_for_work_request_id
    assert work.startswith("wrk-")
    collect = ("collect", CollectInstruction(work_request_id=work))
    said = await architect.send(architect.request(collect, conversation_id=conversation_id))
    assert "WAITING" in said.notices
    assert said.ended.waiting_for_work_request_id == work


async def test_what_cannot_be_done_names_the_field_and_the_remedy(house: House, architect: Talker) -> None:
    with pytest.raises(InvalidArgument, match="repository_id"):
        await architect.send(architect.request(("open_change", OpenChangeInstruction(title="Where?"))))
    conversation_id, _ = await conversation_about(house, architect)
    with pytest.raises(NotFound, match="no requirement"):
        await architect.send(architect.request(("submit", SubmitInstruction()), conversation_id=conversation_id))
    # The conversation goes on after it.
    said = await architect.ask("Still there?", conversation_id=conversation_id)
    assert said.ended
