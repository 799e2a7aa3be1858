"""The metrics of contracts 8, in one registry a process. No label names a tenant, a person or a record.

Counters and histograms are counted where the thing happens. What only the database knows is read when a scrape comes,
by the role whose loop owns it, within a bound of time, and at most once a second.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ameide.errors import AmeideError

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
READ_SECONDS = 2.0
FRESH_SECONDS = 1.0
log = logging.getLogger(__name__)

disable_created_metrics()
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

EVENTS_PUBLISHED = Counter(
    "events_published_total", "Facts and intents that the relay has moved into the log.", registry=REGISTRY
)
EVENTS_PROCESSED = Counter(
    "events_processed_total",
    "Messages of the log that a consumer is done with, by what became of them.",
    ("consumer", "outcome"),
    registry=REGISTRY,
)
EVENT_PROCESSING = Histogram(
    "event_processing_duration_seconds",
    "How long a consumer took: ingress for each message, projector and forwarder for each batch.",
    ("consumer",),
    registry=REGISTRY,
)
WORK_CLAIMS = Counter(
    "work_claims_total", "Answers to claims of executors; none is a poll without work.", ("answer",), registry=REGISTRY
)
WORK_DURATION = Histogram(
    "work_duration_seconds",
    "From the start of the attempt that ended a work to its outcome.",
    ("action", "status"),
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600),
    registry=REGISTRY,
)
_GAUGES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "outbox_oldest_age_seconds": ("Age of the oldest message that is not in the log yet; 0 when there is none.", ()),
    "consumer_lag_seconds": ("Age of the oldest message that a consumer has not passed; 0 at the end.", ("consumer",)),
    "kafka_group_lag": ("Messages in Kafka that a consumer group has not acknowledged.", ("group",)),
    "parked_messages": ("Messages that a consumer has set aside.", ("consumer",)),
    "queue_ready": ("Invitations that wait in a queue for an executor.", ("queue",)),
    "executor_up": ("Whether an executor process of this pool runs and serves.", ("executor",)),
    "executor_starts": ("How often this pool has started an executor process.", ("executor",)),
}
Readings = Mapping[str, Mapping[str, float]]
"""Values by metric, then by the value of its one label, which is empty for a metric without one."""


class Gauges(Collector):
    """Gauges that are read when they are asked for; one whose reading failed is left out rather than shown as old."""

    def __init__(self) -> None:
        self._sources: list[Callable[[], Awaitable[Readings]]] = []
        self._readings: list[Readings] = []
        self._read_at = float("-inf")
        self._one_at_a_time = asyncio.Lock()

    def add(self, source: Callable[[], Awaitable[Readings]]) -> None:
        """Ask this source, too."""
        self._sources.append(source)

    def collect(self) -> Iterable[Metric]:
        """The last readings."""
        for name, (doc, labels) in _GAUGES.items():
            family = GaugeMetricFamily(name, doc, labels=labels)
            for reading in self._readings:
                for label, value in reading.get(name, {}).items():
                    family.add_metric([label] if labels else [], value)
            if family.samples:
                yield family

    async def refresh(self) -> None:
        """Ask every source, unless that was done within the last second."""
        async with self._one_at_a_time:
            if time.monotonic() - self._read_at >= FRESH_SECONDS:
                answers = await asyncio.gather(*(_read(source) for source in self._sources))
                self._readings = [answer for answer in answers if answer is not None]
                self._read_at = time.monotonic()


async def _read(source: Callable[[], Awaitable[Readings]]) -> Readings | None:
    try:
        async with asyncio.timeout(READ_SECONDS):
            return await source()
    except (AmeideError, TimeoutError) as error:
        log.warning("a gauge could not be read", extra={"error": str(error) or type(error).__name__})
        return None


async def exposition(gauges: Gauges) -> bytes:
    """Everything, in the text format of Prometheus."""
    await gauges.refresh()
    own = CollectorRegistry()
    own.register(gauges)
    return generate_latest(REGISTRY) + generate_latest(own)
