"""What a work fact carries of long bodies: an extract, and the ids under which the whole lies (contracts 3).

The whole work is in its row, the whole bundle in the Domain's evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, TypeVar

from protobuf import Message

from ameide_core_proto.transformation.work.v1.facts_pb import (
    WorkCanceled,
    WorkCompleted,
    WorkFailed,
    WorkRequested,
    WorkStarted,
)
from ameide_core_proto.transformation.work.v1.work_pb import (
    CheckStatus,
    EvidenceBundle,
    Finding,
    WorkRequest,
    WorkResult,
)

# Bytes of one fact, and what of them each body may take; short fields and the envelope fit into the rest.
MAX_BYTES = 64 * 1024
_FINDINGS, _GIVEN_FINDINGS = 26_500, 1_000
_ARTIFACTS, _CHECKS = 8_000, 6_000
_PATHS, _PATH_RULES, _CRITERIA, _REFS, _ARGV = 3_000, 2_000, 1_000, 1_000, 1_000
_SUMMARY, _TEXT = 2_000, 1_000
MAX_CHECKS = 20
# Findings that are too long together are told in fewer words, all of them alike, before any is left out.
_WORDS = (600, 200, 60, 0)

F = TypeVar("F", bound=Message[Any])


def in_brief(fact: F) -> F:
    """The fact with long bodies of a work and its evidence shortened; any other fact as it is."""
    if not isinstance(fact, WorkRequested | WorkStarted | WorkCompleted | WorkFailed | WorkCanceled):
        return fact
    brief = deepcopy(fact)
    if brief.work is not None:
        _shorten_work(brief.work)
    if isinstance(brief, WorkCompleted | WorkFailed | WorkCanceled) and brief.evidence is not None:
        _shorten_evidence(brief.evidence)
    return brief


def result_in_brief(result: WorkResult) -> WorkResult:
    """The result as the fact of its work told it, for who heard no more than that."""
    brief = deepcopy(result)
    _shorten_result(brief)
    return brief


def _shorten_work(work: WorkRequest) -> None:
    work.summary = _clipped(work.summary, _TEXT)
    if work.inputs is not None:
        work.inputs.requirement_text = _clipped(work.inputs.requirement_text, _TEXT)
        work.inputs.acceptance_criteria = _texts(work.inputs.acceptance_criteria, _CRITERIA)
        work.inputs.findings = _findings(work.inputs.findings, _GIVEN_FINDINGS)
    if work.path_rules is not None:
        work.path_rules.allowed = _texts(work.path_rules.allowed, _PATH_RULES // 2)
        work.path_rules.denied = _texts(work.path_rules.denied, _PATH_RULES // 2)
    if work.result is not None:
        _shorten_result(work.result)


def _shorten_result(result: WorkResult) -> None:
    result.summary = _clipped(result.summary, _SUMMARY)
    result.artifact_refs = _texts(result.artifact_refs, _REFS)
    result.findings = _findings(result.findings, _FINDINGS)
    if result.outputs is not None:
        result.outputs.changed_paths = _texts(result.outputs.changed_paths, _PATHS)


def _shorten_evidence(evidence: EvidenceBundle) -> None:
    failing = [check for check in evidence.check_results if check.status == CheckStatus.FAILED][:MAX_CHECKS]
    for check in failing:
        check.message = _clipped(check.message, 200)
    evidence.check_results = _within(failing, _CHECKS)
    evidence.artifacts = _within(evidence.artifacts, _ARTIFACTS)
    evidence.argv = _texts([_clipped(word, 200) for word in evidence.argv], _ARGV)
    evidence.summary = _clipped(evidence.summary, _TEXT)


def _findings(findings: Sequence[Finding], budget: int) -> list[Finding]:
    told = list(findings)
    for words in _WORDS:
        if _size(told) <= budget:
            break
        told = [_in_words(finding, words) for finding in findings]
    return _within(told, budget)


def _in_words(finding: Finding, words: int) -> Finding:
    short = deepcopy(finding)
    short.what_failed = _clipped(finding.what_failed, words)
    short.why_it_matters = _clipped(finding.why_it_matters, words // 2)
    short.fix_steps = [_clipped(step, words // 2) for step in finding.fix_steps[:2]] if words else []
    short.location = finding.location if words else ""
    return short


def _size(messages: Sequence[Message[Any]]) -> int:
    # Each with its tag and length in front.
    return sum(len(message.to_binary()) + 4 for message in messages)


def _within(messages: Sequence[F], budget: int) -> list[F]:
    kept = list(messages)
    left = budget
    for place, message in enumerate(kept):
        left -= _size([message])
        if left < 0:
            return kept[:place]
    return kept


def _texts(texts: Sequence[str], budget: int) -> list[str]:
    left = budget
    for place, text in enumerate(texts):
        left -= len(text.encode()) + 4
        if left < 0:
            return list(texts[:place])
    return list(texts)


def _clipped(text: str, limit: int) -> str:
    """The beginning of a text in at most `limit` bytes of UTF-8."""
    data = text.encode()
    if len(data) <= limit:
        return text
    mark = "…" if limit > 3 else ""
    return data[: limit - len(mark.encode())].decode(errors="ignore") + mark
