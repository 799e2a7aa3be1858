"""Records of Kafka that whoever may write to a topic made up: what cannot be of a log is no message."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from confluent_kafka import Message

from ameide.contracts.topics import QUEUE_CODER, WORK_FACTS
from ameide.events.backends.kafka.records import headers, invitation_of, message_of
from ameide.events.messages import LoggedMessage

FACT = LoggedMessage(
    tenant_id="acme",
    topic=WORK_FACTS,
    kind="fact",
    key="acme:wrk-1",
    message_id="msg-1",
    name="WorkStarted",
    aggregate_type="work",
    aggregate_id="wrk-1",
    aggregate_version=2,
    process_instance_id="r2r/acme/chg-1/1",
    correlation_id="chg-1",
    causation_id="",
    work_request_id="wrk-1",
    occurred_at=datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
    payload=b"fact",
    position=7,
)


def record(topic: str = WORK_FACTS, **changed: bytes) -> Message:
    """The record of the fact, with some headers written by somebody else."""
    known = {name: value if isinstance(value, bytes) else str(value).encode() for name, value in headers(FACT)}
    made: list[tuple[str, str | bytes | None]] = list((known | changed).items())
    return Message(topic=topic, partition=0, offset=0, key=FACT.key.encode(), value=FACT.payload, headers=made)


def test_what_a_forwarder_wrote_is_read_as_it_was() -> None:
    assert message_of(record()) == FACT


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-01-01T00:00:00"])
def test_a_time_that_somebody_made_up_is_compared_without_an_error(time: str) -> None:
    assert message_of(record(occurred_at=time.encode())) not in {FACT}


@pytest.mark.parametrize("place", [b"0", b"-7", b"9223372036854775808", b"1" * 5000, b"seven"])
def test_a_place_that_no_log_has_is_none(place: bytes) -> None:
    with pytest.raises(ValueError, match=r"place|int"):
        message_of(record(log_position=place))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("work_request_id", b""),
        ("work_request_id", b"wrk-\x00"),
        ("work_request_id", b"w" * 64),
        ("work_request_id", b"w" * 1_000_000),
        ("tenant_id", b"a" * 64),
        ("tenant_id", b"acme\n"),
        ("tenant_id", b"\xff"),
    ],
)
def test_an_invitation_names_a_work_that_the_domain_could_have(name: str, value: bytes) -> None:
    with pytest.raises(ValueError, match=r"no work|decode"):
        invitation_of(record(QUEUE_CODER, **{name: value}))
    assert invitation_of(record(QUEUE_CODER)).work_request_id == "wrk-1"
