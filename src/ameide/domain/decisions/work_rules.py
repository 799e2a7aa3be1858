"""What each step must name, and what it may not choose: targets come from the repository and its policy."""

from __future__ import annotations

import re

from ameide.contracts.image_ref import ImageRef
from ameide.domain.decisions.work import inputs_of, is_agent_publish
from ameide.errors import InvalidArgument, Refused
from ameide_core_proto.transformation.governance.v1.governance_pb import Repository, Run, RunKind
from ameide_core_proto.transformation.governance.v1.policy_pb import Environment
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, WorkInputs, WorkKind, WorkRequest

AGENT_BRANCHES = "agent/"
CODER_BRANCHES = "agent/coder/"
CANDIDATE_BRANCHES = "agent/candidate/"
_NEED_COMMIT = frozenset(
    {ActionKind.SCAFFOLD, ActionKind.GENERATE, ActionKind.VERIFY, ActionKind.BUILD, ActionKind.PUBLISH}
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def check(work: WorkRequest, repository: Repository, run: Run | None) -> None:
    """Completes the inputs of a step from the repository and the run. Raises InvalidArgument or Refused."""
    inputs = inputs_of(work)
    if inputs.image_ref:
        ImageRef.parse(inputs.image_ref)
    if work.action_kind in _NEED_COMMIT and not work.commit_sha:
        raise _missing("commit_sha", f"{work.action_kind.name} runs at one commit")
    if is_final(work) and run is None:
        raise Refused(
            f"{work.action_kind.name} changes what others rely on",
            field="process_instance_id",
            remedy="Start a run; its gates decide",
            reason="RUN_REQUIRED",
        )
    if run is not None and run.kind == RunKind.TRIAGE and work.action_kind != ActionKind.ANALYZE:
        raise Refused(
            f"{work.action_kind.name} is nothing for a triage run, which only looks",
            field="action_kind",
            remedy="Start a run of the requirement",
            reason="TRIAGE_RUN",
        )
    if work.action_kind == ActionKind.ANALYZE:
        _check_analysis(work, inputs)
    elif work.action_kind == ActionKind.MERGE:
        _check_merge(work, inputs, repository, run)
    elif work.action_kind == ActionKind.DEPLOY and run is not None:
        _check_deploy(inputs, repository, run)
    elif work.action_kind == ActionKind.PUBLISH and work.work_kind == WorkKind.TOOL_RUN:
        if not _DIGEST.fullmatch(inputs.build_digest):
            raise _missing("inputs.build_digest", "only bytes that were built can be published")
    elif work.action_kind in (ActionKind.SCAFFOLD, ActionKind.GENERATE) or is_agent_publish(work):
        _check_agent_branch(inputs.branch, run)


def is_final(work: WorkRequest) -> bool:
    """Whether the step changes a main branch, a registry or an environment: what gates guard (contracts 5)."""
    if work.work_kind != WorkKind.TOOL_RUN:
        return False
    push = work.action_kind == ActionKind.MERGE and inputs_of(work).push
    return push or work.action_kind in (ActionKind.PUBLISH, ActionKind.DEPLOY)


def environment_of(run: Run, name: str) -> Environment:
    """The environment in the run's snapshot. Raises InvalidArgument when the policy names no such one."""
    policy = run.input.policy if run.input else None
    for environment in policy.environments if policy else []:
        if environment.name == name:
            return environment
    raise InvalidArgument(
        f"the run's policy has no environment {name!r}",
        field="inputs.environment",
        remedy="`ameide repo policy` lists them",
    )


def _check_analysis(work: WorkRequest, inputs: WorkInputs) -> None:
    """It reads, so it is given nothing to write to."""
    for name, value in (("branch", inputs.branch), ("agent_branch", inputs.agent_branch)):
        if value:
            raise InvalidArgument(
                f"is {value!r}, but an analysis pushes nothing", field=f"inputs.{name}", remedy="Leave it out"
            )
    if work.gate_pass is not None:
        raise InvalidArgument("is given, but an analysis uses no gate", field="gate_pass", remedy="Leave it out")
    if work.work_kind == WorkKind.AGENT_WORK and not inputs.question.strip():
        raise _missing("inputs.question", "an analyst answers a question")


def _check_merge(work: WorkRequest, inputs: WorkInputs, repository: Repository, run: Run | None) -> None:
    inputs.target_branch = _fixed(inputs.target_branch, repository.default_branch, "inputs.target_branch")
    if not inputs.push:
        if not work.commit_sha:
            raise _missing("commit_sha", "a candidate is prepared from one commit")
        prefix = f"{CANDIDATE_BRANCHES}{run.change_id}/{run.number}/" if run else CANDIDATE_BRANCHES
        if inputs.branch and not inputs.branch.startswith(prefix):
            raise _foreign(inputs.branch, f"Use one that starts with {prefix}")
        return
    if not inputs.candidate_sha:
        raise _missing("inputs.candidate_sha", "a push names the commit that was verified")
    if not inputs.expected_main_sha:
        raise _missing("inputs.expected_main_sha", "a push compares before it swaps")


def _check_deploy(inputs: WorkInputs, repository: Repository, run: Run) -> None:
    if repository.gitops is None:
        raise Refused(
            f"repository {repository.repository_id} has no gitops target",
            remedy="Register it with one; without it a change ends at its merge",
            reason="NO_GITOPS",
        )
    if not inputs.image_ref:
        raise _missing("inputs.image_ref", "a promotion copies one digest")
    environment = environment_of(run, inputs.environment)
    inputs.gitops_url = _fixed(inputs.gitops_url, repository.gitops.url, "inputs.gitops_url")
    inputs.gitops_branch = _fixed(inputs.gitops_branch, repository.gitops.branch, "inputs.gitops_branch")
    inputs.image_ref_path = _fixed(inputs.image_ref_path, environment.image_ref_path, "inputs.image_ref_path")


def _check_agent_branch(branch: str, run: Run | None) -> None:
    """A run has one branch, and nothing outside of a run writes to a run's."""
    if not branch:
        return
    if run is not None:
        own = f"{CODER_BRANCHES}{run.change_id}/{run.number}"
        if branch != own:
            raise _foreign(branch, f"Use {own}, the branch of the run")
    elif not branch.startswith(AGENT_BRANCHES) or branch.startswith((CODER_BRANCHES, CANDIDATE_BRANCHES)):
        raise _foreign(branch, f"Use one that starts with {AGENT_BRANCHES} and belongs to no run")


def _foreign(branch: str, remedy: str) -> InvalidArgument:
    return InvalidArgument(f"{branch!r} is no branch of ours", field="inputs.branch", remedy=remedy)


def _fixed(asked: str, known: str, field: str) -> str:
    if asked and asked != known:
        raise InvalidArgument(f"is {asked!r}, registered is {known!r}", field=field, remedy="Leave it out")
    return known


def _missing(field: str, why: str) -> InvalidArgument:
    return InvalidArgument(f"is empty, but {why}", field=field, remedy="Set it")
