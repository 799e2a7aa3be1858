"""Topic and queue names (contracts 2)."""

from __future__ import annotations

from ameide.errors import InvalidArgument

WORK_FACTS = "transformation.work.domain.facts.v1"
KNOWLEDGE_FACTS = "transformation.knowledge.domain.facts.v1"
GOVERNANCE_FACTS = "transformation.governance.domain.facts.v1"
PROCESS_FACTS = "transformation.process.facts.v1"
FACT_TOPICS = (WORK_FACTS, KNOWLEDGE_FACTS, GOVERNANCE_FACTS, PROCESS_FACTS)

QUEUE_GENERATE = "transformation.work.queue.toolrun.generate.v1"
QUEUE_VERIFY = "transformation.work.queue.toolrun.verify.v1"
QUEUE_VERIFY_UI = "transformation.work.queue.toolrun.verify.ui_harness.v1"
QUEUE_PUBLISH = "transformation.work.queue.toolrun.publish.v1"
QUEUE_CODER = "transformation.work.queue.agentwork.coder.v1"
QUEUE_ANALYST = "transformation.work.queue.agentwork.analyst.v1"
_QUEUE_PREFIX = "transformation.work.queue."
QUEUES = (QUEUE_GENERATE, QUEUE_VERIFY, QUEUE_VERIFY_UI, QUEUE_PUBLISH, QUEUE_CODER, QUEUE_ANALYST)


def consumer_group(topic: str) -> str:
    """The consumer group of a topic: its name with dots turned into dashes."""
    return topic.replace(".", "-")


def short_name(queue: str) -> str:
    """What people call a queue: `coder`, `verify.ui_harness`."""
    return queue.removeprefix(_QUEUE_PREFIX).partition(".")[2].removesuffix(".v1")


def queue_named(text: str, field: str = "QUEUE") -> str:
    """The queue of a full or a short name. Raises InvalidArgument, naming `field`, for another."""
    for queue in QUEUES:
        if text in (queue, short_name(queue)):
            return queue
    raise InvalidArgument(
        f"there is no queue {text!r}",
        field=field,
        remedy=f"Choose of {' '.join(short_name(queue) for queue in QUEUES)}",
    )
