"""Delegated works: what executors were asked for, and what came of it."""

from __future__ import annotations

from ameide.architect.tools.arguments import PAGE, Arguments, choices, schema, string
from ameide.architect.tools.citing import Cited, change_of, page
from ameide.architect.tools.rendering import clipped, facts, listed, moment, who, word
from ameide.architect.tools.tool import Tool, ToolAnswer, ToolContext
from ameide_core_proto.common.v1.reading_pb import CitationKind
from ameide_core_proto.transformation.work.v1.query_service_pb import GetWorkRequest, ListWorkRequest, WorkAttempt
from ameide_core_proto.transformation.work.v1.work_pb import Finding, WorkRequest, WorkResult, WorkStatus

_STATUSES = tuple(word(status.name) for status in WorkStatus if status)
_FINDINGS, _TAIL = 20, 1500


async def _list(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    run = arguments.text("process_instance_id")
    answer = await ctx.clients.work_queries.list_work(
        ListWorkRequest(
            scope=ctx.scope,
            min_position=ctx.min_position,
            page=page(arguments.text("page")),
            change_id="" if run else change_of(ctx, arguments.text("change_id")),
            process_instance_id=run,
            statuses=[WorkStatus[status.upper()] for status in arguments.texts("statuses")],
        )
    )
    cited = Cited(answer.read_context, answer.citations)
    for work in answer.works:
        add_work(cited, work)
    return cited.answer(answer.next_page_token, empty="any such work")


async def _get(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    answer = await ctx.clients.work_queries.get_work(
        GetWorkRequest(
            scope=ctx.scope, min_position=ctx.min_position, work_request_id=arguments.text("work_request_id")
        )
    )
    cited = Cited(answer.read_context, answer.citations)
    if (work := answer.work) is not None:
        add_work(cited, work, result_text(work.result or WorkResult(), answer.attempts))
        if answer.evidence:
            cited.notes.append("get_evidence tells of its evidence, read_evidence reads it")
    return cited.answer()


def add_work(cited: Cited, work: WorkRequest, told: str = "") -> None:
    """The record of a work. With words of its executor, or of what that read, it is untrusted."""
    result = work.result
    text = facts(
        ("status", word(work.status.name)),
        ("change", work.change_id),
        ("run", work.process_instance_id),
        ("requested by", who(work.requested_by.actor if work.requested_by else None)),
        ("at", moment(work.requested_at)),
        ("ended", moment(work.ended_at)),
        ("attempt", work.attempt),
        ("queue", work.queue if work.status == WorkStatus.REQUESTED else ""),
        ("executor", work.executor_principal_id),
        ("base", work.base_sha),
        ("commit", work.commit_sha),
        ("question", work.inputs.question if told and work.inputs else ""),
        ("failure", word(result.failure_code.name) if result and result.failure_code else ""),
        ("evidence", result.evidence_bundle_id if result else ""),
    )
    cited.add(
        CitationKind.WORK_REQUEST,
        work.work_request_id,
        f"{word(work.work_kind.name)} {word(work.action_kind.name)} {work.work_request_id}",
        f"{text}\n{told}" if told else text,
        cited.position_of(f"work:{work.work_request_id}"),
        work.work_request_id if told else "",
    )


def result_text(result: WorkResult, attempts: list[WorkAttempt]) -> str:
    """What a work came to, in lines."""
    outputs = result.outputs
    lines = [f"summary: {result.summary}" if result.summary else ""]
    if outputs is not None:
        lines.append(
            facts(
                ("commit", outputs.commit_sha),
                ("branch", outputs.branch),
                ("pull request", outputs.pr_url),
                ("image", outputs.image_ref),
                ("changed", listed(outputs.changed_paths)),
            )
        )
    lines += map(_finding, result.findings[:_FINDINGS])
    if len(result.findings) > _FINDINGS:
        lines.append(f"and {len(result.findings) - _FINDINGS} more findings")
    lines += [
        facts(
            ("attempt", one.attempt),
            ("by", one.executor_principal_id),
            ("claimed", moment(one.claimed_at)),
            ("ended", moment(one.ended_at)),
            ("as", one.ended_by or "running"),
        )
        for one in attempts
    ]
    if attempts and attempts[-1].log_tail:
        lines.append(f"end of the log:\n{attempts[-1].log_tail[-_TAIL:]}")
    return "\n".join(line for line in lines if line)


def _finding(finding: Finding) -> str:
    steps = " ".join(finding.fix_steps)
    told = facts(("what failed", finding.what_failed), ("at", finding.location), ("to fix", steps))
    return clipped(f"finding {word(finding.class_.name)} {finding.id}: {told}", 800)


TOOLS = (
    Tool(
        "list_work",
        "Works that were delegated to executors, newest first: action, status, failure.",
        schema(
            change_id=string("Default: the conversation's, else all.", most=63),
            process_instance_id=string("Only those of this run.", most=256),
            statuses=choices("Default: all.", _STATUSES),
            page=PAGE,
        ),
        _list,
    ),
    Tool(
        "get_work",
        "One work with its result, findings, attempts and the end of its log.",
        schema(["work_request_id"], work_request_id=string("Such as wrk-….", most=63, least=1)),
        _get,
    ),
)
