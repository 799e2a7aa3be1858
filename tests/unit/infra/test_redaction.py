"""Secrets in text: known values anywhere, and the shapes of others."""

import time
from pathlib import Path

import pytest

from ameide.infra.redaction import Redactor
from ameide.infra.settings import ExecutorSettings


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("clone https://ada:pa55word@forge.example/o.git", "clone https://[redacted]@forge.example/o.git"),
        ("Authorization: Bearer abcdef.ghijkl-12345", "Authorization: Bearer [redacted]"),
        ("key AKIAIOSFODNN7EXAMPLE end", "key [redacted] end"),
        ("ghp_0123456789abcdefghijABCDEFGHIJ012345", "[redacted]"),
        ("ameide_default_tok01_Zk8vQ2mX9sLw4tRb", "[redacted]"),
        ('"api_key": "Zk8vQ2mX9sLw4tRb"', '"api_key": "[redacted]"'),
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


@pytest.mark.parametrize("unit", ["a-", "eyJ-", "://a:", "token", "ghp_", "-----BEGIN A", "token " + " " * 50])
def test_hostile_text_takes_no_more_time_than_its_length(unit: str) -> None:
    """A shape that tries every start against the whole rest would need minutes for this."""
    started = time.process_time()
    Redactor().text(unit * (200_000 // len(unit)))
    assert time.process_time() - started < 5


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
        otlp_headers="x-team=a,x-key=0123456789abcdef",
    )
    assert settings.secrets() == ("ameide_default_tok01_Zk8vQ2mX9sLw4tRb", "0123456789abcdef")
    assert "0123456789abcdef" not in repr(settings)
