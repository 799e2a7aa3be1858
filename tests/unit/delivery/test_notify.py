"""How a notice is signed and handed over: Standard Webhooks for URLs, standard input for programs."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import pytest
from protobuf.wkt import Timestamp

from ameide.delivery.notify.command import CommandSender
from ameide.delivery.notify.notice import Notice, NotSent, notice_of
from ameide.delivery.notify.webhook import Webhook, key_of, signature
from ameide.errors import InvalidArgument
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.transformation.governance.v1.governance_pb import Gate, GateSubject
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind

NOTICE = Notice("gat-1", b'{"type":"gate.opened"}')
ENVIRONMENT = {"PATH": os.environ["PATH"]}


@contextmanager
def receiving(*statuses: int) -> Generator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """A receiver that answers with these statuses in turn, and what it got."""
    got: list[tuple[dict[str, str], bytes]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            got.append((headers, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(statuses[min(len(got), len(statuses)) - 1])
            self.send_header("location", "/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Tests print nothing of it."""

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}/hook/with-a-token", got
        server.shutdown()
        serving.join()


def test_the_signature_is_that_of_the_standard() -> None:
    """The example that the libraries of Standard Webhooks are tested with."""
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    notice = Notice("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}')
    assert signature(key, notice, "1614265330") == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_webhook_gets_id_time_and_signature() -> None:
    with receiving(204) as (url, got):
        webhook = Webhook(url, "a secret", clock=lambda: 1700000000.9)
        await webhook.send(NOTICE)
    [(headers, body)] = got
    assert body == NOTICE.body
    assert headers["webhook-id"] == "gat-1"
    assert headers["webhook-timestamp"] == "1700000000"
    assert headers["webhook-signature"] == signature(b"a secret", NOTICE, "1700000000")


@pytest.mark.parametrize(("status", "retry"), [(500, True), (503, True), (429, True), (404, False), (302, False)])
async def test_what_may_come_right_is_tried_again(status: int, retry: bool) -> None:
    with receiving(status) as (url, got), pytest.raises(NotSent) as refused:
        await Webhook(url, "a secret").send(NOTICE)
    assert refused.value.retry is retry
    assert "token" not in str(refused.value)
    assert len(got) == 1, "a redirect is not followed"


async def test_nobody_at_the_url_is_tried_again() -> None:
    with receiving(200) as (url, _):
        gone = url
    with pytest.raises(NotSent) as refused:
        await Webhook(gone, "a secret").send(NOTICE)
    assert refused.value.retry
    assert "token" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "secret", "field"),
    [
        ("ftp://hooks.example", "a secret", "AMEIDE_NOTIFY_WEBHOOK_URL"),
        ("https://hooks.example:none/", "a secret", "AMEIDE_NOTIFY_WEBHOOK_URL"),
        ("https://[hooks.example/", "a secret", "AMEIDE_NOTIFY_WEBHOOK_URL"),
        ("https://hooks.example", "", "AMEIDE_NOTIFY_WEBHOOK_SECRET"),
        ("https://hooks.example", "whsec_not base64!", "AMEIDE_NOTIFY_WEBHOOK_SECRET"),
    ],
)
def test_a_webhook_that_cannot_work_is_refused_at_the_start(url: str, secret: str, field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        Webhook(url, secret)
    assert refused.value.field == field
    assert refused.value.remedy


async def test_a_command_gets_the_notice_on_its_standard_input(tmp_path: Path) -> None:
    script = f"cat > {tmp_path}/got; echo $AMEIDE_NOTICE_ID > {tmp_path}/id; env > {tmp_path}/env"
    await CommandSender(("sh", "-c", script), ENVIRONMENT).send(NOTICE)
    assert (tmp_path / "got").read_bytes() == NOTICE.body
    assert (tmp_path / "id").read_text() == "gat-1\n"
    names = {line.partition("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert names <= {"PATH", "AMEIDE_NOTICE_ID", "PWD", "OLDPWD", "SHLVL", "_"}


async def test_a_command_need_not_read(tmp_path: Path) -> None:
    await CommandSender(("true",), ENVIRONMENT).send(Notice("gat-1", b"x" * 1_000_000))


async def test_a_command_that_fails_tells_the_end_of_what_it_said_without_secrets() -> None:
    script = "head -c 100000 /dev/zero | tr '\\0' x; echo; echo password=Zk8vQ2mX9sLw4tRb; exit 3"
    with pytest.raises(NotSent, match="exit code 3") as refused:
        await CommandSender(("sh", "-c", script), ENVIRONMENT).send(NOTICE)
    assert str(refused.value).endswith("password=[redacted]")
    assert len(str(refused.value)) < 3000


async def test_a_command_that_is_not_done_in_time_is_ended_with_its_children(tmp_path: Path) -> None:
    script = f"sleep 300 & echo $! > {tmp_path}/pid; wait"
    with pytest.raises(NotSent, match="not done") as refused:
        await CommandSender(("sh", "-c", script), ENVIRONMENT, timeout=1.0).send(NOTICE)
    assert refused.value.retry
    pid = int((tmp_path / "pid").read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_a_command_that_never_stops_talking_is_ended_too() -> None:
    async with asyncio.timeout(30):
        with pytest.raises(NotSent, match="not done"):
            await CommandSender(("yes",), ENVIRONMENT, timeout=0.5).send(NOTICE)


async def test_a_program_that_is_not_there_is_not_tried_again() -> None:
    with pytest.raises(NotSent, match="AMEIDE_NOTIFY_COMMAND") as refused:
        await CommandSender(("no-such-program-anywhere",), ENVIRONMENT).send(NOTICE)
    assert not refused.value.retry


def test_a_notice_has_ids_and_a_short_reason_and_no_bodies() -> None:
    reason = (
        "The coder gave up with ghp_0123456789abcdefghijABCDEFGHIJ012345. " + "And so on. " * 100 + "\nA second line"
    )
    gate = Gate(
        scope=Scope(tenant_id="default", repository_id="orders"),
        gate_id="gat-1",
        change_id="chg-1",
        process_instance_id="r2r/default/chg-1/1",
        kind=GateKind.NEEDS_HUMAN,
        subject=GateSubject(reason=reason),
        subject_hash="ab" * 32,
        quorum=2,
        opened_at=Timestamp(seconds=1700000000),
    )
    notice = notice_of(gate, ["approver"])
    said = json.loads(notice.body)
    assert (notice.id, said["type"], said["timestamp"]) == ("gat-1", "gate.opened", "2023-11-14T22:13:20+00:00")
    data = said["data"]
    assert data["kind"] == "needs_human"
    assert data["may_decide"] == ["approver"]
    assert data["votes_needed"] == 2
    assert data["decide"] == f"ameide gate approve gat-1 --hash {'ab' * 32}"
    assert data["reason"].startswith("The coder gave up with [redacted].")
    assert len(data["reason"]) == 200
    assert notice_of(gate, ["approver"]) == notice
    assert not {"mark", "marked_conversations"} & data.keys()


def test_a_notice_of_a_marked_change_says_so_and_names_the_first_conversations() -> None:
    gate = Gate(gate_id="gat-1", change_id="chg-1", kind=GateKind.ACCEPTANCE)
    data = json.loads(notice_of(gate, [], [f"cnv-{number}" for number in range(12)]).body)["data"]
    assert data["mark"].startswith("An agent that talked about this change has read texts")
    assert data["marked_conversations"] == [f"cnv-{number}" for number in range(10)]
