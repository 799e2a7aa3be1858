"""What each delegated step asks for: pure functions from the run and its state to a `RequestWorkRequest`."""

from __future__ import annotations

from ameide.process.workflows.state import Candidate, RunState
from ameide_core_proto.transformation.governance.v1.governance_pb import GitopsTarget, Repository, RunInput
from ameide_core_proto.transformation.governance.v1.policy_pb import Bounds, Environment, Policy
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactContent, ArtifactVersion
from ameide_core_proto.transformation.work.v1.command_service_pb import RequestWorkRequest
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, GatePass, WorkInputs, WorkKind

_MAX_FINDINGS = 50


def agent_branch(run: RunInput) -> str:
    """The one branch of a run."""
    return f"agent/coder/{run.change_id}/{run.run_number}"


def candidate_branch(run: RunInput, number: int) -> str:
    """Where the n-th merge candidate is pushed."""
    return f"agent/candidate/{run.change_id}/{run.run_number}/{number}"


def component(run: RunInput) -> str:
    """What a release of this repository is called."""
    repository = run.repository or Repository()
    return (run.policy.component if run.policy else "") or repository.name or repository.repository_id


def _order(
    run: RunInput, state: RunState, action: ActionKind, kind: WorkKind = WorkKind.TOOL_RUN
) -> RequestWorkRequest:
    policy, repository = run.policy or Policy(), run.repository or Repository()
    agent = kind == WorkKind.AGENT_WORK
    version = state.requirement.current or ArtifactVersion()
    return RequestWorkRequest(
        scope=run.scope,
        process_instance_id=run.process_instance_id,
        change_id=run.change_id,
        work_kind=kind,
        action_kind=action,
        repository_id=repository.repository_id,
        base_sha=state.base_sha,
        commit_sha=state.head_sha,
        workdir=repository.workdir,
        inputs=WorkInputs(
            change_id=run.change_id,
            run_number=run.run_number,
            iteration=state.iteration,
            artifact_refs=[f"{state.requirement.artifact_id}@{version.number}"],
            component=component(run),
            target_branch=repository.default_branch,
        ),
        timeout_policy=policy.agent_timeouts if agent else policy.tool_timeouts,
        lost_claim_retries=(policy.bounds or Bounds()).lost_claim_retries,
    )


def _inputs(order: RequestWorkRequest) -> WorkInputs:
    assert order.inputs is not None
    return order.inputs


def _on_branch(order: RequestWorkRequest, run: RunInput, state: RunState) -> RequestWorkRequest:
    inputs = _inputs(order)
    inputs.branch = agent_branch(run)
    inputs.expected_branch_sha = state.branch_sha
    return order


def preflight(run: RunInput, state: RunState) -> RequestWorkRequest:
    """Is the default branch healthy, and which commit is it? Its answer becomes the run's base."""
    order = _order(run, state, ActionKind.PREFLIGHT)
    order.base_sha = order.commit_sha = ""
    return order


def scaffold(run: RunInput, state: RunState) -> RequestWorkRequest:
    """The repository's scaffold on the run's branch."""
    return _on_branch(_order(run, state, ActionKind.SCAFFOLD), run, state)


def generate(run: RunInput, state: RunState) -> RequestWorkRequest:
    """Its generated code."""
    return _on_branch(_order(run, state, ActionKind.GENERATE), run, state)


def code(run: RunInput, state: RunState) -> RequestWorkRequest:
    """A coder iteration from the last commit, with the requirement and what stood in the way before."""
    order = _on_branch(_order(run, state, ActionKind.PUBLISH, WorkKind.AGENT_WORK), run, state)
    content = (state.requirement.current or ArtifactVersion()).content or ArtifactContent()
    inputs = _inputs(order)
    inputs.requirement_title = content.title
    inputs.requirement_text = content.text
    inputs.acceptance_criteria = list(content.acceptance_criteria)
    inputs.findings = list(state.findings[:_MAX_FINDINGS])
    order.coder = run.coder
    return order


def verify(run: RunInput, state: RunState) -> RequestWorkRequest:
    """The run's head, by the rules of its base."""
    return _order(run, state, ActionKind.VERIFY)


def verify_candidate(run: RunInput, state: RunState, candidate: Candidate) -> RequestWorkRequest:
    """The prepared merge, by the rules of the main that it stands on."""
    order = _order(run, state, ActionKind.VERIFY)
    order.base_sha, order.commit_sha = candidate.main_sha, candidate.commit_sha
    return order


def _merge(run: RunInput, state: RunState) -> RequestWorkRequest:
    order = _order(run, state, ActionKind.MERGE)
    inputs = _inputs(order)
    # What a person has pushed to the run's branch since is part of the change, and is verified and accepted first.
    inputs.agent_branch, inputs.expected_agent_sha = agent_branch(run), state.branch_sha
    return order


def prepare(run: RunInput, state: RunState, number: int) -> RequestWorkRequest:
    """A merge of the head with the current main, pushed to a branch of its own."""
    order = _merge(run, state)
    inputs = _inputs(order)
    inputs.branch = candidate_branch(run, number)
    inputs.accepted_diff_hash = state.acceptance.diff_hash if state.acceptance else ""
    return order


def push(run: RunInput, state: RunState, candidate: Candidate, gate: GatePass | None) -> RequestWorkRequest:
    """The verified candidate onto main, if main is still what it stands on."""
    order = _merge(run, state)
    order.commit_sha = candidate.commit_sha
    order.gate_pass = gate
    inputs = _inputs(order)
    inputs.push = True
    inputs.branch = candidate.branch
    inputs.candidate_sha = candidate.commit_sha
    inputs.expected_main_sha = candidate.main_sha
    inputs.accepted_diff_hash = state.acceptance.diff_hash if state.acceptance else ""
    return order


def _at_merge(run: RunInput, state: RunState, action: ActionKind) -> RequestWorkRequest:
    order = _order(run, state, action)
    # ameide.yaml is read at the base: after the merge that is the merge commit itself.
    order.base_sha = order.commit_sha = state.merge_commit
    return order


def build(run: RunInput, state: RunState) -> RequestWorkRequest:
    """An image of the merge commit."""
    return _at_merge(run, state, ActionKind.BUILD)


def publish(run: RunInput, state: RunState, gate: GatePass | None) -> RequestWorkRequest:
    """The image into the registry, by digest."""
    order = _at_merge(run, state, ActionKind.PUBLISH)
    order.gate_pass = gate
    inputs = _inputs(order)
    inputs.build_uri, inputs.build_digest = state.build_uri, state.build_digest
    return order


def _in_environment(run: RunInput, state: RunState, action: ActionKind, environment: Environment) -> RequestWorkRequest:
    order = _at_merge(run, state, action)
    inputs = _inputs(order)
    gitops = (run.repository or Repository()).gitops or GitopsTarget()
    inputs.release_id = state.release_id
    inputs.image_ref = state.image_ref
    inputs.environment = environment.name
    inputs.gitops_url, inputs.gitops_branch = gitops.url, gitops.branch
    inputs.image_ref_path = environment.image_ref_path
    return order


def deploy(run: RunInput, state: RunState, environment: Environment, gate: GatePass | None) -> RequestWorkRequest:
    """The digest into the environment's file, and nothing else."""
    order = _in_environment(run, state, ActionKind.DEPLOY, environment)
    order.gate_pass = gate
    return order


def smoke(run: RunInput, state: RunState, environment: Environment) -> RequestWorkRequest:
    """Does what was promoted work there?"""
    return _in_environment(run, state, ActionKind.SMOKE, environment)
