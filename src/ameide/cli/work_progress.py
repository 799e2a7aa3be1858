"""While somebody waits for a run: one line for every work that starts, and one for how it ended."""

from __future__ import annotations

import click

from ameide.cli.output import brief, coloured, say, step, word
from ameide.cli.session import Session, every_page
from ameide.rpc.clients import Clients
from ameide_core_proto.transformation.work.v1.query_service_pb import ListWorkRequest
from ameide_core_proto.transformation.work.v1.work_pb import WorkRequest, WorkStatus

_ENDED = (WorkStatus.SUCCEEDED, WorkStatus.FAILED, WorkStatus.CANCELED)


class WorkProgress:
    """Tells on standard error what became of the works of a change since it was last asked."""

    def __init__(self, session: Session, clients: Clients, change_id: str) -> None:
        self._session = session
        self._clients = clients
        self._change_id = change_id
        self._seen: dict[str, WorkStatus] | None = None

    async def tell(self) -> None:
        """Say what is new. Works that had ended before the first call are not mentioned."""
        answer = await every_page(
            lambda page: self._clients.work_queries.list_work(
                ListWorkRequest(scope=self._session.scope, change_id=self._change_id, page=page)
            ),
            "works",
        )
        works = sorted(answer.works, key=lambda work: work.work_request_id)
        if self._seen is None:
            self._seen = {work.work_request_id: work.status for work in works if work.status in _ENDED}
        for work in works:
            if self._seen.get(work.work_request_id) == work.status:
                continue
            self._seen[work.work_request_id] = work.status
            if work.status in _ENDED:
                say(_ended(work))


def _ended(work: WorkRequest) -> str:
    summary = brief(work.result.summary if work.result else "")
    line = f"  {step(work):<10} {coloured(word(work.status.name))}  {summary}"
    findings = work.result.findings if work.result else []
    return "\n".join([line, *(click.style(f"{'':13}{word(f.class_.name)}: {f.id}", dim=True) for f in findings[:3])])
