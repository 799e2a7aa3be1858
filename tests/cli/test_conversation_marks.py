"""What a person who decides sees of the agent's part in a change."""

from __future__ import annotations

import json

from ameide_core_proto.common.v1.metadata_pb import Actor
from ameide_core_proto.transformation.governance.v1.governance_pb import Conversation, UntrustedSource
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import (
    Artifact,
    ArtifactContent,
    ArtifactKind,
    ArtifactStatus,
    ArtifactVersion,
    Provenance,
)
from ameide_core_proto.transformation.work.v1.work_pb import Usage

from .conftest import CHANGE, CommandLine, Script, open_gate

ACTOR = Actor(principal_id="architect", on_behalf_of="rita")


def talk(number: int, *sources: str, count: int = 0) -> Conversation:
    return Conversation(
        conversation_id=f"cnv-{number}",
        change_id=CHANGE,
        title="Can an order \x1b[2Jbe canceled?",
        opened_by=ACTOR,
        turns=3,
        usage=Usage(input_tokens=90 * number, output_tokens=10, cost_micros=1_500_000),
        untrusted_sources=[UntrustedSource(ref=ref) for ref in sources],
        untrusted_count=count or len(sources),
    )


def test_a_gate_shows_which_conversation_read_what(ameide: CommandLine, script: Script) -> None:
    script.gates = [open_gate()]
    script.conversations = [talk(1, *(f"orders@abc:docs/{n}.md" for n in range(7)), count=90), talk(2)]
    shown = ameide("gate", "show", "gat-1").out
    assert "texts that anybody may have written" in shown
    assert f"cnv-1 of rita and architect: Can an order \\x1b[2Jbe canceled?, {CHANGE}" in shown
    assert "orders@abc:docs/4.md" in shown
    assert "orders@abc:docs/5.md" not in shown
    assert "and 85 more" in shown
    assert "cnv-2" not in shown
    assert "Conversations about the change used 270 tokens in, 20 out, 3.0000 of money." in shown
    told = json.loads(ameide("gate", "show", "gat-1", "--json").out)
    assert told["review"]["talked"]["inputTokens"] == "270"
    [marked] = told["markedConversations"]
    assert (marked["conversationId"], marked["untrustedCount"]) == ("cnv-1", 90)


def test_a_gate_without_a_mark_says_nothing_of_it(ameide: CommandLine, script: Script) -> None:
    script.gates = [open_gate()]
    script.conversations = [talk(1)]
    assert "anybody may have written" not in ameide("gate", "show", "gat-1").out


def test_a_requirement_gate_tells_whose_words_they_are(ameide: CommandLine, script: Script) -> None:
    script.gates = [open_gate()]
    version = ArtifactVersion(content=ArtifactContent(title="Cancel"), author=ACTOR)
    script.artifact = Artifact(artifact_id="art-1", current=version)
    assert "written" not in ameide("gate", "show", "gat-1").out
    version.provenance = Provenance(conversation_id="cnv-1", model="openai:gpt-5")
    shown = ameide("gate", "show", "gat-1").out
    assert "written by the model openai:gpt-5 in cnv-1, for rita and architect" in shown
    version.provenance = Provenance(conversation_id="cnv-1")
    assert "written from a template, by no model in cnv-1" in ameide("gate", "show", "gat-1").out


def test_a_change_shows_who_wrote_its_artifacts(ameide: CommandLine, script: Script) -> None:
    version = ArtifactVersion(
        number=2, content=ArtifactContent(title="Can\x07cel"), status=ArtifactStatus.PROPOSED, author=ACTOR
    )
    script.artifact = Artifact(artifact_id="art-1", kind=ArtifactKind.DEV_BRIEF, current=version)

    def shown() -> str:
        lines = ameide("change", "show", CHANGE).out.splitlines()
        return " ".join(next(line for line in lines if line.startswith("art-1")).split())

    assert shown() == "art-1 dev brief 2 proposed rita and architect Can\\x07cel"
    version.provenance = Provenance(conversation_id="cnv-1", model="openai:gpt-5")
    assert "rita and architect openai:gpt-5 Can" in shown()
    version.provenance = Provenance(conversation_id="cnv-1")
    assert "rita and architect a template Can" in shown()


def test_a_change_shows_what_was_talked_and_what_it_used(ameide: CommandLine, script: Script) -> None:
    script.conversations = [talk(1, "evd-1"), talk(2)]
    lines = [line.split() for line in ameide("change", "show", CHANGE).out.splitlines()]
    first = next(line for line in lines if line[:1] == ["cnv-1"])
    assert first[1:9] == ["rita", "and", "architect", "3", "90", "10", "1.5000", "1"]
    total = next(line for line in lines if line[:1] == ["total"])
    assert total == ["total", "270", "20", "3.0000"]
    assert json.loads(ameide("change", "show", CHANGE, "--json").out)["conversations"][1]["conversationId"] == "cnv-2"
