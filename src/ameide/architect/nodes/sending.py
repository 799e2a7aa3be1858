"""Sending a command that was agreed to, and what it came to."""

from __future__ import annotations

from ameide import faults
from ameide.architect.effects import Command
from ameide.architect.state import Proposal, Talk
from ameide.architect.turn import Course
from ameide_core_proto.agent.transformation.v1.architect_service_pb import Effected
from ameide_core_proto.transformation.governance.v1.command_service_pb import OpenChangeRequest, StartRunRequest
from ameide_core_proto.transformation.governance.v1.governance_pb import ConsentAction
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact, ArtifactKind
from ameide_core_proto.transformation.knowledge.v1.command_service_pb import (
    ProposeArtifactRequest,
    ReviseArtifactRequest,
    SubmitArtifactRequest,
)


async def send(course: Course, talk: Talk, proposal: Proposal, command: Command) -> tuple[Effected, Talk, str]:
    """Send it under its key; what it came to, the conversation after it, and the work that goes on, if one does."""
    command.scope = course.scope
    command.client_request_id, command.consent_id = proposal["key"], proposal["consent_id"]
    effected, clients = Effected(action=ConsentAction(proposal["action"]), change_id=talk["change_id"]), course.clients
    waiting = ""
    faults.reach("architect.act.before")
    if isinstance(command, OpenChangeRequest):
        opened = await clients.governance.open_change(command)
        assert opened.change is not None
        effected.change_id, effected.idempotent_replay = opened.change.change_id, opened.idempotent_replay
        talk = {**talk, "change_id": opened.change.change_id}
    elif isinstance(command, StartRunRequest):
        started = await clients.governance.start_run(command)
        assert started.run is not None
        effected.process_instance_id, effected.idempotent_replay = (
            started.run.process_instance_id,
            started.idempotent_replay,
        )
    elif isinstance(command, ProposeArtifactRequest | ReviseArtifactRequest | SubmitArtifactRequest):
        artifact, effected.idempotent_replay = await _knowledge(course, command)
        number = artifact.current.number if artifact.current else 0
        effected.artifact_ref = f"{artifact.artifact_id}@{number}"
        talk = _with_artifact(talk, artifact)
    else:
        asked = await clients.work.request_work(command)
        assert asked.work is not None
        waiting = effected.work_request_id = asked.work.work_request_id
        effected.idempotent_replay = asked.idempotent_replay
    faults.reach("architect.act.after")
    return effected, talk, waiting


def outcome_of(effected: Effected) -> str:
    """What a command came to, in a line."""
    match effected.action:
        case ConsentAction.OPEN_CHANGE:
            return f"Opened the change {effected.change_id}."
        case ConsentAction.PROPOSE_ARTIFACT:
            return f"Proposed {effected.artifact_ref} in {effected.change_id}."
        case ConsentAction.REVISE_ARTIFACT:
            return f"Revised: {effected.artifact_ref}."
        case ConsentAction.SUBMIT_ARTIFACT:
            return f"Submitted {effected.artifact_ref}; a gate may approve it."
        case ConsentAction.REQUEST_WORK:
            return f"Requested {effected.work_request_id}; its result can be collected when it has ended."
        case _:
            return f"Started {effected.process_instance_id}."


async def _knowledge(
    course: Course, command: ProposeArtifactRequest | ReviseArtifactRequest | SubmitArtifactRequest
) -> tuple[Artifact, bool]:
    knowledge = course.clients.knowledge
    if isinstance(command, ProposeArtifactRequest):
        answer = await knowledge.propose_artifact(command)
    elif isinstance(command, ReviseArtifactRequest):
        answer = await knowledge.revise_artifact(command)
    else:
        answer = await knowledge.submit_artifact(command)
    assert answer.artifact is not None
    return answer.artifact, answer.idempotent_replay


def _with_artifact(talk: Talk, artifact: Artifact) -> Talk:
    versions = {**talk["versions"], artifact.artifact_id: artifact.version}
    requirement = artifact.artifact_id if artifact.kind == ArtifactKind.REQUIREMENT else talk["requirement"]
    return {**talk, "versions": versions, "requirement": requirement}
