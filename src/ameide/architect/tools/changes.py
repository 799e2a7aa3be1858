"""Changes, and everything that belongs to one."""

from __future__ import annotations

from ameide.architect.tools.arguments import PAGE, Arguments, choices, schema, string
from ameide.architect.tools.citing import Cited, change_of, page
from ameide.architect.tools.rendering import facts, moment, who, word
from ameide.architect.tools.tool import Tool, ToolAnswer, ToolContext
from ameide.errors import InvalidArgument
from ameide_core_proto.transformation.governance.v1.governance_pb import ChangeStatus
from ameide_core_proto.transformation.governance.v1.query_service_pb import (
    ChangeSummary,
    GetChangeRequest,
    GetChangeResponse,
    ListChangesRequest,
)

_STATUSES = tuple(word(status.name) for status in ChangeStatus if status)


async def whole(ctx: ToolContext, change_id: str) -> GetChangeResponse:
    """The change of that id, else the conversation's. Raises `NotFound`, and `InvalidArgument` when none is meant."""
    if not (wanted := change_of(ctx, change_id)):
        raise InvalidArgument(
            "is needed, since the conversation is about no change", field="change_id", remedy="list_changes names them"
        )
    return await ctx.clients.queries.get_change(
        GetChangeRequest(scope=ctx.scope, min_position=ctx.min_position, change_id=wanted)
    )


async def _list(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    answer = await ctx.clients.queries.list_changes(
        ListChangesRequest(
            scope=ctx.scope,
            min_position=ctx.min_position,
            page=page(arguments.text("page")),
            repository_id=arguments.text("repository_id", ctx.repository_id),
            statuses=[ChangeStatus[status.upper()] for status in arguments.texts("statuses")],
        )
    )
    cited = Cited(answer.read_context, answer.citations)
    for summary in answer.changes:
        add_change(cited, summary)
    return cited.answer(answer.next_page_token, empty="any such change")


async def _get(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    answer = await whole(ctx, arguments.text("change_id"))
    cited = Cited(answer.read_context, answer.citations)
    if answer.summary is not None:
        add_change(cited, answer.summary)
    return cited.answer()


def add_change(cited: Cited, summary: ChangeSummary) -> None:
    """The record of a change."""
    if (change := summary.change) is None:
        return
    run, usage = summary.newest_run, change.usage
    text = facts(
        ("status", word(change.status.name)),
        ("repository", change.repository_id),
        ("requested by", who(change.requester)),
        ("opened", moment(change.opened_at)),
        ("runs", change.last_run_number),
        ("newest run", f"{run.process_instance_id} {word(run.status.name)}" if run else "none yet"),
        ("outcome", run.outcome if run else ""),
        ("phase", summary.phase),
        ("waits for", summary.awaiting),
        ("place in queue", summary.queue_position),
        ("tokens used", usage.input_tokens + usage.output_tokens if usage else 0),
        ("canceled because", change.cancel_reason),
    )
    cited.fact(f"change:{change.change_id}", f"change {change.change_id} {change.title!r}", text)


TOOLS = (
    Tool(
        "list_changes",
        "Changes, newest first: title, status, phase, what each waits for.",
        schema(
            repository_id=string("Default: the conversation's, else all.", most=63),
            statuses=choices("Default: all.", _STATUSES),
            page=PAGE,
        ),
        _list,
    ),
    Tool(
        "get_change",
        "One change: who asked for it, where it stands, what it waits for, what it used.",
        schema(change_id=string("Default: the conversation's.", most=63)),
        _get,
    ),
)
