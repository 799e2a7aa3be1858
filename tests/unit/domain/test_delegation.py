"""Who may have a token made for an agent, and what that is good for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from ameide.domain.decisions.delegation import Parent, scopes_of
from ameide.errors import PermissionDenied
from ameide.rpc import scopes
from ameide.rpc.interceptors import Caller, caller_of

RITA = Parent("tok-1", "rita", "PERSON", only_executes=False, scopes=frozenset())
READS = replace(RITA, scopes=frozenset({"read"}))


@pytest.mark.parametrize(
    ("parent", "asked", "given"),
    [
        (RITA, (), []),
        (RITA, ("read", "propose"), ["propose", "read"]),
        (READS, (), []),
        (READS, ("read", "propose"), ["read"]),
        (replace(RITA, kind="AGENT"), (), []),
        (replace(RITA, kind="SERVICE"), ("read",), ["read"]),
    ],
)
def test_a_new_token_says_no_more_than_the_one_it_is_made_from(
    parent: Parent, asked: tuple[str, ...], given: list[str]
) -> None:
    assert scopes_of(parent, asked) == given


@pytest.mark.parametrize(
    ("parent", "asked", "reason"),
    [
        (replace(RITA, token_id=""), (), "DELEGATED"),
        (replace(RITA, token_id=""), ("read",), "DELEGATED"),
        (replace(RITA, kind="SERVICE"), (), "NOT_REPRESENTED"),
        (replace(RITA, only_executes=True), (), "NOT_REPRESENTED"),
        (replace(RITA, only_executes=True), ("read",), "NOT_REPRESENTED"),
        (READS, ("propose",), scopes.REASON),
    ],
)
def test_what_is_made_of_no_token(parent: Parent, asked: tuple[str, ...], reason: str) -> None:
    with pytest.raises(PermissionDenied) as refused:
        scopes_of(parent, asked)
    assert refused.value.reason == reason
    assert refused.value.field
    assert refused.value.remedy


CALLERS = {
    "agent": Caller("default", "architect", "AGENT", frozenset({"viewer"})),
    "made": Caller("default", "rita", "PERSON", frozenset({"viewer", "admin"}), only_represented=True),
    "made-of-an-agent": Caller("default", "codex", "AGENT", frozenset({"viewer"}), only_represented=True),
}


async def called(headers: Mapping[str, str], **how: Any) -> Caller:
    """The caller whose headers name tokens."""

    async def authenticate(token: str) -> Caller:
        return CALLERS[token]

    sent = {name: f"Bearer {token}" for name, token in headers.items()}
    return await caller_of(authenticate, sent.get, **how)


async def test_it_is_taken_beside_an_agents_token_and_where_it_is_asked_whose_it_is() -> None:
    for asks_who in (False, True):
        both = {"authorization": "agent", "ameide-on-behalf-of": "made"}
        caller = await called(both, for_others=True, asks_who=asks_who)
        assert (caller.principal_id, caller.on_behalf_of, caller.only_represented) == ("architect", "rita", False)
    assert (await called({"authorization": "made"}, for_others=True, asks_who=True)).only_represented


@pytest.mark.parametrize("token", ["made", "made-of-an-agent"])
@pytest.mark.parametrize("person", ["", "made", "made-of-an-agent"])
async def test_it_is_refused_as_the_token_of_who_calls(token: str, person: str) -> None:
    headers = {"authorization": token} | ({"ameide-on-behalf-of": person} if person else {})
    for how in ({"for_others": True}, {"for_others": False}, {"for_others": True, "asks_who": bool(person)}):
        with pytest.raises(PermissionDenied, match="that it was made from") as refused:
            await called(headers, **how)
        assert (refused.value.reason, refused.value.field) == ("ONLY_REPRESENTED", "authorization")
