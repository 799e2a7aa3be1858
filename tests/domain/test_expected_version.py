"""A run that is asked for with the number of a version begins with that version, or not at all."""

import pytest

from ameide.domain.commands import changes
from ameide.errors import Conflict, InvalidArgument, Refused
from ameide_core_proto.transformation.governance.v1.command_service_pb import StartRunRequest, StartRunResponse
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, Consent, ConsentStatus, Run, RunKind
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact
from tests.domain.consenting import agreed, answer, ask, send
from tests.domain.saying import RITA, names, open_change, propose, revise, submit
from tests.domain.talking import FOR_RITA
from tests.domain_work.world import World, key


async def submitted(world: World) -> tuple[Change, Artifact]:
    """A change whose requirement is submitted as its version 1."""
    await world.register()
    change = await open_change(world)
    return change, await submit(world, (await propose(world, change)).artifact_id, 1)


def starting(change: Change, artifact_id: str = "", number: int = 0, kind: RunKind = RunKind.GOVERNANCE):
    return StartRunRequest(
        client_request_id=key(),
        change_id=change.change_id,
        artifact_id=artifact_id,
        expected_number=number,
        kind=kind,
    )


async def start(world: World, command: StartRunRequest) -> Run:
    answered = await world.service.execute(RITA, "StartRun", command, StartRunResponse, changes.start_run)
    assert answered.run is not None
    return answered.run


def begins_with(run: Run) -> int:
    assert run.input is not None
    assert run.input.requirement is not None
    assert run.input.requirement.current is not None
    return run.input.requirement.current.number


async def test_another_version_than_the_expected_one_is_refused_also_when_it_is_a_draft(world: World) -> None:
    change, artifact = await submitted(world)
    await revise(world, artifact.artifact_id, 1)
    with pytest.raises(Conflict) as drafted:
        await start(world, starting(change, artifact.artifact_id, 1))
    await submit(world, artifact.artifact_id, 2)
    with pytest.raises(Conflict) as newer:
        await start(world, starting(change, artifact.artifact_id, 1))
    for refused in (drafted.value, newer.value):
        assert (refused.reason, refused.field) == ("STALE_VERSION", "expected_number")
        assert refused.remedy
    assert "RunRequested" not in names(world)
    assert begins_with(await start(world, starting(change, artifact.artifact_id, 2))) == 2


async def test_without_a_number_it_is_the_newest(world: World) -> None:
    change, artifact = await submitted(world)
    await revise(world, artifact.artifact_id, 1)
    with pytest.raises(Refused, match="is draft"):
        await start(world, starting(change))
    await submit(world, artifact.artifact_id, 2)
    assert begins_with(await start(world, starting(change))) == 2


async def test_a_number_is_of_a_requirement_that_is_named(world: World) -> None:
    change, _ = await submitted(world)
    with pytest.raises(InvalidArgument) as unnamed:
        await start(world, starting(change, number=1))
    assert unnamed.value.field == "artifact_id"
    with pytest.raises(InvalidArgument) as triage:
        await start(world, starting(change, number=1, kind=RunKind.TRIAGE))
    assert triage.value.field == "expected_number"


async def test_what_a_person_agreed_to_starts_for_no_version_that_came_after_it(world: World) -> None:
    change, artifact = await submitted(world)
    command = starting(change, artifact.artifact_id, 1)
    consent = await answer(world, await ask(world, FOR_RITA, command), RITA)
    command.consent_id = consent.consent_id
    await revise(world, artifact.artifact_id, 1)
    await submit(world, artifact.artifact_id, 2)
    with pytest.raises(Conflict) as refused:
        await send(world, FOR_RITA, command)
    assert refused.value.field == "expected_number"
    assert "RunRequested" not in names(world)
    [row] = world.sql("SELECT state FROM ameide.aggregate WHERE kind = 'consent'")
    assert isinstance(row["state"], bytes)
    assert Consent.from_binary(row["state"]).status == ConsentStatus.GIVEN


async def test_an_agent_names_the_version_that_a_person_agrees_to(world: World) -> None:
    change, artifact = await submitted(world)
    with pytest.raises(InvalidArgument) as unnamed:
        await send(world, FOR_RITA, await agreed(world, FOR_RITA, starting(change, artifact.artifact_id)))
    assert unnamed.value.field == "expected_number"
    started = await send(world, FOR_RITA, await agreed(world, FOR_RITA, starting(change, artifact.artifact_id, 1)))
    assert isinstance(started, StartRunResponse)
    assert started.run is not None
    assert begins_with(started.run) == 1
