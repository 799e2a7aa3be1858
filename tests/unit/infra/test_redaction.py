"""Secrets in text: known values anywhere, and the shapes of others."""

import asyncio
import base64
import json
from collections.abc import Callable
from html import escape
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from ameide.infra.credentials import Credentials
from ameide.infra.evidence import EvidenceWriter
from ameide.infra.live_log import LiveLog
from ameide.infra.object_store import ObjectStore
from ameide.infra.redaction import Redactor
from ameide.infra.settings import ExecutorSettings
from ameide_core_proto.transformation.work.v1.work_pb import WorkRequest


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("clone https://ada:pa55word@forge.example/o.git", "clone https://[redacted]@forge.example/o.git"),
        ("Authorization: Bearer abcdef.ghijkl-12345", "Authorization: Bearer [redacted]"),
        ("key AKIAIOSFODNN7EXAMPLE end", "key [redacted] end"),
        ("ghp_0123456789abcdefghijABCDEFGHIJ012345", "[redacted]"),
        ("ameide_default_tok01_Zk8vQ2mX9sLw4tRb", "[redacted]"),
        ('"api_key": "Zk8vQ2mX9sLw4tRb"', '"api_key": "[redacted]"'),
        ("password=correct-horse-battery", "password=[redacted]"),
        ("token := 'Zk8vQ2mX9sLw4tRb'", "token := '[redacted]'"),
        ("DB_PASSWORD=Zk8vQ2mX9sLw4tRb next", "DB_PASSWORD=[redacted] next"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nafter", "[redacted]\nafter"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE", "[redacted]"),
    ],
)
def test_shapes_of_credentials_are_masked(text: str, shown: str) -> None:
    assert Redactor().text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "token: Optional",
        "password=password",
        "https://forge.example/a@b",
        "def secret_of(order): return order.secret",
        "sk-a",
        "tests/test_token.py::test_a_token_expires_after_a_day",
        "token := os.Getenv(name)",
        "password = settings.forge_password",
        "if token == expected_value_of_it:",
        "accessToken: PersonalAccessToken,",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert Redactor().text(text) == text


def test_known_values_are_masked_in_every_form() -> None:
    redactor = Redactor(["s3cr/t value"])
    assert redactor.text("a s3cr/t value b s3cr%2Ft%20value c") == "a [redacted] b [redacted] c"


def test_bytes_that_are_not_text_survive() -> None:
    assert Redactor(["topsecret"]).data(b"\xff\x00topsecret\xfe") == b"\xff\x00[redacted]\xfe"


def test_redaction_is_stable() -> None:
    redactor = Redactor(["topsecret"])
    once = redactor.text("password=Zk8vQ2mX9sLw4tRb topsecret https://a:bcdefgh@x")
    assert redactor.text(once) == once


SECRET = 'pa"ss/wörd&<more>'


@pytest.mark.parametrize(
    "shown",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
        escape(SECRET),
        SECRET.encode().hex(),
        SECRET.encode().hex().upper(),
    ],
)
def test_known_values_are_masked_in_the_encodings_of_programs(shown: str) -> None:
    assert Redactor([SECRET]).text(f"before {shown} after") == "before [redacted] after"


@pytest.mark.parametrize("before", ["", "a", "ab", "x-access-token:"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_known_values_are_found_in_base64_wherever_they_begin(before: str, encode: Callable[[bytes], bytes]) -> None:
    secret = "correct horse battery staple"
    shown = Redactor([secret]).known_masked(encode(f"{before}{secret} and more".encode()).decode())
    assert "[redacted]" in shown
    assert b"horse" not in base64.urlsafe_b64decode(shown.partition("[redacted]")[0].encode() + b"====")


def test_each_line_of_a_key_is_a_secret() -> None:
    redactor = Redactor(["-----BEGIN KEY-----\nabcdefghijklmnopqrstuvwxyz\nshort\n-----END KEY-----"])
    assert redactor.text("a line abcdefghijklmnopqrstuvwxyz short") == "a line [redacted] short"
    assert redactor.text("-----BEGIN KEY-----") == "-----BEGIN KEY-----"


def test_the_live_log_cuts_no_secret_before_it_looks(tmp_path: Path) -> None:
    live = LiveLog(Redactor(["topsecret-value"]), tmp_path / "work.log")
    for piece in (
        b"x" * 990 + b"topse",
        b"cret-va",
        b"lue and more\n",
        b"a topsecr",
        b"et-value\rlast topsecret-val",
        b"ue",
    ):
        live.output(piece)
    live.close()
    shown = (tmp_path / "work.log").read_text()
    assert shown == "x" * 990 + "[redacted]\na [redacted]\nlast [redacted]\n"
    assert live.tail == shown


def test_the_live_log_shows_no_line_of_a_private_key(tmp_path: Path) -> None:
    live = LiveLog(Redactor(), tmp_path / "work.log")
    live.output(b"cat id_rsa\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\nab\n-----END RSA PRIVATE KEY-----\nafter\n")
    live.close()
    assert (tmp_path / "work.log").read_text() == "cat id_rsa\n" + "[redacted]\n" * 4 + "after\n"


def test_what_is_left_out_of_evidence_cuts_no_secret(tmp_path: Path) -> None:
    evidence = EvidenceWriter(WorkRequest(work_request_id="wrk-1"), 1, "claim", Redactor(["topsecret-value"]))
    secret = b"topsecret-value"
    # One over the end of what is kept of the head, one over the begin of what is kept of the tail.
    text = b"." * ((1 << 20) - 5) + secret + b"." * (1 << 20) + secret + b"." * ((3 << 20) - 5)
    evidence.add_bytes("long.log", text, "text/plain")
    [artifact] = evidence.bundle("").artifacts
    file = tmp_path / "objects"
    asyncio.run(evidence.store(ObjectStore(file.as_uri()), lambda: None))
    stored = next(found for found in file.rglob("long.log")).read_bytes()
    assert len(stored) == artifact.bytes
    assert not any(part in stored for part in (b"topse", b"-value", b"secret", b"value"))


def test_what_an_executor_holds_is_secret_also_the_headers_of_its_collector() -> None:
    settings = ExecutorSettings(
        address="http://127.0.0.1:8480",
        token="ameide_default_tok01_Zk8vQ2mX9sLw4tRb",
        name="verifier",
        queues=(),
        work_root=Path("/tmp"),
        object_store="",
        registry="",
        forge="",
        python=Path("python3"),
        search_path=(),
        credentials=Credentials(variables={"orders-forge": "x-access-token:forge-password"}),
        operator_environment={"PIP_EXTRA_INDEX_URL": "https://ada:index%2Fpassword@index.example/simple"},
        store_options={"aws_region": "eu-central-1", "aws_secret_access_key": "of-the-object-store"},
        otlp_headers="x-team=a,x-key=0123456789abcdef",
        broker_secrets=("of-the-brokers", ""),
    )
    assert settings.secrets() == (
        "ameide_default_tok01_Zk8vQ2mX9sLw4tRb",
        "x-access-token:forge-password",
        "forge-password",
        "of-the-object-store",
        "index/password",
        "0123456789abcdef",
        "of-the-brokers",
    )
    assert "of-the-brokers" not in repr(settings)
    assert "0123456789abcdef" not in repr(settings)
