"""Where an executor takes its invitations from."""

from __future__ import annotations

import pytest

from ameide import config
from ameide.app.executors import invited
from ameide.contracts import topics
from ameide.errors import InvalidArgument
from ameide.infra.serving import none_invited

ONE_BY_KAFKA = {"AMEIDE_QUEUE_TRANSPORT": "verify.ui_harness=kafka"}


def test_who_serves_no_queue_of_kafka_needs_no_brokers() -> None:
    settings = config.read(ONE_BY_KAFKA)
    assert invited(settings, "one", (topics.QUEUE_VERIFY,)) is none_invited


@pytest.mark.parametrize("served", [(topics.QUEUE_VERIFY_UI,), topics.QUEUES])
def test_who_serves_one_is_told_what_to_name(served: tuple[str, ...]) -> None:
    with pytest.raises(InvalidArgument, match="KAFKA_BROKERS"):
        invited(config.read(ONE_BY_KAFKA), "one", served)


def test_only_queues_of_kafka_that_are_served_are_taken_from_there() -> None:
    settings = config.read({"AMEIDE_QUEUE_TRANSPORT": "kafka", "KAFKA_BROKERS": "127.0.0.1:9092"})
    assert set(invited(settings, "one", (topics.QUEUE_CODER,))({})) == {topics.QUEUE_CODER}
