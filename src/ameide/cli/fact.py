"""`ameide fact` and `ameide cite`: from a citation back to the record that it names."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

import click
from protobuf import Message

from ameide.cli.options import as_json
from ameide.cli.output import emit_json
from ameide.cli.session import Session, pass_session
from ameide.errors import InvalidArgument
from ameide.rpc.clients import Clients
from ameide_core_proto.common.v1.reading_pb import Citation, CitationKind
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetArtifactRequest, GetFactRequest
from ameide_core_proto.transformation.work.v1.query_service_pb import GetEvidenceRequest, GetWorkRequest

_ARTIFACT = re.compile(r"(?P<id>art-[0-9a-f]+)(?:@(?P<number>[0-9]+))?")
_LINK = re.compile(r"[a-z][a-z0-9+.-]*:(//)?\S+")


@click.group()
def fact() -> None:
    """Facts: what is true, as it was said."""


@fact.command()
@click.argument("message_id", metavar="MESSAGE")
@as_json
@pass_session
def show(session: Session, message_id: str, as_json: bool) -> None:
    """One message of the log, whole."""
    answer = session.call(
        lambda clients: clients.queries.get_fact(GetFactRequest(scope=session.scope, message_id=message_id))
    )
    if as_json:
        emit_json(answer)
        return
    if answer.entry is not None:
        click.echo(f"{answer.entry.log_position}  {answer.entry.topic}  {answer.entry.name}")
    click.echo(json.dumps(json.loads(answer.body_json or "{}"), indent=2, ensure_ascii=False))


@click.command()
@click.argument("references", metavar="REF…", nargs=-1, required=True)
@pass_session
def cite(session: Session, references: tuple[str, ...]) -> None:
    """Resolve citations: a message id, artifact@version, work, evidence, or a link. Prints each record as JSON."""
    session.call(lambda clients: _resolve_all(session, clients, references))


def kind_of(reference: str) -> CitationKind:
    """What a reference names, by its form. Raises InvalidArgument for one that names nothing."""
    if reference.startswith("evd-"):
        return CitationKind.EVIDENCE_BUNDLE
    if reference.startswith("wrk-"):
        return CitationKind.WORK_REQUEST
    if _ARTIFACT.fullmatch(reference):
        return CitationKind.ARTIFACT_VERSION
    try:
        uuid.UUID(reference)
    except ValueError:
        if _LINK.fullmatch(reference) or reference.startswith("/"):
            return CitationKind.EXTERNAL_LINK
        raise InvalidArgument(
            f"{reference!r} names no record",
            field="ref",
            remedy="It is a message id, art-…@version, wrk-…, evd-…, or a link, as `citation.ref` of an answer says it",
        ) from None
    return CitationKind.DOMAIN_FACT


async def _resolve_all(session: Session, clients: Clients, references: tuple[str, ...]) -> None:
    for reference in references:
        kind = kind_of(reference)
        if kind == CitationKind.EXTERNAL_LINK:
            emit_json(Citation(kind=kind, ref=reference))
        else:
            emit_json(await _resolve(session, clients, kind, reference))


async def _resolve(session: Session, clients: Clients, kind: CitationKind, reference: str) -> Message[Any]:
    scope = session.scope
    match kind:
        case CitationKind.EVIDENCE_BUNDLE:
            return await clients.work_queries.get_evidence(
                GetEvidenceRequest(scope=scope, evidence_bundle_id=reference)
            )
        case CitationKind.WORK_REQUEST:
            return await clients.work_queries.get_work(GetWorkRequest(scope=scope, work_request_id=reference))
        case CitationKind.ARTIFACT_VERSION:
            match = _ARTIFACT.fullmatch(reference)
            assert match is not None
            return await clients.queries.get_artifact(
                GetArtifactRequest(scope=scope, artifact_id=match["id"], number=int(match["number"] or 0))
            )
        case _:
            return await clients.queries.get_fact(GetFactRequest(scope=scope, message_id=reference))
