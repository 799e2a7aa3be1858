"""Tokens that are made from a token, to be given to an agent: who may make one, and what it is good for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ameide.errors import PermissionDenied

# As long as one lives at most; a client makes another one for its next turn.
SECONDS = 3600
# How many of one token are valid at once: with the next one the oldest is not.
MOST = 100


@dataclass(frozen=True, slots=True)
class Parent:
    """The token that another one is to be made from. `token_id` is empty for one that was made from another itself."""

    token_id: str
    principal_id: str
    kind: str
    only_executes: bool
    scopes: frozenset[str]


def scopes_of(parent: Parent, asked: Collection[str]) -> list[str]:
    """Those that the new token has, sorted; none when it is good for being represented and nothing else.

    Raises PermissionDenied: DELEGATED for a token that was made from another, NOT_REPRESENTED for one that no agent
    acts for, SCOPE when it has none of the scopes that are asked for.
    """
    if not parent.token_id:
        raise PermissionDenied(
            "the token was made from another one, and makes none itself",
            field="authorization",
            remedy="Call with the token that it was made from",
            reason="DELEGATED",
        )
    if parent.only_executes or (not asked and parent.kind not in ("PERSON", "AGENT")):
        raise PermissionDenied(
            f"no agent acts for {parent.principal_id} by this token",
            field="authorization",
            remedy="Use the token of a person or of an agent that does more than execute",
            reason="NOT_REPRESENTED",
        )
    scopes = sorted(parent.scopes.intersection(asked) if parent.scopes else set(asked))
    if asked and not scopes:
        raise PermissionDenied(
            f"the token's scopes are {', '.join(sorted(parent.scopes))}",
            field="scopes",
            remedy="Ask for one of those, or use another token",
            reason="SCOPE",
        )
    return scopes
