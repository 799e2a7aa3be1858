"""The one table from (work_kind, action_kind, suite) to a queue. Workflows never name a queue."""

from __future__ import annotations

from ameide.contracts import topics
from ameide.errors import InvalidArgument
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, WorkKind

UI_SUITE_PREFIX = "ui"

_ROUTES: dict[tuple[WorkKind, ActionKind], str] = {
    (WorkKind.TOOL_RUN, ActionKind.SCAFFOLD): topics.QUEUE_GENERATE,
    (WorkKind.TOOL_RUN, ActionKind.GENERATE): topics.QUEUE_GENERATE,
    (WorkKind.TOOL_RUN, ActionKind.PREFLIGHT): topics.QUEUE_VERIFY,
    (WorkKind.TOOL_RUN, ActionKind.VERIFY): topics.QUEUE_VERIFY,
    (WorkKind.TOOL_RUN, ActionKind.SMOKE): topics.QUEUE_VERIFY,
    (WorkKind.TOOL_RUN, ActionKind.ANALYZE): topics.QUEUE_VERIFY,
    (WorkKind.TOOL_RUN, ActionKind.MERGE): topics.QUEUE_PUBLISH,
    (WorkKind.TOOL_RUN, ActionKind.BUILD): topics.QUEUE_PUBLISH,
    (WorkKind.TOOL_RUN, ActionKind.PUBLISH): topics.QUEUE_PUBLISH,
    (WorkKind.TOOL_RUN, ActionKind.DEPLOY): topics.QUEUE_PUBLISH,
    (WorkKind.AGENT_WORK, ActionKind.PUBLISH): topics.QUEUE_CODER,
    (WorkKind.AGENT_WORK, ActionKind.ANALYZE): topics.QUEUE_ANALYST,
}


def route(work_kind: WorkKind, action_kind: ActionKind, suite: str = "") -> str:
    """The queue for a work. Raises InvalidArgument for a pair that nobody runs."""
    tool_verify = (work_kind, action_kind) == (WorkKind.TOOL_RUN, ActionKind.VERIFY)
    if tool_verify and (suite == UI_SUITE_PREFIX or suite.startswith(f"{UI_SUITE_PREFIX}_")):
        return topics.QUEUE_VERIFY_UI
    queue = _ROUTES.get((work_kind, action_kind))
    if queue is None:
        raise InvalidArgument(
            f"{work_kind.name} with {action_kind.name} is routed nowhere",
            field="action_kind",
            remedy="Agent work is PUBLISH or ANALYZE; everything else is a tool run",
        )
    return queue
