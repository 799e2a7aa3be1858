"""Addresses of repositories: what is admitted, and that a refusal repeats no secret."""

from __future__ import annotations

import pytest

from ameide.contracts.remote_url import check_url
from ameide.errors import InvalidArgument


@pytest.mark.parametrize(
    "url",
    [
        "/srv/git/orders.git",
        "file:///srv/git/orders.git",
        "https://git.example.org/team/orders.git",
        "http://127.0.0.1:3000/team/orders",
        "ssh://git@git.example.org:2222/team/orders.git",
        "git@git.example.org:team/orders.git",
        "git@[2001:db8::1]:team/orders.git",
    ],
)
def test_what_git_reaches_is_admitted(url: str) -> None:
    check_url(url, "url")


@pytest.mark.parametrize(
    "url",
    [
        "https://ada:hunter2-secret@git.example.org/orders.git",
        "https://hunter2-secret@git.example.org/orders.git",
        "HTTPS://ada:hunter2-secret@git.example.org/orders.git",
        "ssh://git:hunter2-secret@git.example.org/orders.git",
        "https://git.example.org/orders.git?access_token=hunter2-secret",
        "ext::sh -c hunter2-secret",
        "git://git.example.org/hunter2-secret",
        "--upload-pack=hunter2-secret",
        "https://git.example.org/hunter2-secret\n",
    ],
)
def test_what_is_refused_is_not_repeated(url: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^url: ") as refused:
        check_url(url, "url")
    assert "hunter2" not in str(refused.value)
    assert refused.value.remedy
