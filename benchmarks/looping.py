"""Two workflows that do one turn after another, each with work that somebody else does; both time their turns alike.

The time of a turn is that between the workflow task that asks and the workflow task that learns of the end, by the
server's clock: starting workflows and telling them to take a turn is not part of it.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

from ameide.process import steps
from ameide.process.workflows.inbox import DomainFact
from ameide_core_proto.transformation.governance.v1.governance_pb import RunInput
from ameide_core_proto.transformation.work.v1.command_service_pb import RequestWorkRequest
from ameide_core_proto.transformation.work.v1.facts_pb import WorkCompleted
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, WorkKind

BARE = "bench.bare"
OUTSIDE = "bench.outside"
_START_TO_CLOSE = timedelta(seconds=30)


class _Turns:
    def __init__(self) -> None:
        self.asked = 0
        self.done = 0
        self.taken: list[float] = []

    async def take(self) -> None:
        while True:
            await workflow.wait_condition(lambda: self.asked > self.done)
            begun = workflow.time()
            await self.one()
            self.taken.append(workflow.time() - begun)
            self.done += 1

    async def one(self) -> None:
        raise NotImplementedError


@workflow.defn(name=steps.WORKFLOW_TYPE)
class Delegating(_Turns):
    """In the place of the governance run: ingress starts it, and signals it the facts of its works."""

    @workflow.init
    def __init__(self, run: RunInput) -> None:
        super().__init__()
        self._repository = run.repository.repository_id if run.repository else ""
        self._ended: set[str] = set()

    @workflow.signal(name=steps.DOMAIN_FACT)
    def domain_fact(self, fact: DomainFact) -> None:
        """As the real one does: remember, and go on when it is what is waited for."""
        body = fact.fact.value if fact.fact is not None else None
        if isinstance(body, WorkCompleted) and body.work is not None:
            self._ended.add(body.work.work_request_id)

    @workflow.signal
    def turn(self) -> None:
        """Take another turn."""
        self.asked += 1

    @workflow.query
    def took(self) -> list[float]:
        """Seconds that each turn took."""
        return self.taken

    @workflow.run
    async def run(self, run: RunInput) -> None:
        """Until terminated."""
        del run
        await self.take()

    async def one(self) -> None:
        """RequestWork by an activity, then its fact."""
        answer = await workflow.execute_activity(
            steps.REQUEST_WORK.name,
            args=[
                RequestWorkRequest(
                    client_request_id=f"{workflow.info().workflow_id}/turn/{self.done}",
                    process_instance_id=workflow.info().workflow_id,
                    work_kind=WorkKind.TOOL_RUN,
                    action_kind=ActionKind.VERIFY,
                    repository_id=self._repository,
                    commit_sha="b" * 40,
                ),
                None,
            ],
            result_type=steps.REQUEST_WORK.response,
            start_to_close_timeout=timedelta(seconds=5),
        )
        work = answer.work
        assert work is not None
        await workflow.wait_condition(lambda: work.work_request_id in self._ended)


@workflow.defn(name=BARE)
class Bare(_Turns):
    """Temporal alone: one activity, completed asynchronously by its token from another process."""

    @workflow.signal
    def turn(self) -> None:
        """Take another turn."""
        self.asked += 1

    @workflow.query
    def took(self) -> list[float]:
        """Seconds that each turn took."""
        return self.taken

    @workflow.run
    async def run(self) -> None:
        """Until terminated."""
        await self.take()

    async def one(self) -> None:
        """The activity hands its token over and leaves."""
        await workflow.execute_activity(
            OUTSIDE, start_to_close_timeout=_START_TO_CLOSE, retry_policy=RetryPolicy(maximum_attempts=1)
        )


def task_token() -> bytes:
    """The token of the activity that asks."""
    return activity.info().task_token
