"""Changes, and everything that belongs to one."""

from __future__ import annotations

from ameide.architect.tools import releases, works
from ameide.architect.tools.arguments import PAGE, Arguments, choices, schema, string
from ameide.architect.tools.citing import Cited, change_of, page
from ameide.architect.tools.rendering import facts, moment, who, word
from ameide.architect.tools.tool import Tool, ToolAnswer, ToolContext
from ameide.errors import InvalidArgument
from ameide_core_proto.transformation.governance.v1.governance_pb import ChangeStatus, Run
from ameide_core_proto.transformation.governance.v1.query_service_pb import (
    ChangeSummary,
    GetChangeRequest,
    GetChangeResponse,
    ListChangesRequest,
)

_WORKS = 25
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
        add_change(cited, summary, source="a list of changes")
    return cited.answer(answer.next_page_token, empty="any such change")


async def _get(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    answer = await whole(ctx, arguments.text("change_id"))
    cited = Cited(answer.read_context, answer.citations)
    if answer.summary is not None:
        add_change(cited, answer.summary)
    for run in answer.runs:
        _add_run(cited, run, answer)
    for artifact in answer.artifacts:
        number = artifact.current.number if artifact.current else 0
        status = word(artifact.current.status.name) if artifact.current else ""
        label = f"{word(artifact.kind.name)} {artifact.artifact_id}@{number}"
        cited.fact(f"artifact:{artifact.artifact_id}", label, facts(("status", status)))
    for gate in answer.gates:
        told = facts(
            ("status", word(gate.status.name)), ("run", gate.process_instance_id), ("by", who(gate.decided_by))
        )
        cited.fact(f"gate:{gate.gate_id}", f"gate {gate.gate_id} {word(gate.kind.name)}", told)
    for work in answer.works[-_WORKS:]:
        works.add_work(cited, work)
    if len(answer.works) > _WORKS:
        cited.notes.append(f"{len(answer.works) - _WORKS} older works are left out; list_work has them")
    for release in answer.releases:
        releases.add_release(cited, release)
    for promotion in answer.promotions:
        releases.add_promotion(cited, promotion)
    return cited.answer()


def _add_run(cited: Cited, run: Run, change: GetChangeResponse) -> None:
    cost = next((one for one in change.costs if one.process_instance_id == run.process_instance_id), None)
    lines = [
        facts(
            ("status", word(run.status.name)),
            ("kind", word(run.kind.name) if run.kind else ""),
            ("outcome", run.outcome),
            ("started by", who(run.requested_by)),
            ("requested", moment(run.requested_at)),
            ("closed", moment(run.closed_at)),
            ("tokens", cost.usage.input_tokens + cost.usage.output_tokens if cost and cost.usage else 0),
            ("seconds at work", cost.wall_time_ms // 1000 if cost else 0),
        )
    ]
    lines += [
        facts(
            ("iteration", one.number),
            ("verification", "green" if one.green else "red"),
            ("commit", one.commit_sha),
            ("failing tests", len(one.failing)),
        )
        for one in change.iterations
        if one.process_instance_id == run.process_instance_id
    ]
    label = f"run {run.process_instance_id}"
    cited.fact(f"run:{run.process_instance_id}", label, "\n".join(lines))


def add_change(cited: Cited, summary: ChangeSummary, *, source: str = "") -> None:
    """The record of a change. Its title may be an issue's, or any client's, so that it is untrusted.

    `source` is where that text counts as read from; empty: the change.
    """
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
    words = bool(change.title or change.cancel_reason)
    cited.fact(
        f"change:{change.change_id}",
        f"change {change.change_id} {change.title!r}",
        text,
        untrusted=(source or f"change {change.change_id}") if words else "",
    )


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
        "One change with its runs and their iterations, artifacts, gates, works, releases and promotions, in brief.",
        schema(change_id=string("Default: the conversation's.", most=63)),
        _get,
    ),
)
