"""`ameide chat` against a scripted agent: what is said, asked, agreed to, sent again, and shown."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from ameide.cli import chat_turns
from ameide_core_proto.agent.transformation.v1 import architect_service_pb as a
from ameide_core_proto.common.v1.reading_pb import Citation, CitationKind
from ameide_core_proto.transformation.governance.v1.command_service_pb import OpenChangeRequest, StartRunRequest
from ameide_core_proto.transformation.governance.v1.governance_pb import ConsentAction, ConsentStatus
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import (
    Artifact,
    ArtifactContent,
    ArtifactKind,
    ArtifactVersion,
    ChangeSize,
    Primitive,
    RiskLevel,
)
from ameide_core_proto.transformation.knowledge.v1.command_service_pb import (
    ProposeArtifactRequest,
    ReviseArtifactRequest,
    SubmitArtifactRequest,
)
from ameide_core_proto.transformation.work.v1.work_pb import WorkKind

from .architect_double import BEGAN, BREAK, CONVERSATION, DONE, EXPIRED, OPEN, ScriptedArchitect, ended, event, wanted
from .conftest import CommandLine

LINES = a.FileLines(
    repository_id="orders",
    commit_sha="c" * 40,
    path="app.py",
    first_line=3,
    last_line=4,
    text="def cancel():\n    ...\n",
)


def instructions(agent: ScriptedArchitect) -> list[str]:
    """What each call was."""
    return [request.instruction.field for request in agent.asked if request.instruction]


def test_an_answer_is_printed_with_what_it_rests_on(ameide: CommandLine, agent: ScriptedArchitect) -> None:
    citation = Citation(kind=CitationKind.FILE_LINES, ref=f"orders@{'c' * 40}:app.py#L3-L4")
    agent.turns = [
        [
            BEGAN,
            event("tool_used", a.ToolUsed(name="search", asked="cancel \x1b[2J", found=1)),
            event("cited", a.CitedRecord(number=1, citation=citation, label="app.py", lines=LINES)),
            event("text", "It is canceled in `cancel` [1].\n"),
            event("text", "Nothing \x1b[31mred."),
            event("notice", a.Notice(kind=a.NoticeKind.CITATION_REMOVED, text="One citation was taken out.")),
            ended(not_found=["a policy on refunds"], untrusted_count=2),
        ]
    ]
    answer = ameide("chat", "How is an order canceled?", "--repo", "orders")
    assert answer.code == 0
    assert "\x1b[31m" not in answer.out.replace("\x1b[0m", "")
    for expected in (
        "It is canceled in `cancel` [1].\nNothing \\x1b[31mred.\n",
        "! One citation was taken out.",
        f"[1] file lines orders@{'c' * 40}:app.py#L3-L4",
        "    3  def cancel():",
        "    4      ...",
        "Not found: a policy on refunds",
        "Mark: this conversation has read 2 texts that anybody may have written",
    ):
        assert expected in answer.out
    assert "· search cancel \\x1b[2J: 1 found" in answer.err
    assert "openai:gpt-5.2" in answer.err
    [request] = agent.asked
    assert (request.repository_id, request.conversation_id, request.read_only) == ("orders", "", False)
    assert (agent.made_from, agent.tokens) == (["Bearer token-of-owner"], ["Bearer made-1"])


def test_what_is_voided_is_not_rested_on(ameide: CommandLine, agent: ScriptedArchitect) -> None:
    cited = [
        event("cited", a.CitedRecord(number=1, citation=Citation(kind=CitationKind.DOMAIN_FACT, ref=ref)))
        for ref in ("the-lookup", "the-half", "the-whole")
    ]
    cited[1].event.value.number = cited[2].event.value.number = 2  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
    void = event("voided", a.Voided(from_seq=4))
    agent.turns = [
        [BEGAN, cited[0], event("text", "So [1]. "), cited[1], event("text", "Ann [2]"), void, cited[2], ended()],
    ]
    rest = ameide("chat", "Who decided?").out.partition("It rests on")[2]
    assert "[1] domain fact the-lookup" in rest
    assert "[2] domain fact the-whole" in rest
    assert "the-half" not in rest


def test_json_lines_are_the_events(ameide: CommandLine, agent: ScriptedArchitect) -> None:
    agent.turns = [[BEGAN, event("text", "Nothing waits."), ended()]]
    answer = ameide("chat", "Which gates wait?", "--json", "--read-only", "--turn-id", "turn-0001")
    lines = [json.loads(line) for line in answer.out.splitlines()]
    assert [next(name for name in line if name != "seq") for line in lines] == ["began", "text", "ended"]
    assert [line["seq"] for line in lines] == [1, 2, 3]
    assert lines[0]["began"]["conversationId"] == CONVERSATION
    assert (agent.asked[0].turn_id, agent.asked[0].read_only) == ("turn-0001", True)


def test_the_last_conversation_goes_on_and_new_begins_another(ameide: CommandLine, agent: ScriptedArchitect) -> None:
    agent.turns = [[BEGAN, ended()], [BEGAN, ended()], [BEGAN, ended()], [BEGAN, ended()]]
    for options in ((), (), ("--new",), ("--repo", "orders")):
        assert ameide("chat", "And now?", *options).code == 0
    assert [request.conversation_id for request in agent.asked] == ["", CONVERSATION, "", ""]


def test_a_consent_shows_the_command_and_goes_to_the_domain(ameide: CommandLine, agent: ScriptedArchitect) -> None:
    agent.turns = [[BEGAN, wanted(OPEN, "open_change"), ended(waiting_for_consent_id="cns-1")], [BEGAN, DONE, ended()]]
    answer = ameide("chat", "/open Cancel orders", "--repo", "orders", "--yes")
    assert answer.code == 0, answer.err
    for expected in ("may it open a change?", "title: Cancel \\x1b[31morders", "repository id: orders", "hash: "):
        assert expected in answer.out
    assert "Done: open change: chg-1" in answer.out
    [(token, decided)] = agent.decided
    assert (token, decided.agree, decided.consent_id) == ("Bearer token-of-owner", True, "cns-1")
    assert decided.subject_hash == agent.consents["cns-1"].subject_hash
    assert instructions(agent) == ["open_change", "consent_decided"]
    first, second = agent.asked
    assert second.turn_id == f"{first.turn_id}..cns-1"
    assert second.conversation_id == CONVERSATION


def test_a_command_that_is_not_the_one_agreed_to_is_never_asked_about(
    ameide: CommandLine, agent: ScriptedArchitect
) -> None:
    other = OpenChangeRequest(repository_id="payments", title="Something else")
    for bad in (
        wanted(OPEN, "open_change", subject_hash="0" * 64),
        wanted(other, "open_change", action=ConsentAction.START_RUN),
        event("consent_wanted", a.ConsentWanted(consent=wanted(OPEN, "open_change").event.value.consent)),  # pyright: ignore
    ):
        agent.turns = [[BEGAN, bad, ended(waiting_for_consent_id="cns-1")]]
        answer = ameide("chat", "/open Cancel orders", "--yes", "--new")
        assert answer.code == 1
        assert "something else than it shows" in answer.err
    recorded = wanted(OPEN, "open_change").event
    assert recorded is not None
    agent.consents["cns-1"] = recorded.value.consent  # pyright: ignore
    agent.turns = [[BEGAN, wanted(other, "open_change"), ended(waiting_for_consent_id="cns-1")]]
    answer = ameide("chat", "/open Something else", "--yes", "--new")
    assert (answer.code, "shows another command" in answer.err) == (1, True)
    assert agent.decided == []


def test_without_an_answer_it_waits_and_the_same_turn_goes_on(ameide: CommandLine, agent: ScriptedArchitect) -> None:
    waiting = [BEGAN, wanted(OPEN, "open_change"), ended(waiting_for_consent_id="cns-1")]
    agent.turns = [waiting, waiting, [BEGAN, event("text", "Then not."), ended()]]
    left = ameide("chat", "/open Cancel orders")
    assert left.code == 1
    assert f"ameide chat --conversation {CONVERSATION}" in left.err
    assert "title: Cancel" in left.out
    again = ameide("chat", "", "--conversation", CONVERSATION, "--consent", "decline")
    assert again.code == 0, again.err
    assert agent.asked[1].turn_id == agent.asked[0].turn_id
    assert [decided.agree for _, decided in agent.decided] == [False]
    assert "Then not." in again.out


def test_a_turn_whose_agent_dies_is_sent_again(ameide: CommandLine, agent: ScriptedArchitect) -> None:
    agent.turns = [[BREAK], [BEGAN, event("text", "Half of"), BREAK], [BEGAN, event("text", "All of it."), ended()]]
    answer = ameide("chat", "Tell me")
    assert answer.code == 0
    assert "All of it." in answer.out
    # Once for the half that was said; the moment before it was no news.
    assert answer.err.count("the same turn is sent again") == 1
    assert len({request.turn_id for request in agent.asked}) == 1


def test_a_turn_in_whose_course_the_agents_token_ends_is_sent_again_with_a_new_one(
    ameide: CommandLine, agent: ScriptedArchitect
) -> None:
    agent.turns = [[BEGAN, event("text", "Half of"), EXPIRED], [BEGAN, event("text", "All of it."), ended()]]
    answer = ameide("chat", "Tell me")
    assert answer.code == 0
    assert "All of it." in answer.out
    assert "sent again with a new one" in answer.err
    assert agent.tokens == ["Bearer made-1", "Bearer made-2"]
    assert agent.made_from == ["Bearer token-of-owner"] * 2
    assert len({request.turn_id for request in agent.asked}) == 1


def test_with_the_persons_own_token_revoked_no_turn_is_sent_again(
    ameide: CommandLine, agent: ScriptedArchitect
) -> None:
    agent.turns, agent.valid_for = [[BEGAN, EXPIRED]], 1
    answer = ameide("chat", "Tell me")
    assert answer.code == 1
    assert answer.err.endswith("error: the token is not valid\n  Set AMEIDE_TOKEN.\n")
    agent.turns, agent.valid_for = [[BEGAN, EXPIRED], [BEGAN, EXPIRED]], 1000
    assert ameide("chat", "Tell me", "--new").code == 1
    assert len(agent.asked) == 3


def test_a_turn_that_was_not_ended_is_kept_for_the_next_time(
    ameide: CommandLine, agent: ScriptedArchitect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_turns, "_PATIENCE_SECONDS", 0.0)
    agent.turns = [[BEGAN, BREAK], [BREAK]]
    assert ameide("chat", "Tell me").code == 3
    [file] = (ameide.state.root / "chats").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    agent.turns = [[BEGAN, event("text", "This is it."), ended()], [BEGAN, event("text", "Next."), ended()]]
    answer = ameide("chat", "And?")
    assert answer.out == "This is it.\nNext.\n"
    texts = [request.instruction.value for request in agent.asked if request.instruction]
    assert texts == ["Tell me", "Tell me", "Tell me", "And?"]


def test_a_turn_that_fails_at_the_same_place_each_time_is_given_up(
    ameide: CommandLine, agent: ScriptedArchitect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_turns, "_PATIENCE_SECONDS", 0.5)
    step = [BEGAN, event("text", "Looking. ")]
    # What is new is progress, and what is said again is none.
    agent.turns = [[BEGAN, BREAK], *([[*step, BREAK]] * 40)]
    answer = ameide("chat", "Look into it", "--json")
    assert (answer.code, "the process was killed" in answer.err) == (3, True)
    # Each pause is longer than the one before: 0.01, then 0.01 again after progress, 0.02, 0.04 and so on.
    assert 4 <= len(agent.asked) <= 12


def test_a_turn_that_ran_out_of_time_goes_on(ameide: CommandLine, agent: ScriptedArchitect) -> None:
    agent.turns = [[BEGAN, ended(unfinished=True)], [BEGAN, event("text", "This is it."), ended()]]
    first = ameide("chat", "Tell me")
    assert first.code == 1
    assert "goes on with it" in first.err
    again = ameide("chat", "")
    assert (again.code, again.out) == (0, "This is it.\n")
    assert len({request.turn_id for request in agent.asked}) == 1


def test_a_refusal_is_the_answer(ameide: CommandLine, agent: ScriptedArchitect) -> None:
    for line, said in (
        ("/fly", "there is no command /fly"),
        ("/open", "/open needs TITLE"),
        ("/triage", "nobody can fill in a triage here"),
        ("/follow", "about no change yet"),
        ("x" * 16_385, "more than 16384 characters"),
    ):
        answer = ameide("chat", line)
        assert (answer.code, said in answer.err) == (2, True)
    assert agent.asked == []
    assert "/submit" in ameide("chat", "/help").out


def test_nobody_knows_the_agent(ameide: CommandLine) -> None:
    ameide.state.keep_token("owner", "token-of-owner")
    answer = ameide("chat", "Hello")
    assert (answer.code, "AMEIDE_ARCHITECT_ADDRESS" in answer.err) == (3, True)


def test_commands_become_instructions(ameide: CommandLine, agent: ScriptedArchitect, tmp_path: Path) -> None:
    form, brief = tmp_path / "triage.json", tmp_path / "requirement.md"
    form.write_text(
        json.dumps(
            {
                "title": "Cancel orders",
                "in_scope": ["the endpoint"],
                "risks": [{"text": "a race", "level": "high"}],
                "primitives": ["domain"],
                "required_gates": ["acceptance"],
                "size": "small",
            }
        )
    )
    brief.write_text("# Cancel orders\n\nBecause.\n\n## Acceptance criteria\n\n- It answers 409.\n")
    agent.artifact = Artifact(artifact_id="art-7", kind=ArtifactKind.REQUIREMENT)

    def said(line: str) -> Any:
        agent.turns = [[BEGAN, ended()]]
        answer = ameide("chat", line, "--change", "chg-1")
        assert answer.code == 0, answer.err
        instruction = agent.asked[-1].instruction
        assert instruction is not None
        return instruction.value

    triage = said(f"/triage-run @{form}")
    assert (triage.title, triage.durable, triage.triage.size) == ("Cancel orders", True, ChangeSize.SMALL)
    assert triage.triage.primitives == [Primitive.DOMAIN]
    assert triage.triage.risks[0].level == RiskLevel.HIGH
    drafted = said(f"/draft requirement @{brief}")
    assert drafted.content.acceptance_criteria == ["It answers 409."]
    assert (said("/draft dev-brief in short").kind, agent.asked[-1].change_id) == (ArtifactKind.DEV_BRIEF, "")
    revised = said("/revise requirement say why")
    assert (revised.artifact_id, revised.wish) == ("art-7", "say why")
    assert said("/submit").artifact_id == ""
    analyzed = said(f"/analyze @{'a' * 40} Where is it?")
    assert (analyzed.commit_sha, analyzed.question) == ("a" * 40, "Where is it?")
    assert said("/structure").work_kind == WorkKind.TOOL_RUN
    assert said("/start patches").coder == "patches"
    assert said("/collect wrk-1").work_request_id == "wrk-1"


def test_the_result_of_a_work_is_waited_for(ameide: CommandLine, agent: ScriptedArchitect) -> None:
    agent.turns = [[BEGAN, ended(waiting_for_work_request_id="wrk-1")], [BEGAN, event("text", "Found."), ended()]]
    answer = ameide("chat", "/structure", "--change", "chg-1")
    assert (answer.code, "Found." in answer.out) == (0, True)
    assert instructions(agent) == ["analyze", "collect"]
    agent.turns = [[BEGAN, ended(waiting_for_work_request_id="wrk-1")]]
    assert ameide("chat", "/structure", "--change", "chg-1", "--no-wait").code == 0


def test_each_kind_of_command_is_shown_whole(ameide: CommandLine, agent: ScriptedArchitect) -> None:
    former = ArtifactContent(title="Cancel orders", text="Because.", acceptance_criteria=["It answers 409."])
    later = ArtifactContent(title="Cancel orders", text="Because.\nReally.", acceptance_criteria=["It answers 404."])
    version = ArtifactVersion(number=1, content=former, content_hash="d" * 64)
    agent.artifact = Artifact(artifact_id="art-1", kind=ArtifactKind.REQUIREMENT, current=version)
    commands: list[tuple[str, Any, tuple[str, ...]]] = [
        (
            "propose_artifact",
            ProposeArtifactRequest(change_id="chg-1", kind=ArtifactKind.REQUIREMENT, content=later),
            ("kind: requirement", "Really.", "1. It answers 404."),
        ),
        (
            "revise_artifact",
            ReviseArtifactRequest(artifact_id="art-1", expected_number=1, content=later),
            ("expected number: 1", "Against version 1", "-1. It answers 409.", "+1. It answers 404."),
        ),
        (
            "submit_artifact",
            SubmitArtifactRequest(artifact_id="art-1", expected_number=1),
            ("art-1@1", "1. It answers 409.", f"content hash: {'d' * 64}"),
        ),
        (
            "start_run",
            StartRunRequest(change_id="chg-1", coder="patches", artifact_id="art-1", expected_number=1),
            ("coder: patches", "expected number: 1", "1. It answers 409.", f"content hash: {'d' * 64}"),
        ),
    ]
    for number, (field, command, expected) in enumerate(commands):
        consent_id = f"cns-{number}"
        agent.turns = [
            [BEGAN, wanted(command, field, consent_id), ended(waiting_for_consent_id=consent_id)],
            [BEGAN, ended()],
        ]
        answer = ameide("chat", "Do it", "--new", "--yes")
        assert answer.code == 0, answer.err
        assert all(text in answer.out for text in expected), answer.out


def test_a_start_for_a_version_that_has_a_newer_one_says_so(ameide: CommandLine, agent: ScriptedArchitect) -> None:
    newer = ArtifactVersion(number=2, content=ArtifactContent(title="Something else"), content_hash="e" * 64)
    agent.artifact = Artifact(artifact_id="art-1", kind=ArtifactKind.REQUIREMENT, current=newer)
    command = StartRunRequest(change_id="chg-1", artifact_id="art-1", expected_number=1)
    agent.turns = [[BEGAN, wanted(command, "start_run"), ended(waiting_for_consent_id="cns-1")], [BEGAN, ended()]]
    shown = ameide("chat", "/start", "--new", "--yes").out
    assert "There is a newer version, 2; this one will be refused." in shown
    assert "Something else" not in shown


def test_a_consent_that_was_decided_before_is_not_asked_for_again(
    ameide: CommandLine, agent: ScriptedArchitect
) -> None:
    asked = wanted(OPEN, "open_change", status=ConsentStatus.GIVEN)
    agent.turns = [[BEGAN, asked, ended(waiting_for_consent_id="cns-1")], [BEGAN, DONE, ended()]]
    assert ameide("chat", "/open Cancel orders").code == 0
    assert agent.decided == []


def test_conversations_are_listed_shown_and_forgotten(ameide: CommandLine, agent: ScriptedArchitect) -> None:
    assert CONVERSATION in ameide("conversation", "list").out
    assert ameide("conversation", "list", "-q").out == f"{CONVERSATION}\n"
    agent.transcript.entries.append(a.TranscriptEntry(role="person", text="Which\x1b[2J gates?"))
    consent = wanted(OPEN, "open_change").event
    assert consent is not None
    agent.consents["cns-1"] = consent.value.consent  # pyright: ignore
    shown = ameide("conversation", "show", CONVERSATION).out
    assert "Which\\x1b[2J gates?" in shown
    assert "It waits for your answer" in shown
    assert "open change" in ameide("conversation", "consents", CONVERSATION).out
    refused = ameide("conversation", "forget", CONVERSATION)
    assert (refused.code, agent.forgotten) == (2, [])
    assert ameide("conversation", "forget", CONVERSATION, "--yes").code == 0
    assert agent.forgotten == [CONVERSATION]


def test_what_is_agreed_to_beforehand_is_for_what_is_said_now(ameide: CommandLine, agent: ScriptedArchitect) -> None:
    waiting = [BEGAN, wanted(OPEN, "open_change"), ended(waiting_for_consent_id="cns-1")]
    agent.turns = [waiting, waiting, [BEGAN, event("text", "Something else."), ended()]]
    assert ameide("chat", "/open Cancel orders").code == 1
    answer = ameide("chat", "And what is new?", "--yes")
    assert (answer.code, "Something else." in answer.out) == (0, True)
    assert agent.decided == []
