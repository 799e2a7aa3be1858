"""`ameide release` and `ameide promotion`: what was built, by digest, and where it runs."""

from __future__ import annotations

import click

from ameide.cli.options import as_json, change_filter, quiet
from ameide.cli.output import clock, coloured, emit_json, facts, heading, table, word
from ameide.cli.session import Session, every_page, pass_session
from ameide_core_proto.transformation.governance.v1.governance_pb import Promotion
from ameide_core_proto.transformation.governance.v1.query_service_pb import (
    GetPromotionRequest,
    GetReleaseRequest,
    ListEnvironmentsRequest,
    ListPromotionsRequest,
    ListReleasesRequest,
)


@click.group()
def release() -> None:
    """Releases: images, pinned by digest."""


@release.command("list")
@change_filter
@as_json
@quiet
@pass_session
def list_releases(session: Session, change_id: str, as_json: bool, quiet: bool) -> None:
    """Recorded releases."""
    answer = session.call(
        lambda clients: every_page(
            lambda page: clients.queries.list_releases(
                ListReleasesRequest(scope=session.scope, change_id=change_id, page=page)
            ),
            "releases",
        )
    )
    if as_json:
        emit_json(answer)
    elif quiet:
        for found in answer.releases:
            click.echo(found.release_id)
    else:
        table(
            ("RELEASE", "COMPONENT", "COMMIT", "RECORDED", "IMAGE"),
            [
                (r.release_id, r.component, r.commit_sha[:12], clock(r.recorded_at), r.image_ref)
                for r in answer.releases
            ],
        )


@release.command("show")
@click.argument("release_id", metavar="RELEASE")
@as_json
@pass_session
def show_release(session: Session, release_id: str, as_json: bool) -> None:
    """One release and its promotions."""
    answer = session.call(
        lambda clients: clients.queries.get_release(GetReleaseRequest(scope=session.scope, release_id=release_id))
    )
    if as_json:
        emit_json(answer)
    elif answer.release is not None:
        found = answer.release
        facts(
            [
                ("release", found.release_id),
                ("component", found.component),
                ("image", found.image_ref),
                ("commit", found.commit_sha),
                ("change", found.change_id),
                ("built by", found.build_work_request_id),
                ("recorded", clock(found.recorded_at)),
            ]
        )
        heading("Promotions")
        _table(answer.promotions)


@click.group()
def promotion() -> None:
    """Promotions: a digest copied into an environment."""


@promotion.command("list")
@change_filter
@click.option("--release", "release_id", default="", help="Only of this release.")
@as_json
@quiet
@pass_session
def list_promotions(session: Session, change_id: str, release_id: str, as_json: bool, quiet: bool) -> None:
    """Promotions, oldest first."""
    answer = session.call(
        lambda clients: every_page(
            lambda page: clients.queries.list_promotions(
                ListPromotionsRequest(scope=session.scope, change_id=change_id, release_id=release_id, page=page)
            ),
            "promotions",
        )
    )
    if as_json:
        emit_json(answer)
    elif quiet:
        for found in answer.promotions:
            click.echo(found.promotion_id)
    else:
        _table(answer.promotions)


@promotion.command("show")
@click.argument("promotion_id", metavar="PROMOTION")
@as_json
@pass_session
def show_promotion(session: Session, promotion_id: str, as_json: bool) -> None:
    """One promotion."""
    request = GetPromotionRequest(scope=session.scope, promotion_id=promotion_id)
    answer = session.call(lambda clients: clients.queries.get_promotion(request))
    if as_json:
        emit_json(answer)
    elif answer.promotion is not None:
        found = answer.promotion
        facts(
            [
                ("promotion", found.promotion_id),
                ("environment", found.environment),
                ("status", coloured(word(found.status.name))),
                ("image", found.image_ref),
                ("release", found.release_id),
                ("change", found.change_id),
                ("pull request", found.pr_url),
                ("gitops commit", found.gitops_commit_sha),
                ("merged", clock(found.merged_at)),
                ("health", found.health_summary),
            ]
        )


@promotion.command("environments")
@click.option("--repository", default="", help="Only of this repository.")
@as_json
@pass_session
def environments(session: Session, repository: str, as_json: bool) -> None:
    """What runs where."""
    request = ListEnvironmentsRequest(scope=session.scope, repository_id=repository)
    answer = session.call(lambda clients: clients.queries.list_environments(request))
    if as_json:
        emit_json(answer)
        return
    table(
        ("REPOSITORY", "ENVIRONMENT", "STATUS", "SINCE", "IMAGE"),
        [
            (e.repository_id, e.environment, coloured(word(e.status.name)), clock(e.since), e.image_ref)
            for e in answer.environments
        ],
    )


def _table(promotions: list[Promotion]) -> None:
    table(
        ("PROMOTION", "ENVIRONMENT", "STATUS", "GITOPS COMMIT", "IMAGE"),
        [
            (p.promotion_id, p.environment, coloured(word(p.status.name)), p.gitops_commit_sha[:12], p.image_ref)
            for p in promotions
        ],
    )
