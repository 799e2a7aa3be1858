"""The topics: every fact of the log is there, and those of a key come for the first time in the log's order."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from confluent_kafka import Consumer, TopicPartition

from tests.faults.oracle.database import Snapshot
from tests.faults.oracle.verdict import Verdict

_PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Given:
    """A record: what it says of itself, and where it lies."""

    topic: str
    key: str
    position: int
    message_id: str


def records(brokers: str, topics: list[str]) -> list[Given]:
    """All records of the topics, those of a partition in its order."""
    reader = Consumer({"bootstrap.servers": brokers, "group.id": f"oracle-{uuid.uuid4()}", "enable.auto.commit": False})
    found: list[Given] = []
    try:
        known = reader.list_topics(timeout=_PATIENCE_SECONDS).topics
        for topic in topics:
            for partition in known[topic].partitions if topic in known else ():
                found += _records(reader, TopicPartition(topic, partition))
    finally:
        reader.close()
    return found


def _records(reader: Consumer, place: TopicPartition) -> list[Given]:
    found: list[Given] = []
    begin, end = reader.get_watermark_offsets(place, timeout=_PATIENCE_SECONDS)
    place.offset = begin
    reader.assign([place])
    while begin < end:
        # Asked for many, it waits until there are as many, or its time is over.
        if record := reader.poll(_PATIENCE_SECONDS):
            headers = {name: value.decode() for name, value in record.headers() or [] if isinstance(value, bytes)}
            key = record.key()
            assert isinstance(key, bytes)
            position, message_id = int(headers["log_position"]), headers["message_id"]
            found.append(Given(place.topic, key.decode(), position, message_id))
            begin = (record.offset() or 0) + 1
    reader.unassign()
    return found


async def check_topics(base: Snapshot, brokers: str, verdict: Verdict) -> None:
    """Raises nothing for a message that is there twice: Kafka has each at least once."""
    rows = await base.rows("SELECT position, message_id, key, topic, name FROM ameide.log WHERE kind <> 'intent'")
    given = records(brokers, sorted({str(row["topic"]) for row in rows}))
    there = {one.message_id for one in given}
    for row in rows:
        if row["message_id"] not in there:
            verdict.lost.append(f"{row['name']} at position {row['position']} of {row['key']} is not in {row['topic']}")
    last: dict[tuple[str, str], int] = {}
    seen: set[str] = set()
    for one in given:
        if one.message_id in seen:
            continue
        seen.add(one.message_id)
        before = last.get((one.topic, one.key), 0)
        if one.position < before:
            verdict.lost.append(f"the order of {one.key} in {one.topic}: {one.position} came after {before}")
        last[one.topic, one.key] = max(one.position, before)
