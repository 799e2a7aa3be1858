"""The control plane by MCP, asked by the official SDK's client over both transports."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp_types import CallToolResult

from ameide.architect.mcp.guests import Guests
from ameide.architect.tools.registry import TOOLS
from ameide.architect.tools.tool import Grant
from ameide.errors import PermissionDenied
from ameide_core_proto.transformation.governance.v1.access_service_pb import IssueTokenRequest, RevokeTokenRequest
from tests.architect.house import SCOPE, House
from tests.architect.mcp_codex import OVER_HTTP, OVER_STDIO, Story, called, codex
from tests.architect.mcp_world import PAGE, McpWorld, opened, text_of
from tests.faults.served import until
from tests.infra.responses_endpoint import serving

READ_TOOLS = {name for name, tool in TOOLS.items() if tool.grant is Grant.READ}
PROPOSING = {"open_change", "propose_artifact", "revise_artifact", "submit_artifact"}
GATES = ["requirement_stabilized", "acceptance", "ready_to_release"]
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
OPEN = {**CALL, "params": {"name": "open_change", "arguments": {"repository_id": "orders", "title": "t"}}}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


@pytest.fixture(scope="module")
async def world(house: House) -> AsyncGenerator[McpWorld]:
    """The agent's process in the module's house."""
    async with opened(house) as made:
        yield made


@asynccontextmanager
async def by_stdio(world: McpWorld, bearer: str, **options: Any) -> AsyncGenerator[Client]:
    """The same, over the program `ameide mcp`."""
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "ameide", "mcp"],
        env={**environment(world.url.removesuffix("/mcp"), bearer), "AMEIDE_ADDRESS": world.house.address},
    )
    async with Client(command, **options) as client:
        yield client


def environment(address: str, bearer: str) -> dict[str, str]:
    """Of `ameide mcp`."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "AMEIDE_ARCHITECT_ADDRESS": address, "AMEIDE_TOKEN": bearer}


@asynccontextmanager
async def connected(world: McpWorld, transport: str, bearer: str, **options: Any) -> AsyncGenerator[Client]:
    """A client by one of the transports."""
    made = by_stdio(world, bearer, **options) if transport == "stdio" else world.client(bearer, **options)
    async with made as client:
        yield client


async def known(client: Client, change_id: str) -> CallToolResult:
    """What is read of a change, once it can be."""
    answers: list[CallToolResult] = []

    async def there() -> bool:
        answers.append(await client.call_tool("get_change", {"change_id": change_id}))
        return bool(answers[-1].structured_content["records"])

    await until(there, f"{change_id} to be read")
    return answers[-1]


async def names(client: Client) -> set[str]:
    return {tool.name for tool in (await client.list_tools()).tools}


TRANSPORTS = pytest.mark.parametrize("transport", ["http", "stdio"])


@pytest.mark.parametrize(("transport", "mode"), [("http", "auto"), ("http", "legacy"), ("stdio", "auto")])
async def test_it_lists_asks_and_proposes(world: McpWorld, transport: str, mode: str) -> None:
    bearer = await world.token("codex")
    async with connected(world, transport, bearer, mode=mode) as client:
        assert "untrusted" in (client.instructions or "")
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == READ_TOOLS | PROPOSING | {"ask"}
        for name, tool in tools.items():
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint is (name not in PROPOSING)
            assert tool.output_schema
        change = await client.call_tool("open_change", {"repository_id": "orders", "title": "Cancel orders"})
        assert not change.is_error, text_of(change)
        change_id = change.structured_content["change_id"]
        content = {"title": "Cancel orders", "text": "…", "acceptance_criteria": ["An open order can be cancelled."]}
        given = {"change_id": change_id, "kind": "requirement", "client_request_id": f"{transport}-{mode}", **content}
        written = (await client.call_tool("propose_artifact", given)).structured_content
        assert (written["number"], written["status"], written["idempotent_replay"]) == (1, "draft", False)
        again = (await client.call_tool("propose_artifact", given)).structured_content
        assert again == {**written, "idempotent_replay": True}
        seen = {"artifact_id": written["artifact_id"], "expected_number": 1}
        revised = await client.call_tool("revise_artifact", {**seen, **content, "text": "More."})
        assert revised.structured_content["number"] == 2
        submitted = await client.call_tool("submit_artifact", {**seen, "expected_number": 2})
        assert submitted.structured_content["status"] == "proposed"
        stale = await client.call_tool("submit_artifact", seen)
        assert stale.is_error

        triage = {"in_scope": ["orders"], "primitives": ["domain"], "size": "small"}
        kept = {"change_id": change_id, "kind": "triage", "title": "What it comes to", "triage": triage}
        lax = await client.call_tool("propose_artifact", kept)
        assert "required_gates: the policy (version 1) demands" in text_of(lax)
        beyond = {**kept, "triage": {**triage, "required_gates": [*GATES, "promotion"]}}
        assert "promotion is named" in text_of(await client.call_tool("propose_artifact", beyond))
        kept["triage"] = {**triage, "required_gates": GATES}
        made = await client.call_tool("propose_artifact", kept)
        assert not made.is_error, text_of(made)
        next_one = {"artifact_id": made.structured_content["artifact_id"], "expected_number": 1, "title": "Less"}
        assert "required_gates" in text_of(await client.call_tool("revise_artifact", {**next_one, "triage": triage}))
        unfinished = await client.call_tool("propose_artifact", {**kept, "triage": {"in_scope": ["orders"]}})
        assert "size" in text_of(unfinished)

        read = await known(client, change_id)
        record = read.structured_content["records"][0]
        assert record["key"].startswith("domain_fact:")
        assert record["log_position"] > 0
        assert f"[[{record['key']}]]" in text_of(read)
        assert "requested by codex" in record["text"]
        version = await client.call_tool("get_artifact", {"artifact_id": written["artifact_id"]})
        told_of = [one for one in version.structured_content["records"] if one["key"].startswith("artifact_version:")]
        assert all(one["untrusted"] for one in told_of)
        assert "<untrusted" in text_of(version)
        missing = await client.call_tool("get_change", {"change_id": "chg-none"})
        assert not missing.structured_content["records"]
        assert missing.structured_content["not_found"]
        wrong = await client.call_tool("list_changes", {"statuses": ["nonsense"]})
        assert wrong.is_error
        assert "statuses" in text_of(wrong)

        told: list[str | None] = []

        async def heard(progress: float, total: float | None, message: str | None) -> None:
            del progress, total
            told.append(message)

        question = {"question": f"What is {change_id} about?", "change_id": change_id}
        asked = await client.call_tool("ask", question, progress_callback=heard)
        assert not asked.is_error, text_of(asked)
        answer = asked.structured_content
        assert (answer["model"], answer["read_position"] > 0) == ("", True)
        assert any("model" in notice for notice in answer["notices"])
        assert any("[1]" in line for line in (answer["answer"], text_of(asked)))
        assert answer["citations"][0]["key"].startswith(("domain_fact:", "artifact_version:"))
        assert told
        on = await client.call_tool("ask", {"question": "And now?", "conversation_id": answer["conversation_id"]})
        assert on.structured_content["conversation_id"] == answer["conversation_id"]


@TRANSPORTS
async def test_without_the_scope_it_is_refused(world: McpWorld, transport: str) -> None:
    async with connected(world, transport, await world.token("codex", scopes=("read",))) as client:
        assert await names(client) == READ_TOOLS | {"ask"}
        assert not (await client.call_tool("list_changes", {})).is_error
        before = world.aggregates("change")
        try:
            refused = text_of(await client.call_tool("open_change", {"repository_id": "orders", "title": "t"}))
        except MCPError as error:
            refused = error.error.message
        assert "scope `propose`" in refused
        assert world.aggregates("change") == before
    async with connected(world, transport, await world.token("codex", scopes=("propose",))) as client:
        assert await names(client) == PROPOSING


async def test_roles_admit_tools_as_well(world: McpWorld) -> None:
    async with world.client(await world.token("reader", "viewer")) as client:
        assert await names(client) == READ_TOOLS | {"ask"}
        refused = await client.call_tool("open_change", {"repository_id": "orders", "title": "t"})
        assert refused.is_error
        assert "none of the roles" in text_of(refused)
    async with world.client(await world.token("builder", "executor")) as client:
        assert await names(client) == set()


async def test_who_shows_no_valid_token_is_told_what_to_show(world: McpWorld) -> None:
    nothing = await world.post(LIST)
    assert (nothing.status_code, nothing.headers["www-authenticate"]) == (401, 'Bearer realm="ameide"')
    wrong = await world.post(LIST, "ameide_default_no_token")
    assert wrong.status_code == 401
    assert wrong.headers["www-authenticate"] == 'Bearer realm="ameide", error="invalid_token"'
    assert "AMEIDE_TOKEN" in wrong.json()["error"]["message"]


async def test_guests_are_of_the_agents_tenants(world: McpWorld) -> None:
    bearer = await world.token("neighbour")
    assert (await Guests(world.house.address, {"default"}).authenticate(bearer)).principal_id == "neighbour"
    with pytest.raises(PermissionDenied, match="no token for this tenant"):
        await Guests(world.house.address, {"acme"}).authenticate(bearer)


async def test_a_missing_scope_is_told_as_the_standard_says(world: McpWorld) -> None:
    refused = await world.post(OPEN, await world.token("codex", scopes=("read",)))
    assert refused.status_code == 403
    assert refused.headers["www-authenticate"].startswith('Bearer realm="ameide", error="insufficient_scope"')


async def test_a_revoked_token_does_nothing_from_then_on(world: McpWorld) -> None:
    bearer, before = await world.token("leaver"), world.aggregates("change")
    assert (await world.post(LIST, bearer)).status_code == 200
    revoke = RevokeTokenRequest(scope=SCOPE, token_id=bearer.split("_")[2])
    await world.house.clients["owner"].access.revoke_token(revoke)
    refused = await world.post(OPEN, bearer)
    assert "the token is not valid" in refused.text
    assert world.aggregates("change") == before


@pytest.mark.parametrize(
    "origin", ["https://evil.example.com", "null", "http://127.0.0.1:1", f"{PAGE}.evil.example.com"]
)
async def test_web_pages_may_not_call(world: McpWorld, origin: str) -> None:
    refused = await world.post(LIST, await world.token("codex"), origin=origin)
    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers


async def test_a_page_that_the_operator_named_may(world: McpWorld) -> None:
    answer = await world.post(LIST, await world.token("codex"), origin=PAGE)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, PAGE)


async def test_a_page_asks_before_it_calls(world: McpWorld) -> None:
    asked = await world.send("OPTIONS", None, origin=PAGE)
    assert (asked.status_code, asked.headers["access-control-allow-methods"]) == (204, "POST")
    assert "authorization" in asked.headers["access-control-allow-headers"]


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS"])
async def test_there_is_no_session_to_listen_to_or_to_end(world: McpWorld, method: str) -> None:
    refused = await world.send(method, None, await world.token("codex"))
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


def run(house: House, *arguments: str) -> str:
    """What `ameide` prints for the owner."""
    done = subprocess.run(
        [sys.executable, "-m", "ameide", *arguments],
        env={**environment("", house.tokens["owner"]), "AMEIDE_ADDRESS": house.address},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


async def test_a_token_of_the_command_line_has_its_scopes(world: McpWorld) -> None:
    await world.token("ide")
    bearer = await asyncio.to_thread(run, world.house, "token", "create", "ide", "--scope", "read", "--quiet")
    async with world.client(bearer.strip()) as client:
        assert await names(client) == READ_TOOLS | {"ask"}
    listed = json.loads(await asyncio.to_thread(run, world.house, "token", "list", "--json"))
    assert [one["scopes"] for one in listed["tokens"] if one["principalId"] == "ide"] == [[], ["read"]]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_it_is_probed_at_a_port_of_its_own(world: McpWorld, path: str) -> None:
    async with httpx2.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"{world.admin}{path}")).status_code == 200


async def test_a_person_asks_by_a_token_that_reads_alone(world: McpWorld) -> None:
    access = world.house.clients["owner"].access
    issued = await access.issue_token(IssueTokenRequest(scope=SCOPE, principal_id="requester", scopes=["read"]))
    # Or by one that is good for everything, where a client knows no other: the turn has one that was made from it.
    for bearer in (issued.secret, world.house.tokens["requester"]):
        async with world.client(bearer) as client:
            asked = await client.call_tool("ask", {"question": "What is open?"})
            assert not asked.is_error, text_of(asked)


async def test_what_is_no_request_is_refused(world: McpWorld) -> None:
    bearer = await world.token("codex")
    large = await world.post(
        {**OPEN, "params": {"name": "open_change", "arguments": {"title": "x" * (1 << 20)}}}, bearer
    )
    assert large.status_code == 400
    assert "larger than" in large.json()["error"]["message"]
    assert (await world.post(["no", "request"], bearer)).status_code == 400
    old = await world.post(LIST, bearer, **{"mcp-protocol-version": "1999-01-01"})
    assert old.status_code == 400
    unknown = await world.post({**CALL, "params": {"name": "decide_gate", "arguments": {}}}, bearer)
    assert "there is no tool" in unknown.text


def test_nothing_but_the_protocol_goes_to_standard_output(tmp_path: Path) -> None:
    """With an agent that is not there: the program serves, and the answer says what to do."""
    lines = (
        '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},'
        '"clientInfo":{"name":"test","version":"1"}}}',
        '{"jsonrpc":"2.0","method":"notifications/initialized"}',
        '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"list_changes","arguments":{}}}',
    )
    with subprocess.Popen(
        [sys.executable, "-m", "ameide", "--state-dir", str(tmp_path), "mcp"],
        env=environment("http://127.0.0.1:9", "secret-of-mine"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write("\n".join(lines) + "\n")
        program.stdin.flush()
        answers = [program.stdout.readline() for _ in range(2)]
        rest, errors = program.communicate(timeout=60)
    assert (program.returncode, rest) == (0, "")
    assert [json.loads(line)["id"] for line in answers] == [1, 2]
    assert "ameide up" in answers[-1]
    assert "secret-of-mine" not in "".join(answers) + errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_though_its_input_is_open(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "ameide", "--state-dir", str(tmp_path), "mcp"],
        env=environment("http://127.0.0.1:9", "t"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write('{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
        program.stdin.flush()
        assert json.loads(program.stdout.readline())["id"] == 1
        program.send_signal(number)
        assert program.wait(20) == -number


def test_without_an_agent_it_says_how_to_start_one(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "ameide", "--state-dir", str(tmp_path), "mcp"],
        env=environment("", "t"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "ameide up" in ended.stderr


@pytest.mark.parametrize("server", [OVER_HTTP, OVER_STDIO], ids=["http", "stdio"])
async def test_codex_lists_asks_and_proposes(world: McpWorld, tmp_path: Path, server: str) -> None:
    story, before = Story(), world.aggregates("artifact")
    with serving(story) as endpoint:
        events = await codex(world, tmp_path, endpoint, server, await world.token("codex"))
    assert {"ask", "list_changes", "read_file", "open_change", "propose_artifact"} <= set(story.found)
    assert called(events) == [(name, "completed") for name in ("ask", "open_change", "propose_artifact")]
    asked = json.loads(story.answers[0].partition("Output:\n")[2])
    assert (asked["model"], bool(asked["notices"])) == ("", True)
    assert asked["conversation_id"] in world.aggregates("conversation")
    assert '"status":"draft"' in story.answers[2]
    [written] = set(world.aggregates("artifact")) - set(before)
    assert written in story.answers[2]


async def test_codex_proposes_nothing_without_the_scope(world: McpWorld, tmp_path: Path) -> None:
    story, before = Story(), world.aggregates("artifact")
    with serving(story) as endpoint:
        bearer = await world.token("codex", scopes=("read",))
        events = await codex(world, tmp_path, endpoint, OVER_HTTP, bearer)
    assert {"ask", "list_changes"} <= set(story.found)
    assert not {"open_change", "propose_artifact"} & set(story.found)
    assert called(events) == [("ask", "completed")]
    assert "open_change" in story.answers[1]
    assert world.aggregates("artifact") == before
