"""Who there is in a fresh installation. Asking, deciding and verifying are different principals from the start."""

from __future__ import annotations

from ameide.infra.settings import AUTHOR_QUEUES, VERIFIER_QUEUES
from ameide_core_proto.transformation.governance.v1.governance_pb import Principal, PrincipalKind

PRINCIPALS: tuple[tuple[Principal, tuple[str, ...]], ...] = (
    (
        Principal(
            principal_id="owner",
            display_name="Owner of this installation",
            kind=PrincipalKind.PERSON,
            roles=["viewer", "requester", "approver", "releaser", "operator", "admin"],
        ),
        (),
    ),
    (
        Principal(
            principal_id="requester",
            display_name="Who asks for changes",
            kind=PrincipalKind.PERSON,
            roles=["viewer", "requester"],
        ),
        (),
    ),
    (
        Principal(
            principal_id="approver",
            display_name="Who decides on requirements and changes",
            kind=PrincipalKind.PERSON,
            roles=["viewer", "approver"],
        ),
        (),
    ),
    (
        Principal(
            principal_id="releaser",
            display_name="Who decides on releases and promotions",
            kind=PrincipalKind.PERSON,
            roles=["viewer", "releaser"],
        ),
        (),
    ),
    (
        Principal(
            principal_id="process",
            display_name="The Process",
            kind=PrincipalKind.SERVICE,
            roles=["process", "viewer"],
        ),
        (),
    ),
    (
        Principal(
            principal_id="author",
            display_name="Executor of agent work",
            kind=PrincipalKind.AGENT,
            roles=["executor"],
        ),
        AUTHOR_QUEUES,
    ),
    (
        Principal(
            principal_id="verifier",
            display_name="Executor of tool runs",
            kind=PrincipalKind.SERVICE,
            roles=["executor"],
        ),
        VERIFIER_QUEUES,
    ),
)
