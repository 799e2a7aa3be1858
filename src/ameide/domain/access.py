"""Principals and API tokens. A token names its tenant; of its secret only the SHA-256 is stored."""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import secrets
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from connectrpc.request import RequestContext
from protobuf.wkt import Timestamp

from ameide.contracts.ids import new_id
from ameide.domain.decisions import delegation
from ameide.domain.service import Service
from ameide.domain.unit import Unit
from ameide.errors import InvalidArgument, NotFound, Unauthenticated
from ameide.rpc.interceptors import Caller, current_caller
from ameide.storage import sql
from ameide.storage.db import Database
from ameide_core_proto.transformation.governance.v1 import access_service_pb as pb
from ameide_core_proto.transformation.governance.v1.access_service_connect import AccessService
from ameide_core_proto.transformation.governance.v1.facts_pb import PrincipalAdmitted
from ameide_core_proto.transformation.governance.v1.governance_pb import ApiToken, Principal, PrincipalKind

_SQL = sql.load("domain")
_TOKEN = re.compile(r"ameide_([a-z0-9][a-z0-9-]*)_((?:tok|dlg)-[0-9a-f]{32})_([A-Za-z0-9-]{43})")


async def authenticate(database: Database, token: str) -> tuple[Caller, float]:
    """The caller that a token stands for, and for how many seconds more. Raises Unauthenticated without telling why."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise _refused()
    tenant, token_id, secret = match.groups()
    delegated = token_id.startswith("dlg-")
    async with database.transaction(tenant) as tx:
        row = await tx.fetch_one(_SQL["delegated_token" if delegated else "token"], (tenant, token_id))
    if row is None or not hmac.compare_digest(bytes(row["secret_sha256"]), hashlib.sha256(secret.encode()).digest()):
        raise _refused()
    if row["revoked_at"] is not None or (row["expires_at"] is not None and row["expires_at"] <= row["now"]):
        raise _refused()
    principal = Principal.from_binary(bytes(row["state"]))
    valid = (row["expires_at"] - row["now"]).total_seconds() if row["expires_at"] is not None else math.inf
    caller = Caller(
        tenant_id=tenant,
        principal_id=principal.principal_id,
        kind=principal.kind.name,
        roles=_roles(row, principal),
        queues=frozenset(row["queues"]),
        only_executes=row["only_executes"],
        scopes=frozenset(row["scopes"]),
        token_id="" if delegated else token_id,
        only_represented=row["only_represented"],
    )
    return caller, valid


class Access(AccessService):
    """The door for principals and tokens; an admin's, but for WhoAmI and DelegateToken.

    `forget` is called when a token may say less.
    """

    def __init__(self, service: Service, forget: Callable[[], None]) -> None:
        self._service = service
        self._forget = forget

    async def admit_principal(
        self, request: pb.AdmitPrincipalRequest, _ctx: RequestContext[Any, Any]
    ) -> pb.AdmitPrincipalResponse:
        try:
            return await self._service.execute(
                _admin(), "AdmitPrincipal", request, pb.AdmitPrincipalResponse, admit_principal
            )
        finally:
            # Also when the answer of a commit is lost.
            self._forget()

    async def issue_token(self, request: pb.IssueTokenRequest, _ctx: RequestContext[Any, Any]) -> pb.IssueTokenResponse:
        async def handler(unit: Unit) -> pb.IssueTokenResponse:
            return await issue_token(unit, request)

        return await self._service.perform(_admin(), "IssueToken", request.scope, handler)

    async def list_tokens(self, request: pb.ListTokensRequest, _ctx: RequestContext[Any, Any]) -> pb.ListTokensResponse:
        async def handler(unit: Unit) -> pb.ListTokensResponse:
            rows = await unit.tx.fetch_all(_SQL["list_tokens"], (unit.tenant_id,))
            return pb.ListTokensResponse(tokens=[_token(row) for row in rows])

        return await self._service.perform(_admin(), "ListTokens", request.scope, handler)

    async def revoke_token(
        self, request: pb.RevokeTokenRequest, _ctx: RequestContext[Any, Any]
    ) -> pb.RevokeTokenResponse:
        async def handler(unit: Unit) -> pb.RevokeTokenResponse:
            row = await unit.tx.fetch_one(_SQL["revoke_token"], (unit.tenant_id, request.token_id))
            if row is None:
                raise NotFound(f"no token {request.token_id}", remedy="`ameide token list` shows them")
            return pb.RevokeTokenResponse(token=_token(row))

        try:
            return await self._service.perform(_admin(), "RevokeToken", request.scope, handler)
        finally:
            self._forget()

    async def delegate_token(
        self, request: pb.DelegateTokenRequest, _ctx: RequestContext[Any, Any]
    ) -> pb.DelegateTokenResponse:
        caller = current_caller()

        async def handler(unit: Unit) -> pb.DelegateTokenResponse:
            return await delegate_token(unit, caller, request)

        return await self._service.perform(caller, "DelegateToken", request.scope, handler)

    async def who_am_i(self, _request: pb.WhoAmIRequest, _ctx: RequestContext[Any, Any]) -> pb.WhoAmIResponse:
        caller = current_caller()

        async def handler(unit: Unit) -> pb.WhoAmIResponse:
            speaker = await unit.read("principal", caller.principal_id, Principal)
            acting = bool(caller.on_behalf_of)
            return pb.WhoAmIResponse(
                principal=await unit.read("principal", caller.on_behalf_of, Principal) if acting else speaker,
                agent=speaker if acting else None,
                roles=sorted(caller.roles),
                scopes=sorted(caller.scopes),
                only_represented=caller.only_represented,
            )

        return await self._service.perform(caller, "WhoAmI", None, handler)


async def admit_principal(unit: Unit, command: pb.AdmitPrincipalRequest) -> pb.AdmitPrincipalResponse:
    """A principal with its roles; admitted again, it has the new ones."""
    known = await unit.find("principal", command.principal_id, Principal)
    if known is not None:
        known = await unit.lock("principal", command.principal_id, Principal)
    principal = deepcopy(known) if known else Principal(scope=unit.scope(), principal_id=command.principal_id)
    principal.display_name = command.display_name or principal.display_name or command.principal_id
    principal.kind = command.kind
    principal.roles = sorted(command.roles)
    principal.version += 1
    unit.record(PrincipalAdmitted(principal=principal))
    return pb.AdmitPrincipalResponse(principal=principal)


async def issue_token(unit: Unit, command: pb.IssueTokenRequest) -> pb.IssueTokenResponse:
    """A new token of a principal. Its text is in the answer and nowhere else."""
    if command.scopes and (command.queues or command.only_executes):
        raise InvalidArgument(
            "an executor's token has queues and no scopes",
            field="scopes",
            remedy="Make one token for executing, and another one with scopes",
        )
    await unit.read("principal", command.principal_id, Principal)
    token_id, secret, digest = _fresh("tok")
    row = await unit.tx.fetch_one(
        _SQL["issue_token"],
        (
            unit.tenant_id,
            token_id,
            command.principal_id,
            digest,
            list(command.queues),
            command.only_executes,
            list(command.scopes),
            command.expires_in_seconds,
            command.expires_in_seconds,
        ),
    )
    assert row is not None
    return pb.IssueTokenResponse(token=_token(row), secret=f"ameide_{unit.tenant_id}_{token_id}_{secret}")


async def delegate_token(unit: Unit, caller: Caller, command: pb.DelegateTokenRequest) -> pb.DelegateTokenResponse:
    """A token made from the caller's, for an agent. Raises what `delegation.scopes_of` raises, and Unauthenticated."""
    parent = delegation.Parent(caller.token_id, caller.principal_id, caller.kind, caller.only_executes, caller.scopes)
    scopes = delegation.scopes_of(parent, command.scopes)
    token_id, secret, digest = _fresh("dlg")
    seconds = command.expires_in_seconds or delegation.SECONDS
    row = await unit.tx.fetch_one(
        _SQL["delegate_token"], (token_id, digest, scopes, seconds, unit.tenant_id, caller.token_id)
    )
    if row is None:
        raise _refused()
    tenant = unit.tenant_id
    await unit.tx.execute(_SQL["drop_delegated"], (tenant, tenant, tenant, caller.token_id, delegation.MOST))
    return pb.DelegateTokenResponse(
        secret=f"ameide_{tenant}_{token_id}_{secret}", expires_at=Timestamp.from_datetime(row["expires_at"])
    )


async def bootstrap(
    service: Service,
    tenant_id: str,
    principal_id: str,
    kind: PrincipalKind,
    roles: Sequence[str],
    queues: Sequence[str],
) -> str:
    """Admit a principal of a fresh installation and issue its first token: for who holds the database, not callers."""
    caller = Caller(tenant_id, "bootstrap", PrincipalKind.SERVICE.name, frozenset({"admin"}))
    command = pb.AdmitPrincipalRequest(
        client_request_id=f"bootstrap/{principal_id}/{','.join(sorted(roles))}",
        principal_id=principal_id,
        kind=kind,
        roles=list(roles),
    )
    await service.execute(caller, "AdmitPrincipal", command, pb.AdmitPrincipalResponse, admit_principal)

    async def issue(unit: Unit) -> pb.IssueTokenResponse:
        return await issue_token(unit, pb.IssueTokenRequest(principal_id=principal_id, queues=list(queues)))

    return (await service.perform(caller, "IssueToken", None, issue)).secret


def _refused() -> Unauthenticated:
    return Unauthenticated("the token is not valid", remedy="Set AMEIDE_TOKEN or AMEIDE_TOKEN_FILE to a current one")


def _fresh(kind: str) -> tuple[str, str, bytes]:
    """The id of a new token, its secret, and what is stored of that."""
    secret = secrets.token_urlsafe(32).replace("_", "-")
    return new_id(kind), secret, hashlib.sha256(secret.encode()).digest()


def _admin() -> Caller:
    caller = current_caller()
    caller.need("admin")
    return caller


def _roles(row: dict[str, Any], principal: Principal) -> frozenset[str]:
    """Those of a principal that count for a token. One with scopes is for asking and proposing, as a person does."""
    roles = frozenset(principal.roles)
    if row["only_executes"]:
        return roles & {"executor"}
    return roles - {"executor", "process"} if row["scopes"] else roles


def _token(row: dict[str, Any]) -> ApiToken:
    def at(name: str) -> Timestamp | None:
        return Timestamp.from_datetime(row[name]) if row[name] else None

    return ApiToken(
        token_id=row["token_id"],
        principal_id=row["principal_id"],
        queues=list(row["queues"]),
        only_executes=row["only_executes"],
        scopes=list(row["scopes"]),
        created_at=at("created_at"),
        expires_at=at("expires_at"),
        revoked_at=at("revoked_at"),
    )
