"""Triage runs in the Domain: started with a triage, which the Process proposes for who began them, and no more."""

from __future__ import annotations

import pytest

from ameide.domain.commands import changes, knowledge
from ameide.domain.decisions.default_policy import default_policy
from ameide.errors import InvalidArgument, PermissionDenied, Refused
from ameide.rpc.interceptors import Caller
from ameide_core_proto.transformation.governance.v1 import command_service_pb as governance
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, ChangeStatus, Run, RunKind, RunStatus
from ameide_core_proto.transformation.governance.v1.policy_pb import DeclaredRead
from ameide_core_proto.transformation.knowledge.v1 import command_service_pb as pb
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import (
    ArtifactContent,
    ArtifactKind,
    ChangeSize,
    Primitive,
    Provenance,
    Triage,
)
from tests.domain_work.test_analyses import analysis
from tests.domain_work.world import HEAD, OPERATOR, PROCESS, World, key, verify

CONTENT = ArtifactContent(
    title="Cancel an order",
    text="People ask for it.",
    triage=Triage(in_scope=["cancelling"], primitives=[Primitive.DOMAIN], size=ChangeSize.SMALL),
)


async def start(world: World, change: Change, **fields: object) -> Run:
    command = governance.StartRunRequest(
        client_request_id=key(), change_id=change.change_id, kind=RunKind.TRIAGE, triage=CONTENT
    )
    for name, value in fields.items():
        setattr(command, name, value)
    answer = await world.service.execute(OPERATOR, "StartRun", command, governance.StartRunResponse, changes.start_run)
    assert answer.run is not None
    return answer.run


async def close(world: World, run: Run, outcome: str = "triaged") -> None:
    await world.service.execute(
        PROCESS,
        "CloseRun",
        governance.CloseRunRequest(
            client_request_id=key(),
            process_instance_id=run.process_instance_id,
            status=RunStatus.COMPLETED,
            outcome=outcome,
        ),
        governance.CloseRunResponse,
        changes.close_run,
    )


async def propose(
    world: World, change: Change, kind: ArtifactKind = ArtifactKind.TRIAGE, by: Caller = PROCESS
) -> pb.ProposeArtifactResponse:
    content = CONTENT if kind == ArtifactKind.TRIAGE else ArtifactContent(title="Cancel", acceptance_criteria=["1"])
    command = pb.ProposeArtifactRequest(client_request_id=key(), change_id=change.change_id, kind=kind, content=content)
    return await world.service.execute(
        by, "ProposeArtifact", command, pb.ProposeArtifactResponse, knowledge.propose_artifact
    )


async def test_it_is_a_run_of_its_own_workflow_and_leaves_the_change_open(world: World) -> None:
    await world.register()
    change = await world.open_change()
    run = await start(world, change)
    assert (run.number, run.kind, run.workflow_type) == (1, RunKind.TRIAGE, "r2r.triage.v1")
    assert run.input is not None
    assert (run.input.kind, run.input.triage, run.input.requirement) == (RunKind.TRIAGE, CONTENT, None)
    with pytest.raises(Refused) as refused:
        await start(world, change)
    assert refused.value.reason == "RUN_OPEN"
    await close(world, run)
    [row] = world.sql("SELECT state FROM ameide.aggregate WHERE kind = 'change'")
    assert isinstance(row["state"], bytes)
    kept = Change.from_binary(row["state"])
    assert (kept.status, kept.open_run_id, kept.last_run_number) == (ChangeStatus.OPEN, "", 1)
    following = await world.start_run(change)
    assert (following.number, following.kind, following.workflow_type) == (2, RunKind.GOVERNANCE, "r2r.governance.v1")


async def test_what_it_does_not_take_is_named(world: World) -> None:
    await world.register()
    change = await world.open_change()
    for field, value in {"artifact_id": "art-1", "from_step": "coder", "triage": None}.items():
        with pytest.raises(InvalidArgument) as refused:
            await start(world, change, **{field: value})
        assert refused.value.field == field
    with pytest.raises(InvalidArgument) as refused:
        await start(world, change, triage=ArtifactContent(title="No triage"))
    assert refused.value.field == "content.triage"
    with pytest.raises(InvalidArgument) as refused:
        await start(world, change, kind=RunKind.GOVERNANCE)
    assert refused.value.field == "triage"
    elsewhere = Provenance(conversation_id="cnv-other", model="openai:first")
    with pytest.raises(InvalidArgument) as refused:
        await start(world, change, provenance=elsewhere)
    assert refused.value.field == "provenance.conversation_id"
    with pytest.raises(InvalidArgument) as refused:
        await start(world, change, kind=RunKind.GOVERNANCE, triage=None, provenance=Provenance())
    assert refused.value.field == "provenance"


async def test_its_input_tells_whose_words_the_triage_is(world: World) -> None:
    await world.register()
    written = Provenance(model="openai:first")
    run = await start(world, await world.open_change(), provenance=written)
    assert run.input is not None
    assert run.input.provenance == written


async def test_the_process_proposes_a_triage_for_who_began_the_run_and_nothing_else(world: World) -> None:
    await world.register()
    change = await world.open_change()
    with pytest.raises(PermissionDenied):
        await propose(world, change)
    run = await start(world, change)
    with pytest.raises(PermissionDenied):
        await propose(world, change, ArtifactKind.REQUIREMENT)
    made = (await propose(world, change)).artifact
    assert made is not None
    assert made.current is not None
    assert made.current.author is not None
    assert (made.current.author.principal_id, made.current.author.on_behalf_of) == ("process", "olga")
    await close(world, run)
    await world.start_run(change)
    with pytest.raises(PermissionDenied):
        await propose(world, change)
    assert (await propose(world, change, by=OPERATOR)).artifact is not None


async def test_it_analyzes_and_does_nothing_else(world: World) -> None:
    await world.register()
    run = await start(world, await world.open_change())
    with pytest.raises(Refused) as refused:
        await world.request(verify(run))
    assert refused.value.reason == "TRIAGE_RUN"
    asked = analysis()
    asked.process_instance_id, asked.commit_sha = run.process_instance_id, HEAD
    assert (await world.requested(asked)).process_instance_id == run.process_instance_id


async def test_a_retry_takes_from_the_run_before_the_triage(world: World) -> None:
    first = await world.open_run()
    preflight = verify(first)
    claimed = await world.run(await world.requested(preflight))
    await world.succeed(claimed)
    await close(world, first, "failed")
    change = Change(change_id=first.change_id)
    triage = await start(world, change)
    await close(world, triage)
    command = governance.StartRunRequest(client_request_id=key(), change_id=first.change_id, from_step="acceptance")
    answer = await world.service.execute(OPERATOR, "StartRun", command, governance.StartRunResponse, changes.start_run)
    assert answer.run is not None
    assert answer.run.input is not None
    assert [one.process_instance_id for one in answer.run.input.reusable] == [first.process_instance_id]


async def test_a_policy_declares_reads_that_there_are(world: World) -> None:
    policy = default_policy("orders", gitops=True)
    for names in (("DropTables",), ("ListChanges", "ListChanges")):
        policy.declared_reads = [DeclaredRead(query=name, deadline_seconds=5) for name in names]
        with pytest.raises(InvalidArgument) as refused:
            await world.register(policy=policy)
        assert refused.value.field == "policy.declared_reads"
        assert "GetRepository" in refused.value.remedy
