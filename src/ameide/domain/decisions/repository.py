"""Repositories and their policies."""

from __future__ import annotations

from copy import deepcopy

from protobuf.wkt import Timestamp

from ameide.contracts.reads import READS
from ameide.contracts.remote_url import check_url
from ameide.domain.decisions.default_policy import default_policy
from ameide.errors import Conflict, InvalidArgument
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.transformation.governance.v1.command_service_pb import (
    AdoptPolicyRequest,
    RegisterRepositoryRequest,
)
from ameide_core_proto.transformation.governance.v1.facts_pb import PolicyAdopted, RepositoryRegistered
from ameide_core_proto.transformation.governance.v1.governance_pb import Repository
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind, Policy

_NOT_FOR_SECRETS = frozenset(
    {"PATH", "HOME", "TMPDIR", "LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "BASH_ENV", "ENV"}
)


def register(
    command: RegisterRepositoryRequest, tenant_id: str, now: Timestamp
) -> tuple[RepositoryRegistered, PolicyAdopted]:
    """A new repository with its first policy: the one given, or the default.

    Raises InvalidArgument for an address with a credential in it.
    """
    check_url(command.url, "url")
    if command.gitops:
        check_url(command.gitops.url, "gitops.url")
    repository = Repository(
        scope=Scope(tenant_id=tenant_id, repository_id=command.name),
        repository_id=command.name,
        name=command.name,
        url=command.url,
        default_branch=command.default_branch,
        credential_ref=command.credential_ref,
        gitops=command.gitops,
        workdir=command.workdir,
        version=1,
        registered_at=now,
    )
    policy = deepcopy(command.policy) if command.policy else default_policy(command.name, gitops=bool(command.gitops))
    policy.repository_id = command.name
    policy.version = 1
    check_policy(policy)
    return RepositoryRegistered(repository=repository), PolicyAdopted(policy=policy)


def adopt(current: Policy, command: AdoptPolicyRequest) -> PolicyAdopted:
    """The next version of a policy. Raises Conflict when the author saw another one."""
    if command.expected_version != current.version:
        raise Conflict(
            f"the policy is at version {current.version}",
            field="expected_version",
            remedy="Read it again with `ameide repo policy`, then decide",
            reason="STALE_VERSION",
        )
    assert command.policy is not None
    policy = deepcopy(command.policy)
    policy.repository_id = current.repository_id
    policy.version = current.version + 1
    check_policy(policy)
    return PolicyAdopted(policy=policy)


def check_policy(policy: Policy) -> None:
    """Raises InvalidArgument for a policy that could not be followed."""
    kinds = [rule.kind for rule in policy.gates]
    names = [environment.name for environment in policy.environments]
    if len(set(kinds)) != len(kinds):
        raise InvalidArgument("one kind stands twice", field="policy.gates", remedy="Keep one rule per kind")
    if len(set(names)) != len(names):
        raise InvalidArgument("one name stands twice", field="policy.environments", remedy="Name each environment once")
    _check_secrets(policy)
    _check_reads(policy)
    for rule in policy.gates:
        must = rule.required or rule.kind in (GateKind.NEEDS_HUMAN, GateKind.BUDGET)
        if must and not rule.decider_roles:
            raise InvalidArgument(
                f"nobody may decide {rule.kind.name}", field="policy.gates", remedy="Name at least one decider role"
            )


def _check_reads(policy: Policy) -> None:
    names = [read.query for read in policy.declared_reads]
    for place, name in enumerate(names):
        if name not in READS or names.index(name) != place:
            raise InvalidArgument(
                f"{name} stands twice" if name in READS else f"{name!r} is no query that a run may read",
                field="policy.declared_reads",
                remedy=f"Declare each of {', '.join(READS)} at most once",
            )


def _check_secrets(policy: Policy) -> None:
    places = [secret.home_path for secret in policy.verify_secrets if secret.home_path]
    places += [secret.variable for secret in policy.verify_secrets if secret.variable]
    if len(set(places)) != len(places):
        raise InvalidArgument(
            "two files have one place", field="policy.verify_secrets", remedy="Give each its own home_path and variable"
        )
    for secret in policy.verify_secrets:
        parts = secret.home_path.split("/")
        if ".." in parts or "." in parts:
            raise InvalidArgument(
                f"{secret.home_path} leads out of HOME",
                field="policy.verify_secrets.home_path",
                remedy="Name a path below HOME, such as `.netrc`",
            )
        if secret.variable in _NOT_FOR_SECRETS:
            raise InvalidArgument(
                f"{secret.variable} says how programs run",
                field="policy.verify_secrets.variable",
                remedy="Name a variable of a package manager, such as PIP_CONFIG_FILE",
            )
