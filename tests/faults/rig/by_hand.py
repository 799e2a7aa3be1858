"""An executor played by hand: it claims by name, as executors of a broker's queues do, and uses the raw calls.

Its works are of the queue that no executor of the rig serves.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict
from functools import partial

from ameide.contracts.ids import new_id
from ameide.errors import Fenced
from ameide_core_proto.transformation.work.v1 import command_service_pb as pb
from ameide_core_proto.transformation.work.v1.work_pb import EvidenceArtifact, EvidenceBundle, WorkRequest, WorkResult
from tests.faults.rig import loads
from tests.faults.rig.client import RigClient, key
from tests.faults.rig.folder import Effect, append
from tests.faults.rig.patience import pause

_OVER = (pb.ClaimAnswer.DECLINED_FINISHED, pb.ClaimAnswer.DECLINED_CANCELED)


async def done(client: RigClient) -> None:
    """A work claimed, done and reported; again under a new claim when the lease was lost on the way."""
    await _do(client, await loads.request(client, suite="ui"))


async def released(client: RigClient) -> None:
    """A work given back once before it is done."""
    work = await loads.request(client, suite="ui")
    if claimed := await _claim(client, work):
        request = pb.ReleaseWorkRequest(
            work_request_id=work.work_request_id, attempt=claimed[0], claim_id=claimed[1], reason="not now"
        )
        # Fenced: it was given back, and only the answer was lost.
        with suppress(Fenced):
            await client.say(client.by("verifier").work.release_work, request)
    await _do(client, work)


async def abandoned(client: RigClient) -> None:
    """A work whose first claim is never heard of again."""
    work = await loads.request(client, suite="ui")
    await _claim(client, work)
    await _do(client, work)


async def reported_together(client: RigClient) -> None:
    """Two works whose outcomes are told in one call; one that was fenced meanwhile is done again."""
    works = [await loads.request(client, suite="ui") for _ in range(2)]
    outcomes: list[pb.RecordWorkOutcomeRequest] = []
    for work in works:
        if claimed := await _claim(client, work):
            append(client.rig.folder.effects, asdict(Effect(work.work_request_id, claimed[0], os.getpid())))
            outcomes.append(_success(work, *claimed))
    request = pb.RecordWorkOutcomesRequest(outcomes=outcomes)
    told = await client.say(client.by("verifier").work.record_work_outcomes, request)
    for work, answer in zip(works, told.answers, strict=True):
        if answer.reason:
            await _do(client, work)


async def uploaded(client: RigClient) -> None:
    """A work whose evidence goes through the Domain's door; all again under a new claim when the lease was lost."""
    work, verifier = await loads.request(client, suite="ui"), client.by("verifier")
    while claimed := await _claim(client, work):
        attempt, claim_id = claimed
        append(client.rig.folder.effects, asdict(Effect(work.work_request_id, attempt, os.getpid())))
        opening = pb.OpenEvidenceUploadRequest(work_request_id=work.work_request_id, attempt=attempt, claim_id=claim_id)
        try:
            place = await client.say(verifier.work.open_evidence_upload, opening)
            put = partial(verifier.put_evidence, place.path + "log.txt")
            told = EvidenceArtifact.from_json(await client.say(put, b"Done by hand.\n"))
            outcome = _success(work, attempt, claim_id)
            assert outcome.evidence is not None
            outcome.evidence.artifacts.append(told)
            await client.say(verifier.work.record_work_outcome, outcome)
            return
        except Fenced:
            continue


async def _do(client: RigClient, work: WorkRequest) -> None:
    while claimed := await _claim(client, work):
        attempt, claim_id = claimed
        append(client.rig.folder.effects, asdict(Effect(work.work_request_id, attempt, os.getpid())))
        try:
            await client.say(client.by("verifier").work.record_work_outcome, _success(work, attempt, claim_id))
            return
        except Fenced:
            continue


async def _claim(client: RigClient, work: WorkRequest) -> tuple[int, str] | None:
    """A new attempt and its claim; None when the work is over."""
    while True:
        claim_id = key()
        answer = await client.say(
            client.by("verifier").work.record_work_started,
            pb.RecordWorkStartedRequest(work_request_id=work.work_request_id, claim_id=claim_id, runner="by-hand"),
        )
        if answer.answer == pb.ClaimAnswer.RUN:
            return answer.attempt, claim_id
        if answer.answer in _OVER:
            return None
        await pause()


def _success(work: WorkRequest, attempt: int, claim_id: str) -> pb.RecordWorkOutcomeRequest:
    return pb.RecordWorkOutcomeRequest(
        work_request_id=work.work_request_id,
        attempt=attempt,
        claim_id=claim_id,
        outcome=pb.WorkOutcome.SUCCESS,
        result=WorkResult(summary="Done by hand."),
        evidence=EvidenceBundle(
            evidence_bundle_id=new_id("evd"), work_request_id=work.work_request_id, attempt=attempt, tool_name="hand"
        ),
    )
