"""Evidence: what works left behind, and the words in it."""

from __future__ import annotations

from dataclasses import replace

from ameide.architect.tools.arguments import PAGE, Arguments, integer, schema, string
from ameide.architect.tools.citing import Cited, change_of, page
from ameide.architect.tools.rendering import clipped, facts, listed, moment, word
from ameide.architect.tools.tool import Tool, ToolAnswer, ToolContext
from ameide.errors import InvalidArgument, NotFound, Refused
from ameide_core_proto.common.v1.reading_pb import CitationKind
from ameide_core_proto.transformation.work.v1.query_service_pb import (
    GetEvidenceRequest,
    GetEvidenceResponse,
    ListEvidenceRequest,
)
from ameide_core_proto.transformation.work.v1.work_pb import CheckResult, CheckStatus, EvidenceBundle

_BYTES, _LINES, _ROOM, _LINE, _AROUND = 4 << 20, 200, 5_000, 1_000, 2
_CHECKS = 30


async def _list(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    answer = await ctx.clients.work_queries.list_evidence(
        ListEvidenceRequest(
            scope=ctx.scope,
            min_position=ctx.min_position,
            page=page(arguments.text("page")),
            change_id=change_of(ctx, arguments.text("change_id")),
        )
    )
    cited = Cited(answer.read_context, answer.citations)
    for bundle in answer.bundles:
        _add(cited, bundle, "")
    return cited.answer(answer.next_page_token, empty="any evidence")


async def _get(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    answer = await _found(ctx, arguments)
    cited = Cited(answer.read_context, answer.citations)
    if (bundle := answer.evidence) is not None:
        lines = [f"summary: {bundle.summary}" if bundle.summary else "", *_checks(bundle.check_results)]
        lines += [f"artifact {one.name}: {one.media_type or 'bytes'}, {one.bytes} bytes" for one in bundle.artifacts]
        _add(cited, bundle, "\n".join(line for line in lines if line))
        cited.notes.append("read_evidence reads an artifact")
    return cited.answer()


async def _read(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    answer = await _found(ctx, arguments)
    bundle, name = answer.evidence or EvidenceBundle(), arguments.text("name")
    artifact = next((one for one in bundle.artifacts if one.name == name), None)
    if artifact is None:
        names = listed(one.name for one in bundle.artifacts) or "none"
        raise NotFound(f"{bundle.evidence_bundle_id} has no artifact {name!r}; it has {names}")
    tenant = answer.read_context.scope.tenant_id if answer.read_context and answer.read_context.scope else ""
    if not artifact.uri.startswith(f"store:work/{tenant}/"):
        raise Refused(f"{name} lies outside of this tenant's evidence", reason="EVIDENCE_DAMAGED")
    data = await ctx.evidence.read(artifact, _BYTES)
    if b"\0" in data[:8000]:
        raise InvalidArgument(f"{name} is no text", field="name", remedy="`ameide evidence get` fetches it")
    lines = data.decode("utf-8", "replace").splitlines()
    first, wanted = arguments.number("first_line", 1), arguments.text("find")
    shown, text, more = _extract(lines, first, wanted)
    last = shown[-1] if shown else 0
    cited = Cited(answer.read_context, answer.citations)
    if not text:
        return cited.answer(
            empty=f"{arguments.text('find')!r} in {name}" if arguments.text("find") else f"line {first}"
        )
    cited.add(
        CitationKind.EVIDENCE_BUNDLE,
        bundle.evidence_bundle_id,
        f"{name} of evidence {bundle.evidence_bundle_id}",
        text,
        untrusted=f"{bundle.evidence_bundle_id}/{name}",
    )
    cited.notes.append(f"{len(lines)} lines in all" + (f"; read on with first_line {last + 1}" if more else ""))
    if artifact.bytes > _BYTES:
        cited.notes.append(f"only the first {_BYTES} of {artifact.bytes} bytes are looked through")
    if cut := any(len(lines[number - 1]) > _LINE for number in shown):
        cited.notes.append(f"of a line at most {_LINE} characters are shown")
    return replace(cited.answer(), read_on=last + 1 if more else 0, cut=cut or artifact.bytes > _BYTES)


async def _found(ctx: ToolContext, arguments: Arguments) -> GetEvidenceResponse:
    return await ctx.clients.work_queries.get_evidence(
        GetEvidenceRequest(
            scope=ctx.scope,
            min_position=ctx.min_position,
            evidence_bundle_id=arguments.text("evidence_bundle_id"),
        )
    )


def _extract(lines: list[str], first: int, find: str) -> tuple[list[int], str, bool]:
    """Lines from `first` on, all or those around what is to be found: their numbers, as text, whether more follow."""
    wanted = find.casefold()
    hits = {n for n, line in enumerate(lines, 1) if wanted in line.casefold()} if wanted else set[int]()
    numbers: list[int] = []
    kept: list[str] = []
    room = _ROOM
    for number in range(first, len(lines) + 1):
        if wanted and not hits.intersection(range(number - _AROUND, number + _AROUND + 1)):
            continue
        shown = f"{number}: {clipped(lines[number - 1], _LINE)}"
        room -= len(shown) + 1
        if room < 0 or len(kept) == _LINES:
            return numbers, "\n".join(kept), True
        kept.append(shown)
        numbers.append(number)
    return numbers, "\n".join(kept), False


def _checks(checks: list[CheckResult]) -> list[str]:
    """How many came to what, and the words of those that did not pass."""
    counts = {status: sum(one.status == status for one in checks) for status in CheckStatus if status}
    bad = [one for one in checks if one.status in (CheckStatus.FAILED, CheckStatus.FLAKY)]
    lines = [facts(*((word(status.name), count) for status, count in counts.items()))]
    lines += [f"{word(one.status.name)} {one.id}: {clipped(one.message, 300)}" for one in bad[:_CHECKS]]
    return lines + ([f"and {len(bad) - _CHECKS} more"] if len(bad) > _CHECKS else [])


def _add(cited: Cited, bundle: EvidenceBundle, told: str) -> None:
    text = facts(
        ("work", bundle.work_request_id),
        ("attempt", bundle.attempt),
        ("tool", f"{bundle.tool_name} {bundle.tool_version}".strip()),
        ("exit code", str(bundle.exit_code)),
        ("started", moment(bundle.started_at)),
        ("ended", moment(bundle.ended_at)),
        ("by", bundle.principal_id),
        ("artifacts", listed(one.name for one in bundle.artifacts)),
    )
    cited.add(
        CitationKind.EVIDENCE_BUNDLE,
        bundle.evidence_bundle_id,
        f"evidence {bundle.evidence_bundle_id}",
        f"{text}\n{told}" if told else text,
        untrusted=bundle.evidence_bundle_id if told else "",
    )


_ID = string("Such as evd-….", most=63, least=1)
TOOLS = (
    Tool(
        "list_evidence",
        "What works left behind, newest first.",
        schema(change_id=string("Default: the conversation's, else all.", most=63), page=PAGE),
        _list,
    ),
    Tool(
        "get_evidence",
        "One bundle of evidence: what ran, its checks, and which artifacts it has.",
        schema(["evidence_bundle_id"], evidence_bundle_id=_ID),
        _get,
    ),
    Tool(
        "read_evidence",
        "Lines of one artifact of evidence, such as a log, a patch or an analysis.",
        schema(
            ["evidence_bundle_id", "name"],
            evidence_bundle_id=_ID,
            name=string("As get_evidence tells it.", most=128, least=1),
            first_line=integer("Default: 1.", least=1),
            find=string("Only lines that hold this, with those around them.", most=200),
        ),
        _read,
        seconds=60.0,
    ),
)
