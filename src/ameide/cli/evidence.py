"""`ameide evidence`: what attempts left behind, and whether it is still what was recorded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from ameide.cli.options import as_json, change_filter, quiet
from ameide.cli.output import brief, clock, emit_json, facts, heading, table, word
from ameide.cli.session import Session, every_page, pass_session
from ameide.errors import NotFound
from ameide.infra.evidence import verify_bundle
from ameide_core_proto.transformation.work.v1.query_service_pb import (
    GetEvidenceRequest,
    ListEvidenceRequest,
    ListEvidenceResponse,
)
from ameide_core_proto.transformation.work.v1.work_pb import CheckStatus, EvidenceBundle


@click.group()
def evidence() -> None:
    """Evidence: logs, test reports, patches, hashed when they were stored."""


@evidence.command("list")
@change_filter
@as_json
@quiet
@pass_session
def list_(session: Session, change_id: str, as_json: bool, quiet: bool) -> None:
    """Evidence bundles."""
    answer = _list(session, change_id)
    if as_json:
        emit_json(answer)
    elif quiet:
        for bundle in answer.bundles:
            click.echo(bundle.evidence_bundle_id)
    else:
        table(
            ("EVIDENCE", "WORK", "TOOL", "EXIT", "ENDED", "SUMMARY"),
            [
                (
                    b.evidence_bundle_id,
                    b.work_request_id,
                    b.tool_name,
                    str(b.exit_code),
                    clock(b.ended_at),
                    brief(b.summary),
                )
                for b in answer.bundles
            ],
        )


@evidence.command()
@click.argument("evidence_id", metavar="EVIDENCE")
@click.option("--artifact", metavar="NAME", help="Print this artifact's bytes.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write them to this file.")
@as_json
@pass_session
def get(session: Session, evidence_id: str, artifact: str | None, output: Path | None, as_json: bool) -> None:
    """One bundle, or the bytes of one of its artifacts."""
    answer = session.call(
        lambda clients: clients.work_queries.get_evidence(
            GetEvidenceRequest(scope=session.scope, evidence_bundle_id=evidence_id)
        )
    )
    bundle = answer.evidence
    if as_json:
        emit_json(answer)
    elif artifact is not None and bundle is not None:
        found = [a for a in bundle.artifacts if a.name == artifact]
        if not found:
            raise NotFound(
                f"{evidence_id} has no artifact {artifact!r}",
                field="artifact",
                remedy=f"It has: {', '.join(a.name for a in bundle.artifacts)}",
            )
        data = asyncio.run(session.object_store().get(found[0].uri))
        if output is not None:
            output.write_bytes(data)
        else:
            click.echo(data, nl=False)
    elif bundle is not None:
        _print(bundle)


@evidence.command()
@click.argument("evidence_id", metavar="EVIDENCE", required=False)
@change_filter
@pass_session
def verify(session: Session, evidence_id: str | None, change_id: str) -> None:
    """Hash every object again. Exit code 1, and the object's name, when one is not what was recorded."""
    if bool(evidence_id) == bool(change_id):
        raise click.UsageError("Name one EVIDENCE, or a change with --change.")
    if evidence_id:
        answer = session.call(
            lambda clients: clients.work_queries.get_evidence(
                GetEvidenceRequest(scope=session.scope, evidence_bundle_id=evidence_id)
            )
        )
        bundles = [answer.evidence] if answer.evidence else []
    else:
        bundles = list(_list(session, change_id).bundles)
    broken = asyncio.run(_mismatches(session, bundles))
    for line in broken:
        click.echo(line, err=True)
    count = sum(len(bundle.artifacts) for bundle in bundles)
    if broken:
        click.echo(f"{len(broken)} of {count} objects are not what was recorded.", err=True)
        raise click.exceptions.Exit(1)
    click.echo(f"{count} objects in {len(bundles)} bundles are what was recorded.")


async def _mismatches(session: Session, bundles: list[EvidenceBundle]) -> list[str]:
    store = session.object_store()
    return [line for bundle in bundles for line in await verify_bundle(bundle, store)]


def _list(session: Session, change_id: str) -> ListEvidenceResponse:
    return session.call(
        lambda clients: every_page(
            lambda page: clients.work_queries.list_evidence(
                ListEvidenceRequest(scope=session.scope, change_id=change_id, page=page)
            ),
            "bundles",
        )
    )


def _print(bundle: EvidenceBundle) -> None:
    facts(
        [
            ("evidence", bundle.evidence_bundle_id),
            ("work", f"{bundle.work_request_id}, attempt {bundle.attempt}"),
            ("tool", f"{bundle.tool_name} {bundle.tool_version}".strip()),
            ("command", " ".join(bundle.argv)),
            ("exit code", str(bundle.exit_code)),
            ("by", bundle.principal_id),
            ("from", clock(bundle.started_at)),
            ("until", clock(bundle.ended_at)),
            ("summary", bundle.summary),
        ]
    )
    if bundle.check_results:
        passed = sum(check.status == CheckStatus.PASSED for check in bundle.check_results)
        heading(f"Checks: {passed} of {len(bundle.check_results)} passed")
        for check in bundle.check_results:
            if check.status != CheckStatus.PASSED:
                click.echo(f"  {word(check.status.name)}  {check.id}")
    if bundle.artifacts:
        heading("Artifacts")
        table(
            ("NAME", "BYTES", "SHA-256", "OBJECT"),
            [(a.name, str(a.bytes), a.sha256, a.uri) for a in bundle.artifacts],
        )
