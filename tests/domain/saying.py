"""What people and the process say about changes, through the service and below the wire."""

from __future__ import annotations

from ameide.domain.commands import changes, gates, knowledge
from ameide.rpc.interceptors import Caller
from ameide_core_proto.transformation.governance.v1 import command_service_pb as pb
from ameide_core_proto.transformation.governance.v1.governance_pb import Change, Gate, GateVerdict, Run, RunStatus
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind, Policy
from ameide_core_proto.transformation.knowledge.v1 import command_service_pb as kb
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact, ArtifactContent, ArtifactKind
from tests.domain_work import gates as opening
from tests.domain_work.world import PROCESS, World, key


def person(name: str, *roles: str) -> Caller:
    """Somebody with a token of the tenant."""
    return Caller("default", name, "PERSON", frozenset(roles))


RITA = person("rita", "requester", "approver", "operator")
ANNA, BERT = person("anna", "approver"), person("bert", "approver")


async def open_change(world: World, by: Caller = RITA) -> Change:
    """A change that somebody asks for."""
    command = pb.OpenChangeRequest(client_request_id=key(), repository_id="orders", title="Cancel an order")
    answer = await world.service.execute(by, "OpenChange", command, pb.OpenChangeResponse, changes.open_change)
    assert answer.change is not None
    return answer.change


async def adopt(world: World, policy: Policy, expected: int) -> Policy:
    """A new version of the policy of orders."""
    command = pb.AdoptPolicyRequest(
        client_request_id=key(), repository_id="orders", expected_version=expected, policy=policy
    )
    answer = await world.service.execute(RITA, "AdoptPolicy", command, pb.AdoptPolicyResponse, changes.adopt_policy)
    assert answer.policy is not None
    return answer.policy


def content(text: str) -> ArtifactContent:
    """A requirement that says this."""
    return ArtifactContent(title="Cancel an order", text=text, acceptance_criteria=["An open order can be canceled."])


async def propose(world: World, change: Change) -> Artifact:
    """The first draft of its requirement."""
    command = kb.ProposeArtifactRequest(
        client_request_id=key(), change_id=change.change_id, kind=ArtifactKind.REQUIREMENT, content=content("One")
    )
    answer = await world.service.execute(
        RITA, "ProposeArtifact", command, kb.ProposeArtifactResponse, knowledge.propose_artifact
    )
    assert answer.artifact is not None
    return answer.artifact


async def submit(world: World, artifact_id: str, number: int) -> Artifact:
    """A draft is proposed."""
    command = kb.SubmitArtifactRequest(client_request_id=key(), artifact_id=artifact_id, expected_number=number)
    answer = await world.service.execute(
        RITA, "SubmitArtifact", command, kb.SubmitArtifactResponse, knowledge.submit_artifact
    )
    assert answer.artifact is not None
    return answer.artifact


async def revise(world: World, artifact_id: str, number: int) -> Artifact:
    """A further version by somebody who saw this one."""
    command = kb.ReviseArtifactRequest(
        client_request_id=key(), artifact_id=artifact_id, expected_number=number, content=content("Another")
    )
    answer = await world.service.execute(
        RITA, "ReviseArtifact", command, kb.ReviseArtifactResponse, knowledge.revise_artifact
    )
    assert answer.artifact is not None
    return answer.artifact


async def start(world: World, change: Change) -> Run:
    """The next run of a change."""
    command = pb.StartRunRequest(client_request_id=key(), change_id=change.change_id)
    answer = await world.service.execute(RITA, "StartRun", command, pb.StartRunResponse, changes.start_run)
    assert answer.run is not None
    return answer.run


async def started(world: World) -> tuple[Change, Artifact, Run]:
    """A change with a submitted requirement, and its run."""
    change = await open_change(world)
    drafted = await propose(world, change)
    artifact = await submit(world, drafted.artifact_id, 1)
    return change, artifact, await start(world, change)


async def open_gate(world: World, run: Run, artifact: Artifact) -> Gate:
    """The gate on the newest version of the requirement."""
    assert artifact.current is not None
    return await opening.open_gate(
        world,
        run,
        GateKind.REQUIREMENT_STABILIZED,
        artifact_id=artifact.artifact_id,
        artifact_number=artifact.current.number,
        content_hash=artifact.current.content_hash,
    )


async def decide(
    world: World, gate: Gate, by: Caller, verdict: GateVerdict = GateVerdict.APPROVE, comment: str = ""
) -> Gate:
    """One voice about what it saw."""
    command = pb.DecideGateRequest(
        client_request_id=key(),
        gate_id=gate.gate_id,
        verdict=verdict,
        subject_hash=gate.subject_hash,
        comment=comment,
    )
    answer = await world.service.execute(by, "DecideGate", command, pb.DecideGateResponse, gates.decide_gate)
    assert answer.gate is not None
    return answer.gate


async def cancel(world: World, change: Change) -> Change:
    """Nobody wants it any more."""
    command = pb.CancelChangeRequest(client_request_id=key(), change_id=change.change_id, reason="not wanted")
    answer = await world.service.execute(RITA, "CancelChange", command, pb.CancelChangeResponse, changes.cancel_change)
    assert answer.change is not None
    return answer.change


async def close_run(world: World, run: Run, status: RunStatus, outcome: str) -> Run:
    """The process has come to its end."""
    command = pb.CloseRunRequest(
        client_request_id=key(), process_instance_id=run.process_instance_id, status=status, outcome=outcome
    )
    answer = await world.service.execute(PROCESS, "CloseRun", command, pb.CloseRunResponse, changes.close_run)
    assert answer.run is not None
    return answer.run


def statuses(world: World, kind: str) -> dict[str, str]:
    """The status of every aggregate of a kind, by id, as it is stored."""
    rows = world.sql("SELECT id, status FROM ameide.aggregate WHERE kind = %s", kind)
    return {str(row["id"]): str(row["status"]) for row in rows}


def names(world: World) -> list[str]:
    """Names of all facts in the order in which they were stated."""
    rows = world.sql("SELECT name FROM ameide.outbox WHERE kind = 'fact' ORDER BY id")
    return [str(row["name"]) for row in rows]
