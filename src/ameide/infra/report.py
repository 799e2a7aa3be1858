"""Telling the Domain how an attempt ended: evidence first, then the outcome that lists it."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from ameide.errors import AmeideError, Conflict, Fenced, InvalidArgument, Refused
from ameide.events.ports import Objects
from ameide.faults import reach
from ameide.infra.claim import Claim
from ameide.infra.evidence import EvidenceWriter
from ameide.infra.outcome import Conclusion, presentable
from ameide.infra.redaction import Redactor
from ameide_core_proto.transformation.work.v1.work_pb import EvidenceBundle, FailureCode, Usage

logger = logging.getLogger(__name__)

_RETRY = 0.5


class _Bundled(Protocol):
    """Makes the bundle for an outcome."""

    def __call__(self, summary: str, *, stored: bool) -> EvidenceBundle: ...


async def report(
    claim: Claim, conclusion: Conclusion, evidence: EvidenceWriter, store: Objects, redactor: Redactor, usage: Usage
) -> None:
    """Store the evidence and record the outcome. Raises `Fenced`.

    A success whose evidence cannot be stored, or that the Domain refuses, becomes a failure that says so. When that is
    refused as well, the claim is given back instead of running out.
    """
    if conclusion.trace:
        logger.error("a step broke", extra={"trace": redactor.text(conclusion.trace)})
        evidence.add_text("error.txt", conclusion.trace)
    stored = True
    try:
        await _store(claim, evidence, store)
    except Fenced:
        raise
    except AmeideError as error:
        stored = False
        conclusion = Conclusion.failure(FailureCode.INTERNAL, f"The evidence could not be stored: {error}")
    try:
        try:
            await _record(claim, conclusion, evidence.bundle, redactor, usage, stored=stored)
        except (InvalidArgument, Refused) as error:
            logger.error("the Domain refused the outcome", extra={"error": str(error)})
            await _record_refusal(claim, error, evidence, redactor, usage, stored=stored)
    except Fenced:
        raise
    except Conflict as error:
        logger.error("this claim has another outcome already", extra={"error": str(error)})
    except AmeideError as error:
        logger.error("the Domain takes no outcome, the claim is given back", extra={"error": str(error)})
        await claim.release(redactor.presentable(f"the Domain takes no outcome: {error}", 512))


async def _store(claim: Claim, evidence: EvidenceWriter, store: Objects) -> None:
    while True:
        try:
            reach("executor.evidence.before")
            await evidence.store(store, claim.lease.check)
            reach("executor.evidence.after")
            return
        except AmeideError as error:
            # Waiting longer than half a lease would only lose the claim.
            if not error.retry or claim.lease.remaining < claim.lease.pace / 2:
                raise
            logger.warning("evidence not stored, trying again", extra={"error": str(error)})
            await asyncio.sleep(_RETRY)


async def _record_refusal(
    claim: Claim, error: AmeideError, evidence: EvidenceWriter, redactor: Redactor, usage: Usage, *, stored: bool
) -> None:
    # Doing the same again would help against a defect, not against a rule.
    code = FailureCode.TOOL_FAILED if isinstance(error, Refused) else FailureCode.INTERNAL
    refused = Conclusion.failure(code, f"The Domain refused the outcome: {error}")
    try:
        await _record(claim, refused, evidence.bundle, redactor, usage, stored=stored)
    except (InvalidArgument, Refused):
        # Then it is the evidence that is refused.
        await _record(claim, refused, evidence.bare_bundle, redactor, usage, stored=False)


async def _record(
    claim: Claim, conclusion: Conclusion, bundled: _Bundled, redactor: Redactor, usage: Usage, *, stored: bool
) -> None:
    result = presentable(conclusion.result, redactor, usage)
    bundle = bundled(result.summary, stored=stored)
    result.evidence_bundle_id = bundle.evidence_bundle_id
    reach("executor.outcome.before")
    await claim.record(conclusion.outcome, result, bundle)
    reach("executor.outcome.after")
