"""Which role serves a queue, and how many slots a queue has for itself."""

import pytest

from ameide import config
from ameide.contracts import topics
from ameide.errors import InvalidArgument
from ameide.infra.roles import Role, queue_slots


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
