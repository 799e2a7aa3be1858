"""Credentials in commands: people are told the field, what executors say is masked, the Process repeats."""

import pytest
from protobuf import Oneof

from ameide.errors import InvalidArgument
from ameide.rpc.secrets_at_the_door import keep_out, need_none
from ameide_core_proto.agent.transformation.v1.architect_service_pb import ConverseRequest, OpenChangeInstruction
from ameide_core_proto.transformation.governance.v1.command_service_pb import DecideGateRequest
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactContent
from ameide_core_proto.transformation.knowledge.v1.command_service_pb import ProposeArtifactRequest
from ameide_core_proto.transformation.work.v1.command_service_pb import RecordWorkOutcomeRequest
from ameide_core_proto.transformation.work.v1.work_pb import (
    CheckResult,
    EvidenceBundle,
    Finding,
    Outputs,
    WorkResult,
)

TOKEN = "ghp_0123456789abcdefghijABCDEFGHIJ012345"
KNOWLEDGE = "ameide_core_proto.transformation.knowledge.v1.KnowledgeCommandService"
WORK = "ameide_core_proto.transformation.work.v1.WorkCommandService"
REQUESTER, EXECUTOR, PROCESS = frozenset({"requester"}), frozenset({"executor"}), frozenset({"process"})


def outcome(text: str) -> RecordWorkOutcomeRequest:
    """An outcome that says this wherever an executor can."""
    finding = Finding(id=text, what_failed=text, fix_steps=["first", text], location=text)
    return RecordWorkOutcomeRequest(
        work_request_id="wrk-1",
        claim_id="c1",
        result=WorkResult(
            summary=text, outputs=Outputs(branch="agent/coder/1", changed_paths=[text]), findings=[finding]
        ),
        evidence=EvidenceBundle(argv=[text], check_results=[CheckResult(id=text, message=text)]),
    )


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (ArtifactContent(title=f"Use {TOKEN}"), "content.title"),
        (ArtifactContent(title="Use it", text=f"It is\n{TOKEN}\n"), "content.text"),
        (
            ArtifactContent(title="Use it", acceptance_criteria=["one", f"two {TOKEN}"]),
            "content.acceptance_criteria[1]",
        ),
    ],
)
def test_a_person_is_told_which_field_holds_a_credential(content: ArtifactContent, field: str) -> None:
    command = ProposeArtifactRequest(change_id="chg-1", content=content)
    with pytest.raises(InvalidArgument) as refused:
        keep_out(KNOWLEDGE, REQUESTER, command)
    error = refused.value
    assert (error.field, error.message) == (field, "it holds a GitHub token, and would be kept for good")
    assert error.remedy.startswith("Take it out")
    assert TOKEN not in str(error)


@pytest.mark.parametrize(
    ("instruction", "field"),
    [
        (Oneof("text", f"Use {TOKEN}"), "text"),
        (Oneof("open_change", OpenChangeInstruction(title=f"Use {TOKEN}")), "open_change.title"),
    ],
)
def test_what_one_of_several_fields_holds_is_seen(instruction: Oneof[str, object], field: str) -> None:
    request = ConverseRequest(instruction=instruction)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidArgument) as refused:
        need_none(request)
    assert refused.value.field == field
    keep_out(WORK, EXECUTOR, request)
    assert request.instruction is not None
    masked = "Use [redacted]"
    assert request.instruction.value in (masked, OpenChangeInstruction(title=masked))


def test_what_a_person_may_write_passes_unchanged() -> None:
    text = f"Digest {'0123456789abcdef' * 4}, https://user:<password>@host, token: whatever-it-may-be-1"
    command = DecideGateRequest(gate_id="gat-1", comment=text, subject_hash="ab" * 32)
    keep_out("ameide_core_proto.transformation.governance.v1.GovernanceCommandService", REQUESTER, command)
    assert command.comment == text


def test_what_an_executor_says_is_masked_in_every_field() -> None:
    command = outcome(f"saw {TOKEN}")
    keep_out(WORK, EXECUTOR, command)
    assert command.to_binary() == outcome("saw [redacted]").to_binary()


def test_the_process_and_queries_are_left_alone() -> None:
    command = outcome(TOKEN)
    keep_out(WORK, PROCESS, command)
    keep_out("ameide_core_proto.transformation.work.v1.WorkQueryService", REQUESTER, command)
    assert command.to_binary() == outcome(TOKEN).to_binary()
