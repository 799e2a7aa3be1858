"""What an agent wrote: its origin stays with the version, and its conversation with the change that it writes to."""

import pytest

from ameide.contracts.subjects import content_hash
from ameide.errors import InvalidArgument, NotFound, PermissionDenied, Refused
from ameide_core_proto.common.v1.metadata_pb import Actor
from ameide_core_proto.transformation.governance.v1 import command_service_pb as governance
from ameide_core_proto.transformation.governance.v1.facts_pb import ConversationAttached
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, Conversation
from ameide_core_proto.transformation.knowledge.v1 import command_service_pb as kb
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact, ArtifactKind, ArtifactStatus, Provenance
from ameide_core_proto.transformation.work.v1 import command_service_pb as wb
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, WorkInputs, WorkKind
from tests.domain.consenting import agreed, send
from tests.domain.saying import RITA, content, names, open_change, revise
from tests.domain.talking import FOR_RITA, acting_for, change_from, opened, progress, proposed
from tests.domain_work.world import HEAD, World, key

REQUIREMENT = ArtifactKind.REQUIREMENT


async def test_a_change_that_comes_from_a_conversation_is_what_it_is_about(world: World):
    await world.register()
    conversation = await opened(world)
    await progress(world, conversation, read=("orders@abc:README.md",))
    change = await change_from(world, conversation)
    assert change.requester == Actor(principal_id="architect", on_behalf_of="rita")
    [fact] = [fact for fact in world.governance_facts() if isinstance(fact, ConversationAttached)]
    assert fact.conversation is not None
    assert (fact.conversation.change_id, fact.conversation.untrusted_count) == (change.change_id, 1)


async def test_the_person_may_open_the_change_of_their_own_conversation_and_nobody_elses(world: World):
    await world.register()
    conversation = await opened(world)
    with pytest.raises(PermissionDenied) as refused:
        await change_from(world, conversation, acting_for("anna"))
    assert refused.value.reason == "NOT_YOUR_CONVERSATION"
    assert "ChangeOpened" not in names(world)
    change = await change_from(world, conversation, RITA)
    with pytest.raises(Refused) as again:
        await change_from(world, conversation, RITA)
    assert again.value.reason == "CONVERSATION_ATTACHED"
    assert names(world).count("ChangeOpened") == 1
    assert change.requester == Actor(principal_id="rita")


async def test_a_version_says_which_conversation_and_model_it_comes_from_and_its_hash_does_not(world: World):
    await world.register()
    change, conversation = await open_change(world), await opened(world)
    provenance = Provenance(conversation_id=conversation.conversation_id, model="openai:gpt-5")
    drafted = await proposed(world, change, REQUIREMENT, content("One"), provenance)
    assert drafted.current is not None
    assert drafted.current.provenance == provenance
    assert drafted.current.author == Actor(principal_id="architect", on_behalf_of="rita")
    assert drafted.current.content_hash == content_hash(content("One"))
    # It was about nothing before; its mark cannot miss the gates of what it writes to.
    assert "ConversationAttached" in names(world)


async def test_an_agent_that_writes_for_a_person_says_where_it_comes_from(world: World):
    await world.register()
    change = await open_change(world)
    for missing in (None, Provenance(model="openai:gpt-5")):
        with pytest.raises(InvalidArgument) as refused:
            await proposed(world, change, REQUIREMENT, content("One"), missing)
        assert refused.value.field == "provenance.conversation_id"


async def test_a_conversation_about_another_change_writes_to_its_own_only(world: World):
    await world.register()
    change, other = await open_change(world), await open_change(world)
    conversation = await opened(world, other)
    provenance = Provenance(conversation_id=conversation.conversation_id)
    with pytest.raises(Refused) as refused:
        await proposed(world, change, REQUIREMENT, content("One"), provenance)
    assert refused.value.reason == "CONVERSATION_ATTACHED"
    with pytest.raises(Refused) as told:
        await proposed(world, change, REQUIREMENT, content("One"), provenance, RITA)
    assert told.value.reason == "CONVERSATION_ELSEWHERE"
    with pytest.raises(NotFound):
        await proposed(world, change, REQUIREMENT, content("One"), Provenance(conversation_id="cnv-none"), RITA)
    assert (await proposed(world, other, REQUIREMENT, content("One"), provenance)).version == 1


async def test_a_persons_revision_of_it_is_the_persons(world: World):
    await world.register()
    change, conversation = await open_change(world), await opened(world)
    provenance = Provenance(conversation_id=conversation.conversation_id)
    drafted = await proposed(world, change, REQUIREMENT, content("One"), provenance)
    revised = await revise(world, drafted.artifact_id, 1)
    assert revised.current is not None
    assert (revised.current.provenance, revised.current.author) == (None, Actor(principal_id="rita"))
    kept = world.sql("SELECT state FROM ameide.aggregate WHERE kind = 'artifact_version'")[0]["state"]
    assert isinstance(kept, bytes)
    former = Artifact.from_binary(kept).current
    assert former is not None
    assert (former.provenance, former.status) == (provenance, ArtifactStatus.SUPERSEDED)


async def test_a_revision_by_the_agent_says_its_origin_too(world: World):
    await world.register()
    change, conversation = await open_change(world), await opened(world)
    drafted = await proposed(world, change, REQUIREMENT, content("One"), by=RITA)
    provenance = Provenance(conversation_id=conversation.conversation_id, model="openai:gpt-5")
    command = kb.ReviseArtifactRequest(
        client_request_id=key(), artifact_id=drafted.artifact_id, expected_number=1, content=content("Two")
    )

    async def revised() -> Artifact | None:
        answer = await send(world, FOR_RITA, await agreed(world, FOR_RITA, command))
        assert isinstance(answer, kb.ReviseArtifactResponse)
        return answer.artifact

    with pytest.raises(InvalidArgument):
        await revised()
    command.provenance = provenance
    made = await revised()
    assert made is not None
    assert made.current is not None
    assert (made.current.number, made.current.provenance) == (2, provenance)


# The change that a conversation has its effects in


def about(world: World, conversation: Conversation) -> str:
    """The change that a conversation is about by now."""
    found = world.sql("SELECT parent_id FROM ameide.aggregate WHERE id = %s", conversation.conversation_id)
    return str(found[0]["parent_id"])


def analysis(change: Change) -> wb.RequestWorkRequest:
    return wb.RequestWorkRequest(
        client_request_id=key(),
        work_kind=WorkKind.TOOL_RUN,
        action_kind=ActionKind.ANALYZE,
        repository_id="orders",
        change_id=change.change_id,
        commit_sha=HEAD,
        inputs=WorkInputs(question="Where are orders canceled?"),
    )


async def test_whatever_a_person_agrees_to_in_a_conversation_makes_it_about_that_change(world: World):
    await world.register()
    change, other = await open_change(world), await open_change(world)
    drafted = await proposed(world, change, REQUIREMENT, content("One"), by=RITA)
    submit = kb.SubmitArtifactRequest(artifact_id=drafted.artifact_id, expected_number=1)
    start = governance.StartRunRequest(change_id=change.change_id, artifact_id=drafted.artifact_id, expected_number=1)
    for command in (analysis(change), submit, start):
        elsewhere, conversation = await opened(world, other), await opened(world)
        command.client_request_id = key()
        with pytest.raises(Refused) as refused:
            await send(world, FOR_RITA, await agreed(world, FOR_RITA, command, elsewhere.conversation_id))
        assert refused.value.reason == "CONVERSATION_ATTACHED"
        await send(world, FOR_RITA, await agreed(world, FOR_RITA, command, conversation.conversation_id))
        assert about(world, conversation) == change.change_id
    assert names(world).count("ConversationAttached") == names(world).count("ConsentUsed") == 3


async def test_words_of_another_conversation_than_the_one_that_was_agreed_in_are_refused(world: World):
    await world.register()
    change, clean, marked = await open_change(world), await opened(world), await opened(world)
    await progress(world, marked, read=("orders@abc:README.md",))
    command = kb.ProposeArtifactRequest(
        client_request_id=key(),
        change_id=change.change_id,
        kind=REQUIREMENT,
        content=content("One"),
        provenance=Provenance(conversation_id=clean.conversation_id),
    )
    with pytest.raises(Refused) as refused:
        await send(world, FOR_RITA, await agreed(world, FOR_RITA, command, marked.conversation_id))
    assert refused.value.reason == "CONVERSATION_MISMATCH"
    assert "ArtifactProposed" not in names(world)
    assert "ConversationAttached" not in names(world)
