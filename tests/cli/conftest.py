"""A door with the real interceptor in front of scripted answers, and the command line run in this process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from connectrpc.request import RequestContext

from ameide.cli import chat_turns
from ameide.cli.root import run
from ameide.cli.state import StateFolder
from ameide.contracts.subjects import subject_hash
from ameide.errors import NotFound, Refused, Unauthenticated
from ameide.rpc.interceptors import Caller, Door, current_caller
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.common.v1.reading_pb import Citation, CitationKind, ReadContext
from ameide_core_proto.transformation.governance.v1 import command_service_pb as c
from ameide_core_proto.transformation.governance.v1 import query_service_pb as q
from ameide_core_proto.transformation.governance.v1.command_service_connect import (
    GovernanceCommandService,
    GovernanceCommandServiceASGIApplication,
)
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Change,
    Conversation,
    Gate,
    GateStatus,
    GateSubject,
    Repository,
    Run,
    RunStatus,
    TenantBudget,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind, Policy
from ameide_core_proto.transformation.governance.v1.query_service_connect import (
    GovernanceQueryService,
    GovernanceQueryServiceASGIApplication,
)
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact
from ameide_core_proto.transformation.work.v1 import query_service_pb as w
from ameide_core_proto.transformation.work.v1.query_service_connect import (
    WorkQueryService,
    WorkQueryServiceASGIApplication,
)

from .answering import answering
from .architect_double import ScriptedArchitect, serving

CHANGE = "chg-1"
SUBJECT = GateSubject(artifact_id="art-1", artifact_number=1, content_hash="c" * 64)


def open_gate(gate_id: str = "gat-1", kind: GateKind = GateKind.REQUIREMENT_STABILIZED) -> Gate:
    """A gate that waits."""
    return Gate(
        scope=Scope(tenant_id="default"),
        gate_id=gate_id,
        change_id=CHANGE,
        kind=kind,
        status=GateStatus.OPEN,
        subject=SUBJECT,
        subject_hash=subject_hash(kind, SUBJECT),
        quorum=1,
        version=1,
    )


class Script(GovernanceQueryService, GovernanceCommandService, WorkQueryService):
    """What the door answers; a test sets it, and reads what it was asked."""

    def __init__(self) -> None:
        self.gates: list[Gate] = []
        # What the gates bind, and who talked about their change.
        self.artifact: Artifact | None = None
        self.conversations: list[Conversation] = []
        self.run = Run(process_instance_id=f"r2r/default/{CHANGE}/1", change_id=CHANGE, number=1, status=RunStatus.OPEN)
        self.changes = [Change(change_id=f"chg-{n}", repository_id="orders", title=f"Title {n}") for n in range(1, 4)]
        self.repository = Repository(repository_id="orders", default_branch="main")
        self.registered: list[c.RegisterRepositoryRequest] = []
        self.decided: list[tuple[str, c.DecideGateRequest]] = []
        self.calls: list[str] = []
        self.works: list[w.GetWorkResponse] = []
        self.status = q.GetStatusResponse()
        self.budget = q.GetTenantBudgetResponse()
        self.allotted: list[c.AllotTenantBudgetRequest] = []
        # How many more looks at the budget it takes until the views show what was allotted.
        self.behind = 0
        self.coming: TenantBudget | None = None

    async def get_status(
        self, request: q.GetStatusRequest, _ctx: RequestContext[q.GetStatusRequest, q.GetStatusResponse], /
    ) -> q.GetStatusResponse:
        return self.status

    async def get_tenant_budget(
        self, request: q.GetTenantBudgetRequest, _ctx: RequestContext[Any, Any], /
    ) -> q.GetTenantBudgetResponse:
        self.behind -= self.coming is not None
        if self.coming is not None and self.behind < 0:
            self.budget, self.coming = q.GetTenantBudgetResponse(tenant_budget=self.coming), None
        return self.budget

    async def allot_tenant_budget(
        self, request: c.AllotTenantBudgetRequest, _ctx: RequestContext[Any, Any], /
    ) -> c.AllotTenantBudgetResponse:
        self.allotted.append(request)
        made = TenantBudget(budget=request.budget, period=request.period, version=request.expected_version + 1)
        self.coming = made
        return c.AllotTenantBudgetResponse(tenant_budget=made)

    async def list_gates(
        self, request: q.ListGatesRequest, _ctx: RequestContext[q.ListGatesRequest, q.ListGatesResponse], /
    ) -> q.ListGatesResponse:
        found = [gate for gate in self.gates if not request.statuses or gate.status in request.statuses]
        return q.ListGatesResponse(
            read_context=ReadContext(scope=request.scope, log_position=7),
            citations=[Citation(kind=CitationKind.DOMAIN_FACT, ref="m-1", log_position=5)],
            gates=found,
        )

    async def get_gate(
        self, request: q.GetGateRequest, _ctx: RequestContext[q.GetGateRequest, q.GetGateResponse], /
    ) -> q.GetGateResponse:
        for gate in self.gates:
            if gate.gate_id == request.gate_id:
                return q.GetGateResponse(
                    read_context=ReadContext(log_position=7),
                    gate=gate,
                    artifact=self.artifact,
                    marked_conversations=[one for one in self.conversations if one.untrusted_count],
                )
        raise NotFound(f"no gate {request.gate_id}", remedy="`ameide gate list` shows the open ones")

    async def get_repository(
        self, request: q.GetRepositoryRequest, _ctx: RequestContext[q.GetRepositoryRequest, q.GetRepositoryResponse], /
    ) -> q.GetRepositoryResponse:
        return q.GetRepositoryResponse(repository=self.repository, policy=Policy())

    async def register_repository(
        self,
        request: c.RegisterRepositoryRequest,
        _ctx: RequestContext[c.RegisterRepositoryRequest, c.RegisterRepositoryResponse],
        /,
    ) -> c.RegisterRepositoryResponse:
        self.registered.append(request)
        return c.RegisterRepositoryResponse(repository=Repository(repository_id=request.name, url=request.url))

    async def get_change(
        self, request: q.GetChangeRequest, _ctx: RequestContext[q.GetChangeRequest, q.GetChangeResponse], /
    ) -> q.GetChangeResponse:
        change = Change(change_id=request.change_id, repository_id="orders", title="Title")
        return q.GetChangeResponse(
            summary=q.ChangeSummary(change=change, newest_run=self.run),
            runs=[self.run],
            conversations=self.conversations,
            artifacts=[self.artifact] if self.artifact else [],
        )

    async def list_changes(
        self, request: q.ListChangesRequest, _ctx: RequestContext[q.ListChangesRequest, q.ListChangesResponse], /
    ) -> q.ListChangesResponse:
        start = int(request.page.token or 0) if request.page else 0
        more = start + 1 < len(self.changes)
        return q.ListChangesResponse(
            changes=[q.ChangeSummary(change=self.changes[start])],
            citations=[Citation(kind=CitationKind.DOMAIN_FACT, ref=f"m-{start}")],
            next_page_token=str(start + 1) if more else "",
        )

    async def list_work(
        self, request: w.ListWorkRequest, _ctx: RequestContext[w.ListWorkRequest, w.ListWorkResponse], /
    ) -> w.ListWorkResponse:
        self.calls.append(f"list_work {request.change_id}")
        return w.ListWorkResponse(works=[known.work for known in self.works if known.work])

    async def get_work(
        self, request: w.GetWorkRequest, _ctx: RequestContext[w.GetWorkRequest, w.GetWorkResponse], /
    ) -> w.GetWorkResponse:
        return next(
            known for known in self.works if known.work and known.work.work_request_id == request.work_request_id
        )

    async def decide_gate(
        self, request: c.DecideGateRequest, _ctx: RequestContext[c.DecideGateRequest, c.DecideGateResponse], /
    ) -> c.DecideGateResponse:
        self.decided.append((current_caller().principal_id, request))
        gate = self.gates[0]
        if request.subject_hash != gate.subject_hash:
            raise Refused("the gate binds another subject", field="subject_hash", remedy="Look again", reason="SUBJECT")
        gate.status, gate.version = GateStatus.APPROVED, gate.version + 1
        return c.DecideGateResponse(gate=gate)


@dataclass(frozen=True)
class Answer:
    """What one command line came to."""

    code: int
    out: str
    err: str


class CommandLine:
    """Runs `ameide` with a state folder of its own."""

    def __init__(self, state: StateFolder, capture: pytest.CaptureFixture[str]) -> None:
        self.state = state
        self._capture = capture

    def __call__(self, *arguments: str) -> Answer:
        """Exit code and both outputs."""
        self._capture.readouterr()
        code = run(["--state-dir", str(self.state.root), *arguments])
        said = self._capture.readouterr()
        return Answer(code, said.out, said.err)


@pytest.fixture
def ameide(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line on an empty state folder, with nothing set in the environment."""
    for name in ("AMEIDE_ADDRESS", "AMEIDE_TOKEN", "AMEIDE_STATE_DIR", "AMEIDE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    state = StateFolder(tmp_path / "state")
    state.prepare()
    return CommandLine(state, capsys)


@pytest.fixture
def script(ameide: CommandLine) -> Iterator[Script]:
    """A door that answers, known to the state folder like one that `ameide up` started."""
    answers = Script()

    async def authenticate(token: str) -> Caller:
        if not token.startswith("token-of-"):
            raise Unauthenticated("the token is not valid", remedy="Use another one")
        return Caller("default", token.removeprefix("token-of-"), "PERSON", frozenset({"viewer", "approver"}))

    services: list[Any] = [
        application(answers, interceptors=(Door(authenticate),))
        for application in (
            GovernanceQueryServiceASGIApplication,
            GovernanceCommandServiceASGIApplication,
            WorkQueryServiceASGIApplication,
        )
    ]
    with answering(services) as address:
        ameide.state.remember_address(address)
        for principal in ("owner", "approver"):
            ameide.state.keep_token(principal, f"token-of-{principal}")
        yield answers


@pytest.fixture
def agent(ameide: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedArchitect]:
    """An agent that the state folder knows like one that `ameide up` started; nobody waits long for it."""
    monkeypatch.setattr(chat_turns, "_PAUSE_SECONDS", 0.01)
    script = ScriptedArchitect()
    ameide.state.keep_token("owner", "token-of-owner")
    with serving(script) as address:
        ameide.state.remember_address(address)
        ameide.state.remember_architect(address)
        yield script
