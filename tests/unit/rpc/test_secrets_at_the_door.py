"""Credentials in commands: people are told the field, what executors say is masked, the Process repeats."""

import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError

from ameide.errors import InvalidArgument
from ameide.rpc.mapping import from_connect
from ameide.rpc.secrets_at_the_door import keep_out
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
    with pytest.raises(ConnectError) as refused:
        keep_out(KNOWLEDGE, REQUESTER, command)
    error = from_connect(refused.value)
    assert refused.value.code is Code.INVALID_ARGUMENT
    assert isinstance(error, InvalidArgument)
    assert (error.field, error.message) == (field, "it holds a GitHub token, and would be kept for good")
    assert error.remedy.startswith("Take it out")
    assert TOKEN not in str(error)


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
