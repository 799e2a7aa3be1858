"""Request scaffold and codegen, a coding change, verification; iterate until green."""

from __future__ import annotations

from temporalio import workflow

from ameide.process.workflows import gates, orders
from ameide.process.workflows.context import RunContext
from ameide.process.workflows.delegation import delegate, outputs
from ameide.process.workflows.failures import after_failure, ask_human, code_of, findings_of, from_review, to_coder
from ameide.process.workflows.state import Acceptance, Step
from ameide_core_proto.transformation.governance.v1.governance_pb import GateStatus, GateSubject
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, FindingClass, WorkRequest, WorkStatus

_CODERS_TOO = "what a coder did besides is shown at acceptance"
_MOST_FINDINGS = 50


async def preflight(run: RunContext) -> Step:
    """A red main is named before any coder work is requested."""
    work = await delegate(run, "preflight", orders.preflight(run.run, run.state))
    base = outputs(work).commit_sha
    if work.status == WorkStatus.SUCCEEDED:
        run.state.base_sha = run.state.head_sha = base
        return Step.SCAFFOLD
    if code_of(work) == FailureCode.VERIFICATION_FAILED:
        run.state.base_sha = run.state.head_sha = base
        reason = "blocked_by_repo_health: the default branch is red before the change."
        return ask_human(run, reason, findings_of(work), resume=Step.SCAFFOLD if base else Step.PREFLIGHT)
    return after_failure(run, Step.PREFLIGHT, work)


async def scaffold(run: RunContext) -> Step:
    """TOOL_RUN SCAFFOLD on the run's branch."""
    work = await delegate(run, "scaffold", orders.scaffold(run.run, run.state))
    return _pushed(run, work, Step.SCAFFOLD, Step.GENERATE)


async def generate(run: RunContext) -> Step:
    """TOOL_RUN GENERATE on the run's branch."""
    work = await delegate(run, "generate", orders.generate(run.run, run.state))
    return _pushed(run, work, Step.GENERATE, Step.CODE)


async def code(run: RunContext) -> Step:
    """AGENT_WORK PUBLISH, iteration n."""
    work = await delegate(run, "coder", orders.code(run.run, run.state))
    if work.status == WorkStatus.SUCCEEDED:
        run.state.diff_hash = outputs(work).diff_hash
        run.state.candidate = None
        known = {finding.id for finding in run.state.coder_findings}
        done = [item for item in findings_of(work) if item.class_ == FindingClass.POLICY_VIOLATION]
        run.state.coder_findings += [item for item in done if item.id not in known]
    return _pushed(run, work, Step.CODE, Step.VERIFY)


def _pushed(run: RunContext, work: WorkRequest, step: Step, onwards: Step) -> Step:
    """What the step left on the branch is where the next one starts."""
    left = outputs(work)
    succeeded = work.status == WorkStatus.SUCCEEDED
    pushed = left.branch == orders.agent_branch(run.run) or (succeeded and not left.branch)
    if left.commit_sha and pushed and not left.unchanged:
        run.state.branch_sha = left.commit_sha
    if not succeeded:
        if pushed and left.commit_sha:
            # Somebody else's commit on the branch is taken as base.
            run.state.head_sha = left.commit_sha
        return after_failure(run, step, work)
    run.state.head_sha = left.commit_sha or run.state.head_sha
    return onwards


async def verify(run: RunContext) -> Step:
    """TOOL_RUN VERIFY at the head; red goes back to the coder with the findings."""
    state = run.state
    work = await delegate(run, "verify", orders.verify(run.run, state))
    if work.status != WorkStatus.SUCCEEDED:
        return after_failure(run, Step.VERIFY, work)
    # As the verifier hashed the patch, whose word counts before the coder's.
    state.diff_hash = outputs(work).diff_hash or state.diff_hash
    note_green(run, work, state.head_sha)
    return Step.ACCEPTANCE


def note_green(run: RunContext, work: WorkRequest, commit_sha: str) -> None:
    """This commit is verified. Findings that green carries are for people to see."""
    state = run.state
    state.verified_sha = commit_sha
    state.verify_work_request_id = work.work_request_id
    state.policy_findings = [item for item in findings_of(work) if item.class_ == FindingClass.POLICY_VIOLATION]
    if state.coder_findings and workflow.patched(_CODERS_TOO):
        state.policy_findings = [*state.policy_findings, *state.coder_findings][:_MOST_FINDINGS]
    state.findings = list(state.policy_findings)


async def acceptance(run: RunContext) -> Step:
    """Review and approve: the verified commit, or the candidate when its patch is another than the accepted one.

    Findings that green carries open the gate even where policy asks for none. Nobody answered in time: no finding for a
    coder comes of that, so a person is asked.
    """
    state = run.state
    candidate = state.candidate
    diff_hash = candidate.diff_hash if candidate else state.diff_hash
    asked_for = gates.required(run, GateKind.ACCEPTANCE) or state.acceptance_demanded
    if asked_for or state.policy_findings or state.ask is not None:
        subject = GateSubject(
            commit_sha=state.verified_sha,
            diff_hash=diff_hash,
            base_sha=candidate.main_sha if candidate else state.base_sha,
            verify_work_request_id=state.verify_work_request_id,
            findings=state.policy_findings,
        )
        decided = await gates.gate(run, GateKind.ACCEPTANCE, subject)
        if decided.status == GateStatus.EXPIRED:
            return ask_human(run, "The acceptance gate expired.", state.policy_findings, resume=Step.ACCEPTANCE)
        if decided.status not in gates.PASSED:
            return to_coder(run, [from_review(decided.gate_id, gates.comment_of(decided)), *state.policy_findings])
    state.acceptance_demanded = False
    state.acceptance = Acceptance(diff_hash, [finding.id for finding in state.policy_findings])
    return Step.PUSH if candidate else Step.PREPARE
