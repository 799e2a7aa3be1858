"""The one door, by plain HTTP as curl would: what is malformed is named with its remedy, and nothing is written."""

import json
from typing import Any

import psycopg
import pytest

from ameide.engine.engine import Engine
from tests.acceptance.installation import Installation, post

WORK = "ameide_core_proto.transformation.work.v1.WorkCommandService/RequestWork"
GOVERNANCE = "ameide_core_proto.transformation.governance.v1.GovernanceCommandService"
QUERIES = "ameide_core_proto.transformation.governance.v1.GovernanceQueryService"
COUNTED = ("work", "outbox", "idempotency", "aggregate", "log")


def rows(installation: Installation) -> dict[str, int]:
    """How many rows there are, as the superuser sees them."""
    engine = Engine(installation.state_dir, installation.state_dir, say=lambda line: None)
    with psycopg.connect(engine.postgres.address().conninfo.replace("dbname=postgres", "dbname=ameide")) as admin:
        return {
            table: row[0]
            for table in COUNTED
            if (row := admin.execute(f"SELECT count(*) FROM ameide.{table}").fetchone()) is not None  # pyright: ignore[reportArgumentType]
        }


VALID = {
    "clientRequestId": "door-1",
    "workKind": "WORK_KIND_TOOL_RUN",
    "actionKind": "ACTION_KIND_VERIFY",
    "repositoryId": "orders",
}


@pytest.mark.parametrize(
    ("body", "field", "remedy"),
    [
        ({"commitSha": "x"}, "commit_sha", "git rev-parse"),
        ({**VALID, "inputs": {"imageRef": "orders:latest"}}, "inputs.image_ref", "floating tag is refused"),
        (
            {**VALID, "inputs": {"imageRef": f"orders:v1@sha256:{'d' * 64}"}},
            "inputs.image_ref",
            "floating tag is refused",
        ),
        ({**VALID, "summary": "x" * 1024 * 1024}, "summary", "Shorten it"),
        ({**VALID, "timeoutPolicy": {"runForSeconds": -1}}, "timeout_policy.run_for_seconds", "See the field's rule"),
    ],
)
def test_a_malformed_request_names_field_and_remedy_and_writes_nothing(
    installation: Installation, body: dict[str, Any], field: str, remedy: str
) -> None:
    before = rows(installation)
    status, answer = post(installation, WORK, json.dumps(body))
    assert (status, answer["code"]) == (400, "invalid_argument")
    assert f"{field}:" in answer["message"]
    assert remedy in answer["message"]
    assert answer["details"]
    assert rows(installation) == before


@pytest.mark.parametrize("body", ["{", '{"bogus": 1}', '{"workKind": "WORK_KIND_MOON"}', "[]"])
def test_what_is_no_such_message_is_an_invalid_argument(installation: Installation, body: str) -> None:
    status, answer = post(installation, WORK, body)
    assert (status, answer["code"]) == (400, "invalid_argument")


def test_an_unknown_id_and_another_tenant_s_answer_the_same(installation: Installation, orders: str) -> None:
    gate = {"gateId": "gat-0192aaaa000070008000000000000000"}
    unknown = post(installation, f"{QUERIES}/GetGate", json.dumps(gate))
    other = post(installation, f"{QUERIES}/GetGate", json.dumps({**gate, "scope": {"tenantId": "other"}}))
    assert unknown[0] == other[0] == 404
    assert unknown[1]["code"] == other[1]["code"] == "not_found"
    command = {"clientRequestId": "door-2", "repositoryId": "elsewhere", "title": "t"}
    mine = post(installation, f"{GOVERNANCE}/OpenChange", json.dumps(command))
    theirs = post(
        installation,
        f"{GOVERNANCE}/OpenChange",
        json.dumps({**command, "repositoryId": orders, "scope": {"tenantId": "other"}}),
    )
    assert (mine[0], mine[1]["code"]) == (theirs[0], theirs[1]["code"]) == (404, "not_found")


def test_without_a_token_nobody_passes(installation: Installation) -> None:
    status, answer = post(installation, f"{QUERIES}/ListChanges", "{}", who="")
    assert (status, answer["code"]) == (401, "unauthenticated")
    assert "AMEIDE_TOKEN" in answer["message"]


def test_a_role_that_is_missing_is_named(installation: Installation) -> None:
    status, answer = post(
        installation,
        f"{GOVERNANCE}/OpenChange",
        '{"clientRequestId":"d","repositoryId":"r","title":"t"}',
        who="verifier",
    )
    assert (status, answer["code"]) == (403, "permission_denied")
    assert "requester" in answer["message"]


def test_one_key_is_one_intention(installation: Installation, orders: str) -> None:
    command = {"clientRequestId": f"door-3-{orders}", "repositoryId": orders, "title": "first"}
    first = post(installation, f"{GOVERNANCE}/OpenChange", json.dumps(command))
    again = post(installation, f"{GOVERNANCE}/OpenChange", json.dumps(command))
    assert first[0] == again[0] == 200
    assert again[1] == {**first[1], "idempotentReplay": True}
    status, answer = post(installation, f"{GOVERNANCE}/OpenChange", json.dumps({**command, "title": "second"}))
    assert (status, answer["code"]) == (409, "already_exists")
    assert "client_request_id" in answer["message"]


def test_the_command_line_tells_errors_and_exit_codes(installation: Installation) -> None:
    missing = installation.run("gate", "show", "gat-nowhere", "--json")
    assert missing.returncode == 1
    assert json.loads(missing.stderr)["error"]["code"] == "not_found"
    assert installation.run("gate", "frobnicate").returncode == 2
    away = Installation(installation.state_dir, {"AMEIDE_ADDRESS": "http://127.0.0.1:9"}).run("change", "list")
    assert away.returncode == 3
    assert "ameide up" in away.stderr
