"""Claims and heartbeats stay as cheap as they were, however many works have come and gone and however many wait."""

from tests.conftest import SpineDatabase
from tests.storage.claims_flat import measure


async def test_claims_and_heartbeats_touch_no_more_after_many_works(database: SpineDatabase) -> None:
    found = await measure(database, 1_500, 1_500, print)
    assert found.after.claim <= 1.5 * found.before.claim
    assert found.after.heartbeat <= 1.5 * found.before.heartbeat
    # A heartbeat touches no index: its row moves within its page.
    assert found.hot > 0.9
