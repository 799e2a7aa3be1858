"""The log of a work: live from its heartbeats, whole from its evidence."""

from __future__ import annotations

import asyncio

import click

from ameide.cli.output import say
from ameide.cli.session import Session
from ameide_core_proto.transformation.work.v1.query_service_pb import GetWorkRequest, GetWorkResponse
from ameide_core_proto.transformation.work.v1.work_pb import EvidenceBundle, WorkStatus

_ENDED = (WorkStatus.SUCCEEDED, WorkStatus.FAILED, WorkStatus.CANCELED)
_INTERVAL = 0.5


async def print_log(session: Session, work_request_id: str, *, follow: bool) -> None:
    """Print what there is; with `follow`, what comes, until the work ends."""
    shown = ""
    async with session.connect() as clients:
        while True:
            request = GetWorkRequest(scope=session.scope, work_request_id=work_request_id)
            answer = await clients.work_queries.get_work(request)
            ended = answer.work is not None and answer.work.status in _ENDED
            if ended and not shown and answer.evidence is not None:
                await _print_evidence(session, answer.evidence)
                return
            tail = answer.attempts[-1].log_tail if answer.attempts else ""
            click.echo(_news(shown, tail), nl=False)
            shown = tail or shown
            if ended or not follow:
                _say_where(answer, follow=follow)
                return
            await asyncio.sleep(_INTERVAL)


def _news(shown: str, tail: str) -> str:
    # The tail is a window that moves on: what is new begins after the longest end of the old one found at its start.
    for start in range(len(shown) + 1):
        if tail.startswith(shown[start:]):
            return tail[len(shown) - start :]
    return tail


async def _print_evidence(session: Session, evidence: EvidenceBundle) -> None:
    store = session.object_store()
    logs = [a for a in evidence.artifacts if a.name.endswith(".log") or a.name in ("log", "log.txt", "output.txt")]
    if not logs:
        say(f"The evidence holds no log: ameide evidence get {evidence.evidence_bundle_id}")
    for artifact in logs:
        text = (await store.get(artifact.uri)).decode("utf-8", "replace")
        click.echo(text, nl=not text.endswith("\n"))


def _say_where(answer: GetWorkResponse, *, follow: bool) -> None:
    if answer.work is None:
        return
    if answer.work.status == WorkStatus.REQUESTED:
        say("Nobody has claimed this work yet; `ameide status` shows the queues.")
    elif not follow and answer.work.status == WorkStatus.STARTED:
        say("It runs; --follow stays with it.")
