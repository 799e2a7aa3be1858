"""Releases, their promotions, and what runs in which environment."""

from __future__ import annotations

from ameide.architect.tools.arguments import PAGE, Arguments, schema, string
from ameide.architect.tools.citing import Cited, change_of, page
from ameide.architect.tools.rendering import clipped, facts, moment, word
from ameide.architect.tools.tool import Tool, ToolAnswer, ToolContext
from ameide_core_proto.transformation.governance.v1.governance_pb import Promotion, Release
from ameide_core_proto.transformation.governance.v1.query_service_pb import (
    GetReleaseRequest,
    ListEnvironmentsRequest,
    ListPromotionsRequest,
    ListReleasesRequest,
)

_CHANGE = string("Default: the conversation's, else all.", most=63)


async def _list(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    answer = await ctx.clients.queries.list_releases(
        ListReleasesRequest(
            scope=ctx.scope,
            min_position=ctx.min_position,
            page=page(arguments.text("page")),
            change_id=change_of(ctx, arguments.text("change_id")),
        )
    )
    cited = Cited(answer.read_context, answer.citations)
    for release in answer.releases:
        add_release(cited, release)
    return cited.answer(answer.next_page_token, empty="any release")


async def _get(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    answer = await ctx.clients.queries.get_release(
        GetReleaseRequest(scope=ctx.scope, min_position=ctx.min_position, release_id=arguments.text("release_id"))
    )
    cited = Cited(answer.read_context, answer.citations)
    if answer.release is not None:
        add_release(cited, answer.release)
    for promotion in answer.promotions:
        add_promotion(cited, promotion)
    return cited.answer()


async def _promotions(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    answer = await ctx.clients.queries.list_promotions(
        ListPromotionsRequest(
            scope=ctx.scope,
            min_position=ctx.min_position,
            page=page(arguments.text("page")),
            change_id=change_of(ctx, arguments.text("change_id")),
        )
    )
    cited = Cited(answer.read_context, answer.citations)
    for promotion in answer.promotions:
        add_promotion(cited, promotion)
    return cited.answer(answer.next_page_token, empty="any promotion")


async def _environments(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    answer = await ctx.clients.queries.list_environments(
        ListEnvironmentsRequest(
            scope=ctx.scope,
            min_position=ctx.min_position,
            repository_id=arguments.text("repository_id", ctx.repository_id),
        )
    )
    cited = Cited(answer.read_context, answer.citations)
    for state in answer.environments:
        text = facts(
            ("component", state.component),
            ("image", state.image_ref),
            ("release", state.release_id),
            ("promotion", state.promotion_id),
            ("status", word(state.status.name) if state.status else ""),
            ("since", moment(state.since)),
        )
        label = f"environment {state.environment} of {state.repository_id}"
        if state.promotion_id:
            cited.fact(f"promotion:{state.promotion_id}", label, text)
        else:
            cited.notes.append(f"{label}: nothing was promoted there yet")
    return cited.answer(empty="any environment: the policy names none")


def add_release(cited: Cited, release: Release) -> None:
    """The record of a release."""
    text = facts(
        ("component", release.component),
        ("image", release.image_ref),
        ("commit", release.commit_sha),
        ("change", release.change_id),
        ("run", release.process_instance_id),
        ("built by", release.build_work_request_id),
        ("recorded", moment(release.recorded_at)),
    )
    cited.fact(f"release:{release.release_id}", f"release {release.release_id}", text)


def add_promotion(cited: Cited, promotion: Promotion) -> None:
    """The record of a promotion. What the environment's check printed is untrusted."""
    text = facts(
        ("environment", promotion.environment),
        ("status", word(promotion.status.name)),
        ("release", promotion.release_id),
        ("image", promotion.image_ref),
        ("change", promotion.change_id),
        ("pull request", promotion.pr_url),
        ("commit", promotion.gitops_commit_sha),
        ("merged", moment(promotion.merged_at)),
        ("health", clipped(promotion.health_summary, 300)),
    )
    source = f"promotion {promotion.promotion_id}"
    cited.fact(
        f"promotion:{promotion.promotion_id}", source, text, untrusted=source if promotion.health_summary else ""
    )


TOOLS = (
    Tool(
        "list_releases", "Releases, newest first: image by digest, commit.", schema(change_id=_CHANGE, page=PAGE), _list
    ),
    Tool(
        "get_release",
        "One release with its promotions.",
        schema(["release_id"], release_id=string("Such as rel-….", most=63, least=1)),
        _get,
    ),
    Tool(
        "list_promotions",
        "Promotions, newest first: which release is, or is to be, in which environment.",
        schema(change_id=_CHANGE, page=PAGE),
        _promotions,
    ),
    Tool(
        "list_environments",
        "What runs in each environment.",
        schema(repository_id=string("Default: the conversation's, else all.", most=63)),
        _environments,
    ),
)
