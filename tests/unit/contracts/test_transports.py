"""Which way a queue goes is said by a word for all, or one for each."""

import pytest

from ameide.contracts import topics
from ameide.contracts.transports import Transports
from ameide.errors import InvalidArgument


def test_everything_goes_by_postgres_unless_said_otherwise():
    assert not Transports.of("postgres", ()).any_kafka


def test_a_word_for_all_and_one_for_a_queue():
    found = Transports.of("kafka", ("kafka", "coder=postgres"))
    assert found.facts_on_kafka
    assert found.kafka_queues == set(topics.QUEUES) - {topics.QUEUE_CODER}


def test_a_queue_by_its_full_or_short_name():
    words = (f"{topics.QUEUE_CODER}=kafka", "verify.ui_harness=kafka")
    assert Transports.of("postgres", words).kafka_queues == {topics.QUEUE_CODER, topics.QUEUE_VERIFY_UI}


@pytest.mark.parametrize(
    ("facts", "queues", "field"),
    [
        ("rabbit", (), "AMEIDE_FACTS_TRANSPORT"),
        ("postgres", ("rabbit",), "AMEIDE_QUEUE_TRANSPORT"),
        ("postgres", ("nobody=kafka",), "AMEIDE_QUEUE_TRANSPORT"),
    ],
)
def test_a_wrong_word_is_named_with_its_setting(facts: str, queues: tuple[str, ...], field: str):
    with pytest.raises(InvalidArgument) as refused:
        Transports.of(facts, queues)
    assert refused.value.field == field


def test_short_names_name_their_queues():
    assert [topics.queue_named(topics.short_name(queue)) for queue in topics.QUEUES] == list(topics.QUEUES)
