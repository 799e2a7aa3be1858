"""Rows of the log keep their order, observations stand between them by time, and keys survive growth."""

from datetime import UTC, datetime, timedelta

from ameide.contracts import topics
from ameide.views.timeline import Observation, merge
from ameide_core_proto.common.v1.reading_pb import CitationKind
from ameide_core_proto.transformation.governance.v1.query_service_pb import TimelineColumn

START = datetime(2026, 1, 1, tzinfo=UTC)


def _fact(position: int, second: float, topic: str = topics.WORK_FACTS) -> dict[str, object]:
    return {
        "position": position,
        "topic": topic,
        "name": f"fact-{position}",
        "message_id": f"m{position}",
        "occurred_at": START + timedelta(seconds=second),
        "actor": "olga",
        "on_behalf_of": "",
        "process_instance_id": "",
        "work_request_id": "wrk-1",
        "causation_id": "",
        "text": "",
    }


def _seen(second: float, name: str) -> Observation:
    return Observation(START + timedelta(seconds=second), name, "", "wrk-1", "")


def test_an_observation_stands_before_the_first_message_that_is_not_older():
    merged = merge(
        [_fact(1, 0), _fact(2, 10), _fact(3, 20)], [_seen(15, "late"), _seen(10, "claim"), _seen(30, "tail")]
    )
    assert [row.name for _, row in merged] == ["fact-1", "claim", "fact-2", "late", "fact-3", "tail"]


def test_the_log_s_order_wins_over_the_clock():
    merged = merge([_fact(1, 5), _fact(2, 0)], [_seen(4, "seen")])
    assert [row.name for _, row in merged] == ["seen", "fact-1", "fact-2"]


def test_keys_ascend_and_a_message_s_key_never_changes():
    facts = [_fact(1, 0), _fact(2, 10)]
    before = merge(facts, [_seen(5, "claim")])
    keys = [key for key, _ in before]
    assert keys == sorted(keys)
    after = merge([*facts, _fact(9, 20)], [_seen(5, "claim"), _seen(15, "exit")])
    assert [(key, row.name) for key, row in after][: len(before)] == [(key, row.name) for key, row in before]


def test_columns_and_citations_follow_the_topic():
    facts = [_fact(1, 0), _fact(2, 1, topics.PROCESS_FACTS), _fact(3, 2, topics.QUEUE_VERIFY)]
    rows = [row for _, row in merge(facts, [_seen(3, "exit")])]
    assert [row.column for row in rows] == [
        TimelineColumn.EVENTS,
        TimelineColumn.PROCESS,
        TimelineColumn.EVENTS,
        TimelineColumn.INFRA,
    ]
    cited = [(row.citation.kind, row.citation.ref) for row in rows if row.citation]
    assert cited == [
        (CitationKind.DOMAIN_FACT, "m1"),
        (CitationKind.PROCESS_FACT, "m2"),
        (CitationKind.WORK_REQUEST, "wrk-1"),
        (CitationKind.WORK_REQUEST, "wrk-1"),
    ]


def test_a_change_without_messages_still_shows_what_infra_saw():
    assert [row.name for _, row in merge([], [_seen(1, "claim")])] == ["claim"]
