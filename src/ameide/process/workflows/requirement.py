"""Gate: "Requirement stabilized". The run waits for approval, or for a version that can be approved."""

from __future__ import annotations

from ameide.process.workflows import gates
from ameide.process.workflows.context import RunContext
from ameide.process.workflows.failures import to_coder
from ameide.process.workflows.state import Step
from ameide_core_proto.transformation.governance.v1.governance_pb import GateSubject
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact, ArtifactStatus, ArtifactVersion
from ameide_core_proto.transformation.work.v1.work_pb import Finding

_SUBMITTED = (ArtifactStatus.PROPOSED, ArtifactStatus.APPROVED)


async def requirement(run: RunContext) -> Step:
    """Approved already or not asked for: go on. Rejected: back to drafting, and wait for a new version."""
    state = run.state
    if state.ask is None:
        if not _is_ready(run):
            run.note_awaiting("new_version", state.requirement.artifact_id)
            await run.until(lambda: _is_ready(run))
        state.requirement = _newest(run)
        if _current(state.requirement).status == ArtifactStatus.APPROVED or not gates.required(
            run, GateKind.REQUIREMENT_STABILIZED
        ):
            return _onwards(run)
    version = _current(state.requirement)
    decided = await gates.gate(
        run,
        GateKind.REQUIREMENT_STABILIZED,
        GateSubject(
            artifact_id=state.requirement.artifact_id,
            artifact_number=version.number,
            content_hash=version.content_hash,
        ),
    )
    if decided.status in gates.PASSED:
        return _onwards(run)
    state.rejected_number = version.number
    return Step.REQUIREMENT


def outdated(run: RunContext) -> Step:
    """The Domain has a newer version than the one that a gate was to be opened for: wait for its submission."""
    run.state.rejected_number = max(run.state.rejected_number, _current(run.state.requirement).number)
    return Step.REQUIREMENT


def _onwards(run: RunContext) -> Step:
    if not run.state.base_sha:
        return Step.PREFLIGHT
    # Returned to after work was done on an older version: the coder takes up the new one.
    no_findings: list[Finding] = []
    return to_coder(run, no_findings)


def _is_ready(run: RunContext) -> bool:
    version = _current(_newest(run))
    return version.number > run.state.rejected_number and version.status in _SUBMITTED


def _newest(run: RunContext) -> Artifact:
    held = run.state.requirement
    known = run.state.inbox.about("artifact", held.artifact_id)
    if known is not None and known.artifact is not None and known.artifact.version > held.version:
        return known.artifact
    return held


def _current(artifact: Artifact) -> ArtifactVersion:
    return artifact.current or ArtifactVersion()
