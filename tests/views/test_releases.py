"""What was released, where it was promoted to, and what runs where."""

from datetime import UTC, datetime, timedelta

import pytest
from protobuf.wkt import Timestamp

from ameide.domain.unit import Unit
from ameide.errors import NotFound
from ameide.process.readings import Readings
from ameide.process.steps import Read
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.common.v1.reading_pb import Page
from ameide_core_proto.transformation.governance.v1 import facts_pb as facts
from ameide_core_proto.transformation.governance.v1 import query_service_pb as q
from ameide_core_proto.transformation.governance.v1.governance_pb import Promotion, PromotionStatus, Release
from tests.domain_work.world import PROCESS
from tests.views.readers import Readers

OLD, NEW = ("registry/orders@sha256:" + digit * 64 for digit in "12")
START = datetime(2026, 1, 1, tzinfo=UTC)


def _release(id: str, image_ref: str, repository_id: str = "orders") -> Release:
    return Release(
        scope=Scope(tenant_id="default", repository_id=repository_id),
        release_id=id,
        change_id="chg-1",
        repository_id=repository_id,
        component="orders",
        image_ref=image_ref,
        commit_sha="c" * 40,
        version=1,
    )


def _promotion(id: str, release: Release, environment: str, status: PromotionStatus, minute: int) -> Promotion:
    merged = status not in (PromotionStatus.REQUESTED, PromotionStatus.PROPOSED)
    return Promotion(
        scope=release.scope,
        promotion_id=id,
        release_id=release.release_id,
        change_id=release.change_id,
        repository_id="orders",
        environment=environment,
        image_ref=release.image_ref,
        component="orders",
        status=status,
        merged_at=Timestamp.from_datetime(START + timedelta(minutes=minute)) if merged else None,
        version=1,
    )


@pytest.fixture
async def released(readers: Readers) -> Readers:
    """Two releases; the newer one is in dev, only proposed for staging, and was rolled back from production."""
    old, new = _release("rel-old", OLD), _release("rel-new", NEW)
    healthy, proposed = PromotionStatus.HEALTHY, PromotionStatus.PROPOSED

    async def handler(unit: Unit) -> None:
        unit.record(facts.ReleaseRecorded(release=old), facts.ReleaseRecorded(release=new))
        for promotion in (
            _promotion("prm-1", old, "dev", healthy, 1),
            _promotion("prm-2", old, "staging", healthy, 2),
            _promotion("prm-3", new, "dev", healthy, 3),
            _promotion("prm-4", new, "staging", proposed, 0),
            _promotion("prm-5", new, "production", PromotionStatus.UNHEALTHY, 4),
            _promotion("prm-6", old, "production", PromotionStatus.MERGED, 5),
        ):
            unit.record(facts.RolloutHealthRecorded(promotion=promotion))

    await readers.world.register()
    await readers.world.service.perform(PROCESS, "RecordRelease", None, handler)
    await readers.caught_up()
    return readers


async def test_an_environment_runs_what_was_merged_last(released: Readers):
    client = await released.reader()
    answer = await client.queries.list_environments(q.ListEnvironmentsRequest())
    found = {state.environment: (state.image_ref, state.promotion_id, state.status) for state in answer.environments}
    assert found == {
        "dev": (NEW, "prm-3", PromotionStatus.HEALTHY),
        "staging": (OLD, "prm-2", PromotionStatus.HEALTHY),
        "production": (OLD, "prm-6", PromotionStatus.MERGED),
    }
    assert all(state.since for state in answer.environments)


async def test_a_release_shows_its_promotions_and_pages_through_them(released: Readers):
    client = await released.reader()
    release = await client.queries.get_release(q.GetReleaseRequest(release_id="rel-old"))
    assert [promotion.promotion_id for promotion in release.promotions] == ["prm-1", "prm-2", "prm-6"]
    first = await client.queries.list_promotions(q.ListPromotionsRequest(release_id="rel-old", page=Page(size=2)))
    assert [promotion.promotion_id for promotion in first.promotions] == ["prm-6", "prm-2"]
    rest = await client.queries.list_promotions(
        q.ListPromotionsRequest(release_id="rel-old", page=Page(size=2, token=first.next_page_token))
    )
    assert [promotion.promotion_id for promotion in rest.promotions] == ["prm-1"]
    assert rest.next_page_token == ""
    with pytest.raises(NotFound):
        await client.queries.list_promotions(q.ListPromotionsRequest(release_id="rel-none"))


async def test_releases_and_promotions_of_a_change(released: Readers):
    client = await released.reader()
    releases = await client.queries.list_releases(q.ListReleasesRequest(change_id="chg-1"))
    assert [release.release_id for release in releases.releases] == ["rel-new", "rel-old"]
    promotions = await client.queries.list_promotions(q.ListPromotionsRequest(change_id="chg-1"))
    assert len(promotions.promotions) == 6
    one = await client.queries.get_promotion(q.GetPromotionRequest(promotion_id="prm-4"))
    assert one.promotion is not None
    assert one.promotion.status == PromotionStatus.PROPOSED


async def test_a_run_reads_the_releases_of_its_repository_however_many_others_there_are(released: Readers):
    async def handler(unit: Unit) -> None:
        for number in range(120):
            unit.record(facts.ReleaseRecorded(release=_release(f"rel-{number}", NEW, "billing")))

    await released.world.service.perform(PROCESS, "RecordRelease", None, handler)
    await released.caught_up()
    read = Readings(await released.reader()).perform_read
    told = await read(Read("ListReleases", "default", "orders", "chg-1", 10))
    assert told.lines == [f"the last release is rel-new at {'c' * 40}"]
    assert (await read(Read("ListReleases", "default", "stock", "chg-2", 10))).lines == ["no release yet"]
