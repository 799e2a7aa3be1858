"""Rules of the sandbox's network: which hosts, which addresses, what a request and a packet are about."""

from __future__ import annotations

import ipaddress
import os
import struct
from pathlib import Path

import pytest

from ameide.errors import InvalidArgument
from ameide.infra.isolation.egress import parsed
from ameide.infra.isolation.guard import used
from ameide.infra.isolation.packets import Tried, tried
from ameide.infra.isolation.registries import named
from ameide.infra.isolation.rules import Allowlist, pattern, why_closed
from ameide.infra.isolation.system import hidden_in
from ameide.infra.workspace import delete


@pytest.mark.parametrize(
    ("allowed", "host", "port", "is_allowed"),
    [
        ("api.example.org:443", "api.example.org", 443, True),
        ("api.example.org:443", "API.example.org.", 443, True),
        ("api.example.org:443", "api.example.org", 80, False),
        ("api.example.org:443", "evil.api.example.org", 443, False),
        ("*.example.org:443", "a.b.example.org", 443, True),
        ("*.example.org:443", "example.org", 443, False),
        ("*.example.org:443", "evilexample.org", 443, False),
        ("[::1]:8080", "::1", 8080, True),
    ],
)
def test_a_host_is_allowed_by_name_and_port(allowed: str, host: str, port: int, is_allowed: bool) -> None:
    assert (Allowlist.of([allowed], "f").allowing(host, port) is not None) == is_allowed


@pytest.mark.parametrize(
    "text", ["example.org", "example.org:0", "example.org:70000", "http://example.org:80", "*:443", ""]
)
def test_what_is_no_host_is_refused_by_field(text: str) -> None:
    with pytest.raises(InvalidArgument, match="AMEIDE_VERIFY_HOSTS"):
        pattern(text, "AMEIDE_VERIFY_HOSTS")


@pytest.mark.parametrize(
    ("allowed", "address", "is_open"),
    [
        ("api.example.org:443", "8.8.8.8", True),
        ("api.example.org:443", "10.0.0.7", True),
        ("*.example.org:443", "8.8.8.8", True),
        ("*.example.org:443", "10.0.0.7", False),
        ("*.example.org:443", "127.0.0.1", False),
        ("*.example.org:443", "::ffff:10.0.0.7", False),
        ("*.example.org:443", "64:ff9b::a00:7", False),
        ("api.example.org:443", "64:ff9b::a9fe:a9fe", False),
        ("*.example.org:443", "2002:a00:7::1", False),
        ("*.example.org:443", "64:ff9b::808:808", True),
        ("api.example.org:443", "169.254.169.254", False),
        ("169.254.169.254:80", "169.254.169.254", True),
        ("api.example.org:443", "0.0.0.0", False),
        ("api.example.org:443", "224.0.0.1", False),
    ],
)
def test_a_name_does_not_lead_into_the_operators_network(allowed: str, address: str, is_open: bool) -> None:
    assert (why_closed(ipaddress.ip_address(address), pattern(allowed, "f")) == "") == is_open


def test_the_operators_registries_are_reached() -> None:
    operator = {
        "PIP_INDEX_URL": "https://user:secret@index.example.org/simple",
        "UV_DEFAULT_INDEX": "own=https://uv.example.org:8443/simple",
        "GOPROXY": "https://go.example.org|https://go2.example.org,direct",
        "PIP_FIND_LINKS": "/srv/wheels",
    }
    assert named(operator) == (
        "index.example.org:443",
        "uv.example.org:8443",
        "go.example.org:443",
        "go2.example.org:443",
    )


def test_a_plain_request_goes_on_without_what_is_the_proxys() -> None:
    head = (
        b"GET http://example.org/a?b=c HTTP/1.1\r\nHost: example.org\r\nProxy-Authorization: x\r\nAccept: */*\r\n\r\n"
    )
    request = parsed(head)
    assert (request.host, request.port) == ("example.org", 80)
    assert request.head == b"GET /a?b=c HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    assert parsed(b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\n\r\n").target == "[2001:db8::1]:443"


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1", b"CONNECT example.org HTTP/1.1", b"GET https://a/ HTTP/1.1", b"x"])
def test_what_is_no_request_to_a_proxy_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"^"):
        parsed(line + b"\r\n\r\n")


def test_the_host_that_was_judged_is_the_one_that_is_asked_for() -> None:
    told = parsed(
        b"GET http://example.org:8080/ HTTP/1.1\r\nHost: other.example\r\nHOST : third.example\r\nA: b\r\n\r\n"
    )
    assert told.head == b"GET / HTTP/1.1\r\nHost: example.org:8080\r\nA: b\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        # The resolver reads such a name up to the NUL, the allowlist to its end.
        b"CONNECT evil.example\0.example.org:443 HTTP/1.1",
        b"GET http://evil.example\0.example.org/ HTTP/1.1",
        b"CONNECT evil.example%00.example.org:443 HTTP/1.1",
        b"CONNECT evil.example\\.example.org:443 HTTP/1.1",
        b"CONNECT a..example.org:443 HTTP/1.1",
        b"CONNECT " + b"a" * 64 + b".example.org:443 HTTP/1.1",
        b"GET http://example.org/ HTTP/1.1\r\nA: b\nHost: other.example",
    ],
)
def test_a_host_is_a_name_or_an_address_and_nothing_else(head: bytes) -> None:
    with pytest.raises(ValueError, match=r"^"):
        parsed(head + b"\r\n\r\n")


def test_what_is_hidden_is_found_under_every_name(tmp_path: Path) -> None:
    state = tmp_path / "opt" / "state"
    state.mkdir(parents=True)
    (tmp_path / "var").symlink_to(tmp_path / "opt")
    opt, var = tmp_path / "opt", tmp_path / "var"
    assert hidden_in([opt], [state]) == [state]
    assert hidden_in([opt], [var / "state"]) == [state]
    assert hidden_in([var], [state]) == [var / "state"]
    assert hidden_in([state / "shown"], [state]) == []


def test_what_a_folder_takes_is_seen_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/usr")
    (tmp_path / "file").write_bytes(b"x" * 10_000)
    assert 10_000 <= used(tmp_path) < 100_000
    deep = os.open(tmp_path, os.O_RDONLY)
    try:
        # Deeper than a path can say, and than a function can call itself.
        for _ in range(2100):
            os.mkdir("d", dir_fd=deep)
            deeper = os.open("d", os.O_RDONLY, dir_fd=deep)
            os.close(deep)
            deep = deeper
        assert used(tmp_path) > 1 << 50
    finally:
        os.close(deep)
        delete(tmp_path)


def test_a_packet_tells_where_it_wanted_to_go() -> None:
    to = bytes([198, 51, 100, 7])
    head = bytes([0x45]) + bytes(8)
    syn = head + bytes([6]) + bytes(6) + to + struct.pack("!HH", 40000, 4444) + bytes(9)
    assert tried(syn) == Tried("direct", "198.51.100.7:4444")
    query = bytes(12) + b"\x06secret\x07example\x00" + bytes(4)
    dns = head + bytes([17]) + bytes(6) + to + struct.pack("!HHHH", 40000, 53, 0, 0) + query
    assert tried(dns) == Tried("name", "secret.example")
    forged = bytes(12) + b"\x05a\nb\x00\x1b\x03org\x00" + bytes(4)
    assert tried(head + bytes([17]) + bytes(6) + to + struct.pack("!HHHH", 40000, 53, 0, 0) + forged) == Tried(
        "name", "a?b??.org"
    )
    unreachable = head + bytes([1]) + bytes(6) + to + bytes([3, 3])
    assert tried(unreachable) is None
    for length in range(len(dns)):
        tried(dns[:length])
