"""What a command line gives back: exit codes, errors as text and JSON, answers as tables and JSON."""

from __future__ import annotations

import json

import pytest

from ameide_core_proto.transformation.work.v1.query_service_pb import GetWorkResponse, WorkAttempt
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, WorkKind, WorkRequest, WorkResult, WorkStatus

from .conftest import CHANGE, CommandLine, Script, open_gate


def test_nobody_answers(ameide: CommandLine) -> None:
    answer = ameide("gate", "list")
    assert answer.code == 3
    assert answer.out == ""
    assert "ameide up" in answer.err


def test_an_error_as_json(ameide: CommandLine) -> None:
    answer = ameide("gate", "list", "--json")
    error = json.loads(answer.err)["error"]
    assert answer.code == 3
    assert error["code"] == "unavailable"
    assert {"code", "message", "field", "remedy", "reason"} == error.keys()


@pytest.mark.parametrize(
    "arguments",
    [("gate", "list", "--nonsense"), ("gate", "list", "--kind", "nothing"), ("nonsense",), ("change", "start")],
)
def test_wrong_usage(ameide: CommandLine, arguments: tuple[str, ...]) -> None:
    assert ameide(*arguments).code == 2
    said = json.loads(ameide(*arguments, "--json").err)["error"]
    assert said["code"] == "usage"


def test_a_connection_that_nobody_accepts(ameide: CommandLine) -> None:
    ameide.state.remember_address("http://127.0.0.1:9")
    ameide.state.keep_token("owner", "t")
    answer = ameide("change", "list")
    assert answer.code == 3
    assert "ameide up" in answer.err


def test_a_principal_without_a_token_is_named(ameide: CommandLine, script: Script) -> None:
    answer = ameide("--as", "nobody", "gate", "list")
    assert answer.code == 1
    assert "nobody" in answer.err
    assert "approver, owner" in answer.err


def test_a_name_cannot_be_a_path(ameide: CommandLine, script: Script) -> None:
    (ameide.state.root / "secret").write_text("token-of-owner")
    assert ameide("--as", "../secret", "gate", "list").code == 1


def test_a_work_tells_what_it_is_for_and_who_runs_it(ameide: CommandLine, script: Script) -> None:
    work = WorkRequest(
        work_request_id="wrk-1",
        work_kind=WorkKind.TOOL_RUN,
        action_kind=ActionKind.VERIFY,
        status=WorkStatus.STARTED,
        summary="Check the release candidate.",
    )
    attempt = WorkAttempt(work_request_id="wrk-1", attempt=1, executor_principal_id="verifier", runner="verifier-pool")
    script.works = [GetWorkResponse(work=work, attempts=[attempt])]
    shown = ameide("work", "show", "wrk-1").out
    assert "Check the release candidate." in shown
    assert "verifier-pool" in shown
    assert "Check the release candidate." in ameide("work", "list").out
    work.result = WorkResult(summary="40 passed")
    listed = ameide("work", "list").out
    assert "40 passed" in listed
    assert "Check the release candidate." not in listed


def test_not_found(ameide: CommandLine, script: Script) -> None:
    answer = ameide("gate", "show", "gat-9", "--json")
    error = json.loads(answer.err)["error"]
    assert (answer.code, error["code"]) == (1, "not_found")
    assert error["remedy"]


def test_what_the_schema_refuses_is_wrong_usage(ameide: CommandLine, script: Script) -> None:
    answer = ameide("gate", "approve", "gat-1", "--hash", "short", "--json")
    error = json.loads(answer.err)["error"]
    assert (answer.code, error["code"], error["field"]) == (2, "invalid_argument", "subject_hash")
    assert script.decided == []


def test_a_read_tells_what_it_rests_on(ameide: CommandLine, script: Script) -> None:
    script.gates = [open_gate()]
    answer = json.loads(ameide("gate", "list", "--json").out)
    assert answer["readContext"]["logPosition"] == "7"
    assert answer["citations"][0]["ref"] == "m-1"
    assert answer["gates"][0]["gateId"] == "gat-1"
    # Empty fields are there as well: the shape does not depend on the values.
    assert answer["nextPageToken"] == ""


def test_pages_become_one_answer(ameide: CommandLine, script: Script) -> None:
    answer = json.loads(ameide("change", "list", "--json").out)
    assert [change["change"]["changeId"] for change in answer["changes"]] == ["chg-1", "chg-2", "chg-3"]
    assert [citation["ref"] for citation in answer["citations"]] == ["m-0", "m-1", "m-2"]
    assert ameide("change", "list", "-q").out.split() == ["chg-1", "chg-2", "chg-3"]


def test_a_table_names_the_next_step(ameide: CommandLine, script: Script) -> None:
    script.gates = [open_gate()]
    out = ameide("gate", "list").out
    assert "requirement stabilized" in out
    assert "ameide gate show gat-1" in out
    assert CHANGE in out


def test_a_global_option_behind_the_command(ameide: CommandLine) -> None:
    said = ameide("gate", "list", "--as", "approver")
    assert said.code == 2
    assert "--as stands before the command" in said.err


def test_a_group_alone_shows_its_commands(ameide: CommandLine) -> None:
    said = ameide("change")
    assert said.code == 2
    assert said.err.startswith("Usage: ameide change")
    assert "error:" not in said.err
