"""The way of an executor outside: through a proxy, to a door with a certificate of an own CA, as several tenants."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ameide.contracts import topics
from ameide.errors import InvalidArgument, Unreachable
from ameide.infra.claiming import NOTHING, Answered, Turns
from ameide.infra.roles import Role
from ameide.infra.runners.external import role_of
from ameide.infra.settings import tokens_of
from ameide.rpc.clients import Clients
from ameide_core_proto.transformation.work.v1.command_service_pb import ClaimAnswer, PollWorkRequest
from tests.infra.work_double import QUEUE, WorkDouble, tool_run

POLL = PollWorkRequest(queues=[QUEUE], claim_id="a-claim-of-the-test", wait_seconds=0)
TOKEN = "ameide_{}_tok-" + "0" * 32 + "_" + "s" * 43


@dataclass
class ConnectProxy:
    """A proxy as companies have them: it opens tunnels, and knows who asked for which."""

    port: int = 0
    tunnels: list[str] = field(default_factory=list[str])
    seen: list[bytes] = field(default_factory=list[bytes])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.seen.append(head)
            verb, target, _ = head.decode().split(" ", 2)
            if verb == "CONNECT":
                self.tunnels.append(target)
                answers, server = await asyncio.open_connection("127.0.0.1", int(target.rpartition(":")[2]))
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                await asyncio.wait(
                    [asyncio.create_task(_pump(reader, server)), asyncio.create_task(_pump(answers, writer))],
                    return_when=asyncio.FIRST_COMPLETED,
                )
                server.close()
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@pytest.fixture
async def proxy() -> AsyncIterator[ConnectProxy]:
    made = ConnectProxy()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


@pytest.fixture
def certificates(tmp_path: Path) -> tuple[Path, Path]:
    """A CA of one's own, and the certificate and key that it gave to the door of `door.example`."""
    now, ca_key, key = (
        datetime.now(UTC),
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A CA of one's own")])

    def certificate(name: x509.Name, of: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder(ca_name, name, of.public_key(), x509.random_serial_number())
        return builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))

    ca = certificate(ca_name, ca_key).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    names = x509.SubjectAlternativeName([x509.DNSName("door.example"), x509.IPAddress(ip_address("127.0.0.1"))])
    door = certificate(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "door.example")]), key)
    signed = [ca.sign(ca_key, hashes.SHA256()), door.add_extension(names, critical=False).sign(ca_key, hashes.SHA256())]
    pems = [one.public_bytes(serialization.Encoding.PEM) for one in signed]
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "ca.pem").write_bytes(pems[0])
    (tmp_path / "door.pem").write_bytes(pems[1] + secret)
    return tmp_path / "ca.pem", tmp_path / "door.pem"


@pytest.fixture
async def front(address: str, certificates: tuple[Path, Path]) -> AsyncIterator[int]:
    """The port of a TLS front before the door."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates[1])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, server = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
        await asyncio.wait(
            [asyncio.create_task(_pump(reader, server)), asyncio.create_task(_pump(answers, writer))],
            return_when=asyncio.FIRST_COMPLETED,
        )
        server.close()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield listening.sockets[0].getsockname()[1]
    listening.close()


@pytest.fixture(autouse=True)
def no_proxy_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of whoever runs the tests."""
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


async def test_a_door_is_reached_through_a_proxy_by_an_own_ca(
    proxy: ConnectProxy,
    front: int,
    certificates: tuple[Path, Path],
    double: WorkDouble,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates[0]))
    await double.offer(tool_run("wrk-1", "true"))
    # The name is the proxy's to look up: nobody else knows it.
    async with Clients(f"https://door.example:{front}", "a-token") as clients:
        assert (await clients.work.poll_work(POLL)).answer is ClaimAnswer.RUN
    assert proxy.tunnels == [f"door.example:{front}"]
    assert not [head for head in proxy.seen if b"a-token" in head]


async def test_without_the_ca_the_door_gets_no_token(
    proxy: ConnectProxy, front: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    async with Clients(f"https://door.example:{front}", "a-token") as clients:
        with pytest.raises(Unreachable, match="certificate"):
            await clients.work.poll_work(POLL)


async def test_a_proxy_is_left_out_for_the_hosts_that_no_proxy_names(
    proxy: ConnectProxy, front: int, certificates: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("NO_PROXY", "door.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates[0]))
    async with Clients(f"https://door.example:{front}", "a-token") as clients:
        with pytest.raises(Unreachable):
            await clients.work.poll_work(POLL)
    assert proxy.tunnels == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_the_door_of_this_machine_is_never_reached_through_a_proxy(
    proxy: ConnectProxy, address: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    async with Clients(address.replace("127.0.0.1", host), "a-token") as clients:
        assert (await clients.work.poll_work(POLL)).answer is ClaimAnswer.NONE
    assert proxy.seen == []


@dataclass
class Scripted:
    """A source that answers as it is told, then has nothing."""

    answers: list[Answered | Unreachable]
    asked: int = 0

    async def claim(self, queues: object, wait: float, bell: asyncio.Event) -> Answered:
        self.asked += 1
        answer = self.answers.pop(0) if self.answers else NOTHING
        if isinstance(answer, Unreachable):
            raise answer
        return answer

    async def close(self) -> None:
        """It holds nothing."""


async def test_tenants_have_their_turns() -> None:
    run = Answered(ClaimAnswer.RUN)
    first, second = Scripted([run, run]), Scripted([run])
    turns = Turns([first, second])
    for _ in range(3):
        assert await turns.claim([QUEUE], 0, asyncio.Event()) is run
    assert (first.asked, second.asked) == (2, 1)
    assert await turns.claim([QUEUE], 0, asyncio.Event()) is NOTHING


async def test_a_tenant_that_is_refused_keeps_the_others_from_nothing() -> None:
    run, refused = Answered(ClaimAnswer.RUN), Unreachable("not this one")
    turns = Turns([Scripted([refused, refused]), Scripted([run])])
    assert await turns.claim([QUEUE], 0, asyncio.Event()) is run
    with pytest.raises(Unreachable):
        await Turns([Scripted([refused]), Scripted([refused])]).claim([QUEUE], 0, asyncio.Event())


async def test_a_ringing_bell_ends_the_round() -> None:
    first, second, bell = Scripted([]), Scripted([]), asyncio.Event()
    bell.set()
    assert await Turns([first, second]).claim([QUEUE], 60, bell) is NOTHING
    assert (first.asked, second.asked) == (1, 0)


def test_tokens_name_their_tenants() -> None:
    acme, beta = TOKEN.format("acme"), TOKEN.format("beta")
    assert tokens_of(f"{acme}\n{beta}\n") == {"acme": acme, "beta": beta}
    assert tokens_of(f" {acme} ") == {"acme": acme}
    assert tokens_of("of-any-form") == {"": "of-any-form"}
    with pytest.raises(InvalidArgument, match="second one of tenant acme") as refused:
        tokens_of(f"{acme} {acme}")
    assert refused.value.field == "AMEIDE_TOKEN"
    with pytest.raises(InvalidArgument, match="word 2 is no token"):
        tokens_of(f"{acme} of-any-form")


def test_a_runner_is_an_author_or_a_verifier() -> None:
    assert role_of([topics.QUEUE_VERIFY, topics.QUEUE_PUBLISH]) is Role.VERIFIER
    assert role_of([topics.QUEUE_CODER]) is Role.AUTHOR
    with pytest.raises(InvalidArgument, match="for two principals"):
        role_of([topics.QUEUE_CODER, topics.QUEUE_VERIFY])
