"""Where a listener is reached from its own machine."""

from urllib.parse import urlsplit

import pytest

from ameide.contracts.hosts import is_here, url_here


@pytest.mark.parametrize(
    ("listens_on", "reached_at"),
    [
        ("0.0.0.0", "http://127.0.0.1:8480"),
        ("::", "http://[::1]:8480"),
        ("[::]", "http://[::1]:8480"),
        ("0:0:0:0:0:0:0:0", "http://[::1]:8480"),
        ("localhost", "http://localhost:8480"),
        ("ameide.example", "http://ameide.example:8480"),
        ("127.0.0.1", "http://127.0.0.1:8480"),
        ("192.0.2.7", "http://192.0.2.7:8480"),
        ("::1", "http://[::1]:8480"),
        ("2001:db8::7", "http://[2001:db8::7]:8480"),
        ("[2001:db8::7]", "http://[2001:db8::7]:8480"),
    ],
)
def test_all_interfaces_are_reached_by_the_loopback_and_others_by_their_own_name(
    listens_on: str, reached_at: str
) -> None:
    assert url_here(listens_on, 8480) == reached_at
    assert urlsplit(reached_at).port == 8480


def test_the_loopback_of_either_family_is_here() -> None:
    for host in ("0.0.0.0", "::"):
        assert is_here(urlsplit(url_here(host, 1)).hostname or "")
    assert not is_here("192.0.2.7")
