"""Which role serves a queue, how many slots a queue has for itself, and what its works do not see."""

from pathlib import Path

import pytest

from ameide import config
from ameide.contracts import topics
from ameide.errors import InvalidArgument
from ameide.infra.roles import Role, isolation, queue_slots


def test_every_queue_has_a_role_and_who_writes_does_not_verify():
    roles = {topics.short_name(queue): Role.of(queue) for queue in topics.QUEUES}
    assert {name for name, role in roles.items() if role is Role.AUTHOR} == {"coder", "analyst", "generate"}
    for role in Role:
        assert {Role.of(queue) for queue in role.queues} == {role}


def test_slots_are_said_by_full_or_short_name():
    said = config.read({"AMEIDE_QUEUE_SLOTS": f"verify=4 {topics.QUEUE_PUBLISH}=0"})
    assert queue_slots(said) == {topics.QUEUE_VERIFY: 4, topics.QUEUE_PUBLISH: 0}


@pytest.mark.parametrize("word", ["verify", "verify=many", "verify=-1", "nobody=1"])
def test_a_wrong_word_is_named_with_its_setting(word: str):
    with pytest.raises(InvalidArgument) as refused:
        queue_slots(config.read({"AMEIDE_QUEUE_SLOTS": word}))
    assert refused.value.field == "AMEIDE_QUEUE_SLOTS"


def test_no_work_sees_the_key_that_brokers_are_shown():
    said = config.read({"AMEIDE_KAFKA_KEY_FILE": "/opt/kafka/client.key"})
    assert Path("/opt/kafka/client.key") in isolation(said).hidden
    assert isolation(config.read({})).hidden[-1] != Path("/opt/kafka/client.key")
