"""What an agent may for a person: never more than either of them, whatever their roles and their tokens' scopes."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ameide.errors import PermissionDenied
from ameide.rpc.interceptors import Caller
from ameide.rpc.scopes import ALL

ROLES = ("viewer", "requester", "approver", "releaser", "operator", "executor", "process", "admin")
roles = st.frozensets(st.sampled_from(ROLES))
scopes = st.frozensets(st.sampled_from(ALL))


def may(caller: Caller, role: str) -> bool:
    try:
        caller.need(role)
    except PermissionDenied:
        return False
    return True


def admits(caller: Caller, scope: str) -> bool:
    return not caller.scopes or scope in caller.scopes


@given(roles, roles, scopes, scopes)
def test_never_more_than_either_may(
    of_agent: frozenset[str], of_person: frozenset[str], agents: frozenset[str], persons: frozenset[str]
) -> None:
    agent = Caller("default", "architect", "AGENT", of_agent, frozenset({"coder"}), scopes=agents)
    person = Caller("default", "rita", "PERSON", of_person, frozenset({"verify"}), scopes=persons)
    assume(not agents or not persons or agents & persons)
    both = agent.acting_for(person)
    assert (both.principal_id, both.on_behalf_of, both.kind) == ("architect", "rita", "AGENT")
    assert not both.queues
    for role in ROLES:
        either = role not in ("admin", "executor", "process") and may(agent, role) and may(person, role)
        assert not may(both, role) or either
        assert may(both, role) or not either or role not in of_agent | of_person
    for scope in ALL:
        assert admits(both, scope) == (admits(agent, scope) and admits(person, scope))


def test_scopes_with_nothing_in_common_are_not_taken_for_no_limit() -> None:
    agent = Caller("default", "architect", "AGENT", frozenset({"viewer"}), scopes=frozenset({"read"}))
    person = Caller("default", "rita", "PERSON", frozenset({"viewer"}), scopes=frozenset({"propose"}))
    with pytest.raises(PermissionDenied) as refused:
        agent.acting_for(person)
    assert refused.value.reason == "SCOPE"
