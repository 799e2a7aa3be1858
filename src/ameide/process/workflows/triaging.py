"""The steps of a triage run: look at what the policy declares, have it analyzed if asked, propose what it came to."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta

from protobuf.wkt import Timestamp
from temporalio import workflow

from ameide.process.steps import PROPOSE_ARTIFACT, TRIAGE_WORKFLOW_TYPE, Read
from ameide.process.workflows.context import Refusal, RunContext
from ameide.process.workflows.delegation import Stuck, delegate, why
from ameide.process.workflows.failures import INFRASTRUCTURE, code_of
from ameide.process.workflows.state import Ending, Step
from ameide_core_proto.process.transformation.v1.facts_pb import ActivityTransition
from ameide_core_proto.transformation.governance.v1.governance_pb import RunStatus
from ameide_core_proto.transformation.governance.v1.policy_pb import DeclaredRead, GateKind, Policy
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import (
    ArtifactContent,
    ArtifactKind,
    Provenance,
    Triage,
)
from ameide_core_proto.transformation.knowledge.v1.command_service_pb import ProposeArtifactRequest
from ameide_core_proto.transformation.work.v1.command_service_pb import RequestWorkRequest
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    WorkInputs,
    WorkKind,
    WorkRequest,
    WorkResult,
    WorkStatus,
)

_TEXT, _QUESTION, _QUESTIONS, _LINE = 4096, 500, 20, 900
_HEADING = "## What was looked at"
_GATES = ("requirement_stabilized", "acceptance", "ready_to_release", "promotion")


async def intake(run: RunContext) -> Step:
    """The run begins."""
    run.journal.started(TRIAGE_WORKFLOW_TYPE)
    return Step.READ


async def read(run: RunContext) -> Step:
    """The declared reads, one after the other, each once. One that fails is said; the triage goes on without it."""
    state = run.state
    while state.reads_done < len(run.policy.declared_reads):
        run.absorb()
        run.interrupt()
        await _perform(run, run.policy.declared_reads[state.reads_done])
        state.reads_done += 1
    return Step.ANALYZE if _triage(run).deep_analysis else Step.PROPOSE


async def _perform(run: RunContext, declared: DeclaredRead) -> None:
    scope, query = run.scope, declared.query
    deadline = Timestamp.from_datetime(workflow.now() + timedelta(seconds=declared.deadline_seconds))
    asked = Read(query, scope.tenant_id, run.repository.repository_id, run.run.change_id, declared.deadline_seconds)
    try:
        reading = await run.read(asked)
    except Refusal as refusal:
        number = run.next_iteration("read")
        run.journal.activity("read", number, ActivityTransition.FAILED, reason=f"{query}: {refusal.message}"[:_LINE])
        run.state.learned.append(f"{query}: not read, {refusal.message}"[:_LINE])
        return
    run.journal.read(query, reading.log_position, deadline)
    run.state.learned.append(f"{query} at log position {reading.log_position}: {'; '.join(reading.lines)}"[:_LINE])


async def analyze(run: RunContext) -> Step:
    """AGENT_WORK ANALYZE. Without an answer its question stays open."""
    try:
        work = await delegate(run, "analyze", analysis(run))
    except Stuck as stuck:
        run.state.inbox.close("work", run.state.ask.ref if run.state.ask else "")
        return unanswered(run, str(stuck))
    if work.status == WorkStatus.SUCCEEDED:
        result = work.result or WorkResult()
        told = f"Analysis {work.work_request_id} (evidence {result.evidence_bundle_id}): {result.summary}"
        run.state.learned.append(" ".join(told.split())[:_LINE])
        return Step.PROPOSE
    if code_of(work) in INFRASTRUCTURE and run.state.retries < run.bounds.max_step_retries:
        run.state.retries += 1
        return Step.ANALYZE
    return unanswered(run, f"Analysis {work.work_request_id} failed: {_reason(work)}")


def unanswered(run: RunContext, reason: str) -> Step:
    """The analysis came to nothing: people are told why, and what it was to find out."""
    state = run.state
    state.ask = None
    state.learned.append(" ".join(reason.split())[:_LINE])
    state.unanswered.append(question(run)[:_QUESTION])
    return Step.PROPOSE


async def propose(run: RunContext) -> Step:
    """The triage becomes an artifact of the change."""
    await run.command(
        PROPOSE_ARTIFACT,
        ProposeArtifactRequest(
            scope=run.scope,
            client_request_id=run.key("propose_triage", 1),
            change_id=run.run.change_id,
            kind=ArtifactKind.TRIAGE,
            content=content(run),
            provenance=_provenance(run),
        ),
    )
    run.state.ending = Ending(RunStatus.COMPLETED, "triaged")
    return Step.CLOSE


def analysis(run: RunContext) -> RequestWorkRequest:
    """What the analyst is asked for: the default branch's head, and the question."""
    given, policy = run.run.triage or ArtifactContent(), run.policy
    return RequestWorkRequest(
        scope=run.scope,
        process_instance_id=run.run.process_instance_id,
        change_id=run.run.change_id,
        work_kind=WorkKind.AGENT_WORK,
        action_kind=ActionKind.ANALYZE,
        repository_id=run.repository.repository_id,
        workdir=run.repository.workdir,
        inputs=WorkInputs(
            change_id=run.run.change_id,
            run_number=run.run.run_number,
            question=question(run),
            requirement_title=given.title,
            requirement_text=given.text,
        ),
        timeout_policy=policy.agent_timeouts,
        lost_claim_retries=run.bounds.lost_claim_retries,
        summary="Find out what the triage asks.",
    )


def question(run: RunContext) -> str:
    """What is to be found out."""
    given = run.run.triage or ArtifactContent()
    asked = _triage(run).analysis_question.strip()
    return asked or f"What has to change for this, and what may break: {given.title}"


def content(run: RunContext) -> ArtifactContent:
    """The triage that was given, with the gates that the policy asks for, what was looked at, and what stays open."""
    made = deepcopy(run.run.triage or ArtifactContent())
    triage = made.triage
    assert triage is not None
    asked = [*triage.required_gates, *_required(run.policy)]
    triage.required_gates = [gate for gate in _GATES if gate in asked]
    open_questions = [*run.state.unanswered, *triage.open_questions]
    triage.open_questions = list(dict.fromkeys(open_questions))[:_QUESTIONS]
    learned = run.state.learned or ["The policy declares no reads."]
    seen = "\n".join([_HEADING, "", *(f"- {line}" for line in learned)])
    made.text = f"{made.text}\n\n{seen}".strip()[:_TEXT]
    return made


def _provenance(run: RunContext) -> Provenance | None:
    """As the run was given it. Without one, a person's form came from the conversation, if there was one."""
    conversation = run.run.conversation_id
    return run.run.provenance or (Provenance(conversation_id=conversation) if conversation else None)


def _required(policy: Policy) -> list[str]:
    # What is promoted is asked for environment by environment, and a repository may have none.
    named = {rule.kind for rule in policy.gates if rule.required} - {GateKind.PROMOTION}
    if any(one.gate_required for one in policy.environments):
        named.add(GateKind.PROMOTION)
    return [kind.name.lower() for kind in named]


def _triage(run: RunContext) -> Triage:
    return (run.run.triage.triage if run.run.triage else None) or Triage()


def _reason(work: WorkRequest) -> str:
    said = work.result.summary if work.result else ""
    return f"{why(work)}, {said}" if said else why(work)
