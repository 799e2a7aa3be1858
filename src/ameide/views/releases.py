"""Releases, their promotions, and what runs where."""

from __future__ import annotations

from ameide.views import paging
from ameide.views.reading import Filter, Reading
from ameide_core_proto.common.v1.reading_pb import Page
from ameide_core_proto.transformation.governance.v1.governance_pb import Promotion, PromotionStatus, Release, Repository
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.governance.v1.query_service_pb import EnvironmentState

# A promotion that is only requested or proposed runs nowhere yet.
_DEPLOYED = (PromotionStatus.MERGED, PromotionStatus.HEALTHY, PromotionStatus.UNHEALTHY)


async def promotions_of(reading: Reading, release: Release) -> list[Promotion]:
    """The promotions of a release, oldest first; a rollback promotes it again, possibly for another change."""
    return await reading.every(
        Promotion,
        Filter(repository=release.repository_id),
        lambda promotion: promotion.release_id == release.release_id,
    )


async def promotions_page(
    reading: Reading, release_id: str, narrowed: Filter, page: Page | None
) -> tuple[list[Promotion], str]:
    """A page of a release's promotions, newest first, and the next page's token. Raises NotFound."""
    release = await reading.get(Release, release_id)
    found = [
        promotion
        for promotion in reversed(await promotions_of(reading, release))
        if not narrowed.change or promotion.change_id == narrowed.change
    ]
    size = paging.size_of(page)
    [start] = paging.decode(page, 1) or (0,)
    token = paging.encode(start + size) if len(found) > start + size else ""
    return found[start : start + size], token


async def environments(reading: Reading, repository_id: str) -> list[EnvironmentState]:
    """Per repository (one, or all when empty) and environment of its policy: the digest that was merged last."""
    repositories = (
        [await reading.get(Repository, repository_id)] if repository_id else await reading.every(Repository, Filter())
    )
    states: list[EnvironmentState] = []
    for repository in repositories:
        policy = await reading.find(Policy, repository.repository_id)
        names = [environment.name for environment in policy.environments] if policy else []
        promotions = await reading.every(Promotion, Filter(repository=repository.repository_id), _deployed)
        states += [_state(repository.repository_id, name, promotions) for name in names]
    return states


def _state(repository_id: str, environment: str, promotions: list[Promotion]) -> EnvironmentState:
    here = [promotion for promotion in promotions if promotion.environment == environment]
    newest = max(here, key=_merged_at, default=None)
    if newest is None:
        return EnvironmentState(repository_id=repository_id, environment=environment)
    return EnvironmentState(
        repository_id=repository_id,
        environment=environment,
        component=newest.component,
        image_ref=newest.image_ref,
        release_id=newest.release_id,
        promotion_id=newest.promotion_id,
        status=newest.status,
        since=newest.merged_at,
    )


def _deployed(promotion: Promotion) -> bool:
    return promotion.status in _DEPLOYED and promotion.merged_at is not None


def _merged_at(promotion: Promotion) -> float:
    return promotion.merged_at.to_datetime().timestamp() if promotion.merged_at else 0.0
