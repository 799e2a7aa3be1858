"""What an operator is shown of outbox, queues and consumers, and what is left out when it cannot be read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ameide.contracts import topics
from ameide.contracts.ids import new_message_id
from ameide.errors import Unreachable
from ameide.events import gauges
from ameide.events.outbox import OutboxMessage, append
from ameide.events.relay import Relay
from ameide.events.wakeups import Wakeups
from ameide.telemetry import metrics
from ameide.telemetry.metrics import Gauges, Readings
from tests.events.conftest import Pools


def said(**other: str) -> OutboxMessage:
    """A fact of a minute ago; ``other`` are fields with other values."""
    fact = OutboxMessage(
        tenant_id="acme",
        topic=topics.WORK_FACTS,
        kind="fact",
        key="acme:wrk-1",
        message_id=new_message_id(),
        name="WorkRequested",
        aggregate_type="work",
        aggregate_id="wrk-1",
        aggregate_version=1,
        process_instance_id="",
        correlation_id="",
        causation_id="",
        work_request_id="wrk-1",
        occurred_at=datetime.now(UTC) - timedelta(minutes=1),
        payload=b"",
    )
    return replace(fact, **other)


async def test_what_waits_is_told_by_age_and_number(pools: Pools) -> None:
    app, relay = await pools.role("ameide_app"), await pools.role("ameide_relay")
    ingress, projector = await pools.role("ameide_ingress"), await pools.role("ameide_projector")
    assert (await gauges.of_relay(relay))["outbox_oldest_age_seconds"] == {"": 0.0}
    assert (await gauges.of_consumer(ingress, "ingress"))["consumer_lag_seconds"] == {"ingress": 0.0}

    intent = said(topic=topics.QUEUE_VERIFY, kind="intent", name="WorkExecutionRequested")
    async with app.transaction("acme") as tx:
        append(tx, [said(), intent])
    assert 60 <= (await gauges.of_relay(relay))["outbox_oldest_age_seconds"][""] < 600

    published = metrics.REGISTRY.get_sample_value("events_published_total") or 0.0
    await Relay(relay, Wakeups()).move()
    assert metrics.REGISTRY.get_sample_value("events_published_total") == published + 2
    told = await gauges.of_relay(relay)
    assert told["outbox_oldest_age_seconds"] == {"": 0.0}
    assert set(told["queue_ready"]) == set(topics.QUEUES)
    assert {queue for queue, waiting in told["queue_ready"].items() if waiting} == {topics.QUEUE_VERIFY}
    left = await gauges.of_relay(relay, (topics.QUEUE_VERIFY,))
    assert set(left["queue_ready"]) == set(topics.QUEUES) - {topics.QUEUE_VERIFY}
    for consumer, database in (("ingress", ingress), ("projector", projector)):
        told = await gauges.of_consumer(database, consumer)
        assert 60 <= told["consumer_lag_seconds"][consumer] < 600
        assert told["parked_messages"] == {consumer: 0.0}


async def test_a_gauge_that_cannot_be_read_is_left_out_and_the_others_are_told() -> None:
    async def told() -> Readings:
        return {"parked_messages": {"ingress": 3.0}}

    async def silent() -> Readings:
        raise Unreachable("no database", remedy="Start it")

    shown = Gauges()
    shown.add(silent)
    shown.add(told)
    text = (await metrics.exposition(shown)).decode()
    assert 'parked_messages{consumer="ingress"} 3.0' in text
    assert "outbox_oldest_age_seconds" not in text
