"""What answers: database, Temporal, object store, and the tokens of this installation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

from ameide import config, schema
from ameide.cli.doctor_machine import Check
from ameide.cli.engines import engine_of
from ameide.cli.principals import PRINCIPALS, admissions
from ameide.cli.processes import ARCHITECT, Managed
from ameide.cli.session import Session
from ameide.errors import AmeideError
from ameide.rpc.clients import Clients
from ameide_core_proto.transformation.governance.v1.access_service_pb import WhoAmIRequest

_SKEW_SECONDS = 5.0
_LATER = "not running; `ameide up` starts it"


def database(session: Session) -> Sequence[Check]:
    """Roles, schema, tenant guard, clock."""
    named = [role for role in config.DATABASE_ROLES if schema.database_url(session.settings, role)]
    # A host of `ameide serve ROLE` needs the connections of its roles alone; `ameide up` runs all of them.
    by_up = session.state.settings_of("control").exists()
    theirs = "ameide_app" in named if by_up else bool(named)
    if not theirs and not _runs(session, "postgres"):
        return [Check("database", True, f"the embedded one, {_LATER}")]
    settings = session.with_databases()
    left_out = {"ameide_architect"} if session.state.left_out(ARCHITECT).exists() else set[str]()
    roles = [role for role in config.DATABASE_ROLES if role not in left_out]
    missing = [role for role in roles if not schema.database_url(settings, role)]
    if missing and by_up:
        variables = ", ".join(f"AMEIDE_DATABASE_URL_{role.removeprefix('ameide_').upper()}" for role in missing)
        return [Check("database roles", False, f"{', '.join(missing)} have no connection", f"set {variables}")]
    found = asyncio.run(schema.diagnose_database(settings))
    closed = "; ".join(f"{role}: {why}" for role, why in found.closed.items())
    without = f"; no connection here: {', '.join(missing)}" if missing else ""
    checks = [
        Check(
            "database roles",
            not closed,
            closed or f"{len(roles) - len(missing)} roles get in{without}",
            "start the server with `ameide up`; or correct the AMEIDE_DATABASE_URL_… and run `ameide db migrate`",
        )
    ]
    if "ameide_app" not in (*found.closed, *missing):
        checks += [
            Check(
                "database schema",
                not found.schema,
                found.schema or "is this program's",
                "ameide db migrate; a newer one needs the ameide that migrated it",
            ),
            Check(
                "tenants are kept apart",
                not found.guard,
                found.guard or "row-level security is forced on every table",
                "let AMEIDE_DATABASE_URL_APP name the role ameide_app, and run `ameide db migrate`",
            ),
        ]
    return checks + ([_clock(found.clock)] if found.clock is not None else [])


def temporal(session: Session) -> Sequence[Check]:
    """Whether it answers and knows what we need."""
    name, settings = "Temporal answers", session.settings
    if not settings.temporal_address:
        if not _runs(session, "temporal"):
            return [Check(name, True, f"the embedded one, {_LATER}")]
        settings = config.read(file=session.state.settings_of("worker"))
    # Slow to import, and only needed here.
    from ameide.process.temporal import connect, need_search_attributes

    async def look() -> None:
        async with asyncio.timeout(10):
            await need_search_attributes(await connect(settings.temporal_address, settings.temporal_namespace))

    try:
        asyncio.run(look())
    except AmeideError as error:
        return [Check(name, False, error.message, error.remedy)]
    except TimeoutError:
        return [Check(name, False, f"{settings.temporal_address} does not answer", "start it, or set TEMPORAL_ADDRESS")]
    return [Check(name, True, f"{settings.temporal_address}, namespace {settings.temporal_namespace}")]


def object_store(session: Session) -> Sequence[Check]:
    """Whether evidence can be written and read again."""
    name, location = "object store takes and gives", session.settings.object_store
    place = urlsplit(location)
    ours = place.scheme == "file" and unquote(place.path) == str(session.state.root / "objects")
    # A probe would make it, and `ameide restore` wants an empty state folder.
    if ours and not (session.state.root / "objects").exists():
        return [Check(name, True, f"{location} is made at the first `ameide up`")]
    try:
        asyncio.run(_probe(session))
    except (AmeideError, OSError) as error:
        said = error.message if isinstance(error, AmeideError) else str(error)
        return [Check(name, False, said, "make it writable, or correct AMEIDE_OBJECT_STORE and its credentials")]
    return [Check(name, True, location)]


def tokens(session: Session) -> Sequence[Check]:
    """Every principal of `ameide up` has a token, and the Domain takes it for what it should be."""
    name, state = "tokens of this installation", session.state
    if not state.known_principals():
        return [Check(name, True, "are made at the first `ameide up`")]
    missing = [principal for principal in PRINCIPALS if state.token(principal) is None]
    if missing:
        return [Check(name, False, f"there is none for {', '.join(missing)}", "ameide up makes new ones")]
    if not Managed("control", state).ready():
        return [Check(name, True, "all are there; whether they are valid is asked when the control process runs")]
    wrong = asyncio.run(_wrong_tokens(session))
    remedy = "delete the file in the folder tokens, then ameide up"
    return [Check(name, not wrong, "; ".join(wrong) or f"{len(PRINCIPALS)} are valid", remedy)]


async def _wrong_tokens(session: Session) -> list[str]:
    wrong: list[str] = []
    for principal, _ in admissions():
        token = session.state.token(principal.principal_id) or ""
        try:
            async with Clients(session.state.address(), token, timeout=5) as clients:
                found = (await clients.access.who_am_i(WhoAmIRequest())).principal
        except AmeideError as error:
            wrong.append(f"{principal.principal_id}: {error.message}")
            continue
        if found is None or found.principal_id != principal.principal_id:
            wrong.append(f"{principal.principal_id}: it is the token of {found.principal_id if found else 'nobody'}")
        elif lacking := sorted(set(principal.roles) - set(found.roles)):
            wrong.append(f"{principal.principal_id}: lacks the roles {', '.join(lacking)}")
    return wrong


async def _probe(session: Session) -> None:
    uri, text = "store:doctor/probe", b"Written by `ameide doctor`.\n"
    store = session.object_store()
    await store.put_if_absent(uri, text)
    await store.get(uri)


def _clock(theirs: datetime) -> Check:
    skew = abs((datetime.now(UTC) - theirs).total_seconds())
    said = f"{skew:.1f} s apart"
    return Check("clocks of machine and database", skew < _SKEW_SECONDS, said, "synchronise this machine's clock (NTP)")


def _runs(session: Session, engine: str) -> bool:
    if not session.state.settings_of("control").exists():
        return False
    return any(
        one.pid is not None for one in engine_of(session.settings, lambda _: None).status() if one.name == engine
    )


SERVICES: tuple[Callable[[Session], Sequence[Check]], ...] = (database, temporal, object_store, tokens)
