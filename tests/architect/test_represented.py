"""What the agent's process is given of a person's: a token that is good for representing them, and for nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ameide.architect.mcp.guests import Guests
from ameide.cli.root import run
from ameide.errors import PermissionDenied, Unauthenticated
from ameide.rpc.clients import ArchitectClients, Clients
from ameide.rpc.delegating import delegated
from ameide_core_proto.agent.transformation.v1.architect_service_pb import GetArchitectRequest, OpenChangeInstruction
from ameide_core_proto.transformation.governance.v1 import access_service_pb as access
from ameide_core_proto.transformation.governance.v1.command_service_pb import DecideGateRequest
from ameide_core_proto.transformation.governance.v1.conversation_service_pb import DecideConsentRequest
from ameide_core_proto.transformation.governance.v1.governance_pb import GateVerdict, PrincipalKind
from ameide_core_proto.transformation.governance.v1.query_service_pb import ListChangesRequest
from tests.architect.house import SCOPE, House, Talker, key

CALLS: Sequence[dict[str, Any]] = (
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    },
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "list_changes", "arguments": {}}},
)


async def test_it_never_sees_a_token_by_which_it_could_answer_as_the_person(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A whole conversation by `ameide chat`: what is asked, agreed to and done, and what is tried with its tokens."""
    shown: list[str] = []
    async with house.architect(shown=shown) as talker:
        for name, value in (
            ("ADDRESS", house.address),
            ("ARCHITECT_ADDRESS", talker.address),
            ("TOKEN", house.tokens["owner"]),
            ("STATE_DIR", str(house.folder / "person")),
        ):
            monkeypatch.setenv(f"AMEIDE_{name}", value)
        said = ["chat", "/open Let an order be canceled", "--repo", "orders", "--json"]
        assert await asyncio.to_thread(run, said) == 1
        wanted = [
            event["consentWanted"]["consent"]
            for event in map(json.loads, capsys.readouterr().out.splitlines())
            if "consentWanted" in event
        ]
        assert await asyncio.to_thread(run, [*said, "--new", "--yes"]) == 0
        assert '"effected"' in capsys.readouterr().out
        conversation_id = wanted[0]["conversationId"]
        assert await asyncio.to_thread(run, ["conversation", "forget", conversation_id, "--yes"]) == 0
    assert len(shown) >= 4
    assert house.tokens["owner"] not in shown
    for secret in shown:
        async with Clients(house.address, secret) as clients:
            for attempt in attempts(clients, wanted[0]["consentId"], wanted[0]["subjectHash"]):
                with pytest.raises(PermissionDenied) as refused:
                    await attempt()
                assert refused.value.reason == "ONLY_REPRESENTED"
        # Beside the agent's own it does not answer for the person either.
        async with Clients(house.address, house.tokens["architect"], on_behalf_of=secret) as clients:
            consent = attempts(clients, wanted[0]["consentId"], wanted[0]["subjectHash"])[0]
            with pytest.raises(PermissionDenied) as refused:
                await consent()
            assert refused.value.reason == "NOT_FOR_OTHERS"
    [row] = house.sql("SELECT status FROM ameide.aggregate WHERE kind = 'consent' AND id = %s", wanted[0]["consentId"])
    assert row["status"] == "ASKED"


def attempts(clients: Clients, consent_id: str, subject_hash: str) -> list[Callable[[], Awaitable[object]]]:
    """What a process that was taken over would like to do with a token."""
    return [
        lambda: clients.conversations.decide_consent(
            DecideConsentRequest(
                scope=SCOPE, client_request_id=key(), consent_id=consent_id, agree=True, subject_hash=subject_hash
            )
        ),
        lambda: clients.governance.decide_gate(
            DecideGateRequest(
                scope=SCOPE,
                client_request_id=key(),
                gate_id="gat-1",
                verdict=GateVerdict.APPROVE,
                subject_hash=subject_hash,
            )
        ),
        lambda: clients.access.admit_principal(
            access.AdmitPrincipalRequest(
                client_request_id=key(), principal_id="eve", kind=PrincipalKind.PERSON, roles=["admin"]
            )
        ),
        lambda: clients.access.issue_token(access.IssueTokenRequest(principal_id="owner")),
        lambda: clients.access.delegate_token(access.DelegateTokenRequest()),
        lambda: clients.queries.list_changes(ListChangesRequest(scope=SCOPE)),
    ]


async def test_a_persons_token_that_is_good_for_everything_is_refused(house: House, architect: Talker) -> None:
    async with ArchitectClients(architect.address, house.tokens["requester"]) as clients:
        with pytest.raises(PermissionDenied, match="DelegateToken") as refused:
            await clients.architect.get_architect(GetArchitectRequest())
        assert (refused.value.reason, refused.value.field) == ("DELEGATION_NEEDED", "authorization")
        with pytest.raises(PermissionDenied, match="DelegateToken"):
            assert [event async for event in clients.converse(architect.request(("text", "Hello?")))]


async def test_one_with_scopes_is_taken_for_what_it_is_good_for(house: House, architect: Talker) -> None:
    reads = (await delegated(house.address, house.tokens["requester"], ["read"])).secret
    async with ArchitectClients(architect.address, reads) as clients:
        request = architect.request(("text", "Which changes are there?"), read_only=True)
        assert [event async for event in clients.converse(request)]
        change = architect.request(("open_change", OpenChangeInstruction(title="A change")))
        with pytest.raises(PermissionDenied, match="scopes"):
            assert [event async for event in clients.converse(change)]


async def test_a_turn_whose_token_has_ended_is_gone_on_with_by_a_new_one(house: House, architect: Talker) -> None:
    secret = (await delegated(house.address, house.tokens["requester"])).secret
    request = architect.request(("text", "Which changes are there?"))
    async with ArchitectClients(architect.address, secret) as clients:
        first = [event async for event in clients.converse(request)]
        house.sql("DELETE FROM ameide.delegated_token")
        async with Clients(house.address, house.tokens["owner"]) as owner:
            # Forgotten at the Domain, and yet remembered at the agent for a moment.
            other = (await owner.access.issue_token(access.IssueTokenRequest(principal_id="requester"))).token
            assert other is not None
            await owner.access.revoke_token(access.RevokeTokenRequest(token_id=other.token_id))
        again = architect.request(("text", "And now?"))
        with pytest.raises(Unauthenticated) as refused:
            assert [event async for event in clients.converse(again)]
        assert refused.value.field == "ameide-on-behalf-of"
    said = await architect.send(again)
    assert said.ended
    replayed = await architect.send(request)
    assert [event.event for event in replayed.events] == [event.event for event in first]


class Overheard(BaseHTTPRequestHandler):
    """A place where the agent could be, which refuses whoever comes."""

    def do_POST(self) -> None:
        """Notes the token."""
        self.server.tokens.append(self.headers["authorization"].removeprefix("Bearer "))  # pyright: ignore
        self.send_response(503)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.mark.parametrize("domain_known", [True, False])
async def test_the_program_for_mcp_hands_on_a_token_with_scopes(house: House, *, domain_known: bool) -> None:
    owner, lines = house.tokens["owner"], "".join(f"{json.dumps(line)}\n" for line in CALLS)
    with ThreadingHTTPServer(("127.0.0.1", 0), Overheard) as agent:
        agent.tokens = []  # pyright: ignore
        threading.Thread(target=agent.serve_forever).start()
        environment = {
            "PATH": os.environ["PATH"],
            "AMEIDE_STATE_DIR": str(house.folder / "person"),
            "AMEIDE_ARCHITECT_ADDRESS": f"http://127.0.0.1:{agent.server_port}",
            "AMEIDE_TOKEN": owner,
            **({"AMEIDE_ADDRESS": house.address} if domain_known else {}),
        }
        program = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "ameide", "mcp"),
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(lines.encode())
        answers = [json.loads(await program.stdout.readline()) for _ in range(2)]
        program.stdin.close()
        assert await program.wait() == 0
        agent.shutdown()
        seen: set[str] = set(agent.tokens)  # pyright: ignore
    assert [answer["id"] for answer in answers] == [1, 2]
    if not domain_known:
        assert seen == {owner}
        return
    [shown] = seen
    assert shown != owner
    async with Clients(house.address, shown) as clients:
        assert (await clients.access.who_am_i(access.WhoAmIRequest())).scopes == ["propose", "read"]


async def test_mcp_takes_a_token_of_ones_own(house: House) -> None:
    guests = Guests(house.address, {"default"})
    owner = house.tokens["owner"]
    with pytest.raises(PermissionDenied, match="--scope read") as refused:
        await guests.authenticate((await delegated(house.address, owner)).secret)
    assert refused.value.reason == "ONLY_REPRESENTED"
    caller = await guests.authenticate((await delegated(house.address, owner, ["read"])).secret)
    assert (caller.principal_id, caller.scopes) == ("owner", {"read"})
