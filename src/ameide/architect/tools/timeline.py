"""What happened: the timeline of a change or a run, the audit trail, and single facts."""

from __future__ import annotations

from ameide.architect.tools.arguments import PAGE, Arguments, schema, string
from ameide.architect.tools.citing import Cited, change_of, page
from ameide.architect.tools.rendering import clipped, facts, moment, one_line, who, word
from ameide.architect.tools.tool import Tool, ToolAnswer, ToolContext
from ameide.contracts import topics
from ameide_core_proto.common.v1.reading_pb import CitationKind
from ameide_core_proto.transformation.governance.v1.query_service_pb import (
    AuditEntry,
    GetFactRequest,
    GetTimelineRequest,
    ListAuditRequest,
)

_ROWS = 60
_TEXT = 600


async def _timeline(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    run = arguments.text("process_instance_id")
    answer = await ctx.clients.queries.get_timeline(
        GetTimelineRequest(
            scope=ctx.scope,
            min_position=ctx.min_position,
            page=page(arguments.text("page"), _ROWS),
            change_id=arguments.text("change_id") if run else change_of(ctx, arguments.text("change_id")),
            process_instance_id=run,
        )
    )
    cited = Cited(answer.read_context, answer.citations)
    for row in answer.rows:
        if row.citation is None:
            continue
        told = facts(("by", row.actor), ("work", row.work_request_id), ("at", moment(row.at)))
        cited.add(
            row.citation.kind,
            row.citation.ref,
            f"{word(row.column.name)} {row.name}",
            f"{clipped(one_line(row.text), _TEXT)}; {told}",
            row.citation.log_position,
            untrusted=f"timeline {run or change_of(ctx, arguments.text('change_id'))}".strip(),
        )
    return cited.answer(answer.next_page_token, empty="anything that happened")


async def _audit(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    principal = arguments.text("principal_id")
    answer = await ctx.clients.queries.list_audit(
        ListAuditRequest(
            scope=ctx.scope,
            min_position=ctx.min_position,
            page=page(arguments.text("page"), _ROWS),
            change_id=arguments.text("change_id") if principal else change_of(ctx, arguments.text("change_id")),
            principal_id=principal,
        )
    )
    cited = Cited(answer.read_context, answer.citations)
    for entry in answer.entries:
        _add(cited, entry, untrusted=f"facts {principal or change_of(ctx, arguments.text('change_id'))}".strip())
    return cited.answer(answer.next_page_token, empty="any such fact")


async def _fact(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    answer = await ctx.clients.queries.get_fact(
        GetFactRequest(scope=ctx.scope, min_position=ctx.min_position, message_id=arguments.text("message_id"))
    )
    cited = Cited(answer.read_context, answer.citations)
    if answer.entry is not None:
        # The whole message repeats what people and programs wrote.
        _add(cited, answer.entry, answer.body_json, untrusted=f"fact {answer.entry.message_id}")
    return cited.answer()


def _add(cited: Cited, entry: AuditEntry, body: str = "", *, untrusted: str) -> None:
    """The record of a fact. Its sentence repeats comments, and summaries of executors, so that it is untrusted."""
    about = entry.aggregate
    told = facts(
        ("about", f"{about.type} {about.id} version {about.version}" if about and about.id else ""),
        ("by", who(entry.actor)),
        ("change", entry.change_id),
        ("run", entry.process_instance_id),
        ("caused by", entry.causation_id),
        ("at", moment(entry.occurred_at)),
        ("log position", entry.log_position),
    )
    kind = CitationKind.PROCESS_FACT if entry.topic == topics.PROCESS_FACTS else CitationKind.DOMAIN_FACT
    text = f"{clipped(one_line(entry.text), _TEXT)}; {told}"
    cited.add(kind, entry.message_id, entry.name, f"{text}\n{body}" if body else text, entry.log_position, untrusted)


TOOLS = (
    Tool(
        "get_timeline",
        "What happened in a change or in one run of it, oldest first: process, events and infra.",
        schema(
            change_id=string("Default: the conversation's.", most=63),
            process_instance_id=string("Only this run, such as r2r/<tenant>/<change>/1.", most=256),
            page=PAGE,
        ),
        _timeline,
    ),
    Tool(
        "list_facts",
        "The audit trail, newest first: who did what, when, and on whose behalf.",
        schema(
            change_id=string("Default: the conversation's, else all.", most=63),
            principal_id=string("Only what this principal did, or had done.", most=63),
            page=PAGE,
        ),
        _audit,
    ),
    Tool(
        "get_fact",
        "One fact with its whole message.",
        schema(["message_id"], message_id=string("As a citation of a fact names it.", most=63, least=1)),
        _fact,
    ),
)
