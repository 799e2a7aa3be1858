"""Gates: what waits for a decision, who decided what, and what the decision binds."""

from __future__ import annotations

from ameide.architect.tools.arguments import PAGE, Arguments, choices, schema, string
from ameide.architect.tools.citing import Cited, change_of, page
from ameide.architect.tools.rendering import facts, listed, moment, who, word
from ameide.architect.tools.tool import Tool, ToolAnswer, ToolContext
from ameide_core_proto.transformation.governance.v1.governance_pb import Gate, GateStatus
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetGateRequest, ListGatesRequest

_STATUSES = tuple(word(status.name) for status in GateStatus if status)


async def _list(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    answer = await ctx.clients.queries.list_gates(
        ListGatesRequest(
            scope=ctx.scope,
            min_position=ctx.min_position,
            page=page(arguments.text("page")),
            change_id=change_of(ctx, arguments.text("change_id")),
            statuses=[GateStatus[status.upper()] for status in arguments.texts("statuses")],
        )
    )
    cited = Cited(answer.read_context, answer.citations)
    for gate in answer.gates:
        add_gate(cited, gate)
    return cited.answer(answer.next_page_token, empty="any such gate")


async def _get(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    answer = await ctx.clients.queries.get_gate(
        GetGateRequest(scope=ctx.scope, min_position=ctx.min_position, gate_id=arguments.text("gate_id"))
    )
    cited = Cited(answer.read_context, answer.citations)
    if answer.gate is not None:
        add_gate(cited, answer.gate)
    if answer.marked_conversations:
        ids = listed(one.conversation_id for one in answer.marked_conversations)
        cited.notes.append(f"conversations about this change that read what anybody may have written: {ids}")
    return cited.answer()


def add_gate(cited: Cited, gate: Gate) -> None:
    """The record of a gate. With words of people or of programs, such as comments and findings, it is untrusted."""
    subject = gate.subject
    lines = [
        facts(
            ("status", word(gate.status.name)),
            ("change", gate.change_id),
            ("run", gate.process_instance_id),
            ("opened", moment(gate.opened_at)),
            ("expires", moment(gate.expires_at)),
            ("decided", moment(gate.decided_at)),
            ("by", who(gate.decided_by)),
            ("voices needed", gate.quorum),
            ("pass used by", gate.consumed_by),
            ("voided because", gate.void_reason),
        )
    ]
    if subject is not None:
        lines.append(
            facts(
                ("artifact", f"{subject.artifact_id}@{subject.artifact_number}" if subject.artifact_id else ""),
                ("commit", subject.commit_sha),
                ("release", subject.release_id),
                ("image", subject.image_ref),
                ("environment", subject.environment),
                ("reason", subject.reason),
                ("findings", listed(one.id for one in subject.findings)),
                ("subject hash", gate.subject_hash),
            )
        )
    lines += [
        facts(
            ("voice of", who(vote.actor)),
            ("verdict", word(vote.verdict.name)),
            ("at", moment(vote.at)),
            ("comment", vote.comment),
        )
        for vote in gate.votes
    ]
    words = (
        bool(gate.void_reason)
        or any(vote.comment for vote in gate.votes)
        or (subject is not None and bool(subject.reason or subject.findings))
    )
    cited.fact(
        f"gate:{gate.gate_id}",
        f"gate {gate.gate_id} {word(gate.kind.name)}",
        "\n".join(line for line in lines if line),
        untrusted=f"gate {gate.gate_id}" if words else "",
    )


TOOLS = (
    Tool(
        "list_gates",
        "Gates, newest first: kind, status, what each binds, and the voices. Statuses open: what waits for a decision.",
        schema(
            change_id=string("Default: the conversation's, else all.", most=63),
            statuses=choices("Default: all.", _STATUSES),
            page=PAGE,
        ),
        _list,
    ),
    Tool(
        "get_gate",
        "One gate with its votes and comments.",
        schema(["gate_id"], gate_id=string("Such as gat-….", most=63, least=1)),
        _get,
    ),
)
