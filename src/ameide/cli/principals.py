"""Who there is in a fresh installation. Asking, deciding and verifying are different principals from the start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ameide.infra.settings import AUTHOR_QUEUES, VERIFIER_QUEUES

if TYPE_CHECKING:
    from ameide_core_proto.transformation.governance.v1.governance_pb import Principal

_OWNER_ROLES = ("viewer", "requester", "approver", "releaser", "operator", "admin")
# By name: what it is called, its kind, its roles, the queues that it serves.
_TABLE: dict[str, tuple[str, str, tuple[str, ...], tuple[str, ...]]] = {
    "owner": ("Owner of this installation", "PERSON", _OWNER_ROLES, ()),
    "requester": ("Who asks for changes", "PERSON", ("viewer", "requester"), ()),
    "approver": ("Who decides on requirements and changes", "PERSON", ("viewer", "approver"), ()),
    "releaser": ("Who decides on releases and promotions", "PERSON", ("viewer", "releaser"), ()),
    "process": ("The Process", "SERVICE", ("process", "viewer"), ()),
    # What it may do for a person is what that person may as well, and for nobody it may nothing.
    "architect": ("The Architect agent", "AGENT", ("viewer", "requester", "representative"), ()),
    "author": ("Executor of agent work", "AGENT", ("executor",), AUTHOR_QUEUES),
    "verifier": ("Executor of tool runs", "SERVICE", ("executor",), VERIFIER_QUEUES),
}
PRINCIPALS = tuple(_TABLE)
"""Their ids."""
EXECUTORS = {name: queues for name, (_, _, _, queues) in _TABLE.items() if queues}
"""Those that execute, and the queues that each serves."""


def admissions(names: Sequence[str] = PRINCIPALS) -> list[tuple[Principal, tuple[str, ...]]]:
    """The principals of these ids, each with the queues that it serves, as `app.bootstrap` admits them."""
    # Imported here: `ameide up` asks for the ids each time, and for the messages only the first time.
    from ameide_core_proto.transformation.governance.v1.governance_pb import Principal, PrincipalKind

    return [
        (Principal(principal_id=name, display_name=called, kind=PrincipalKind[kind], roles=list(roles)), queues)
        for name, (called, kind, roles, queues) in _TABLE.items()
        if name in names
    ]
