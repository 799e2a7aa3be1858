"""Changes, requirements and runs: the pure decisions against the model."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from protobuf.wkt import Timestamp

from ameide.contracts.subjects import content_hash
from ameide.domain.decisions import artifact as artifacts
from ameide.domain.decisions import change as changes
from ameide.domain.decisions import run as runs
from ameide.domain.decisions.default_policy import default_policy
from ameide.errors import Conflict, Refused
from ameide_core_proto.common.v1.metadata_pb import Actor, Scope
from ameide_core_proto.transformation.governance.v1.command_service_pb import OpenChangeRequest
from ameide_core_proto.transformation.governance.v1.governance_pb import Repository, Run, RunStatus
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact, ArtifactContent, ArtifactKind
from tests.models.governance_model import ChangeModel, RequirementModel, RunModel, VersionModel
from tests.models.sizes import size

NOW = Timestamp(seconds=1_700_000_000)
RITA = Actor(principal_id="rita")
SCOPE = Scope(tenant_id="default", repository_id="orders")
REPOSITORY = Repository(scope=SCOPE, repository_id="orders")
POLICY = default_policy("orders", gitops=False)
TEXTS = st.sampled_from(["one", "two", "three"])


def content(text: str) -> ArtifactContent:
    """A requirement that says this."""
    return ArtifactContent(title="cancel an order", text=text)


class Machine(RuleBasedStateMachine):
    """One change; its requirement is written, revised and decided while runs come and go."""

    @initialize(text=TEXTS)
    def begin(self, text: str) -> None:
        opened = changes.open_change(OpenChangeRequest(repository_id="orders"), "chg-1", REPOSITORY, RITA, NOW).change
        proposed = artifacts.propose(
            "art-1", "chg-1", ArtifactKind.REQUIREMENT, content(text), SCOPE, RITA, NOW
        ).artifact
        assert opened is not None
        assert proposed is not None
        self.change, self.requirement = opened, proposed
        self.kept: list[Artifact] = []
        self.runs: list[Run] = []
        self.model = ChangeModel()
        self.artifact = RequirementModel([VersionModel(text)])

    # The requirement

    @rule(text=TEXTS, off=st.sampled_from([0, 0, -1, 1]))
    def revise(self, text: str, off: int) -> None:
        expected = len(self.artifact.versions) + off
        if off:
            with pytest.raises(Conflict):
                artifacts.revise(self.requirement, expected, content(text), RITA, NOW)
            return
        revised = artifacts.revise(self.requirement, expected, content(text), RITA, NOW).artifact
        self.kept.append(artifacts.superseded(self.requirement))
        assert revised is not None
        self.requirement = revised
        self.artifact.revise(text)

    @rule(off=st.sampled_from([0, 0, -1, 1]))
    def submit(self, off: int) -> None:
        expected = len(self.artifact.versions) + off
        if off or self.artifact.current.status != "draft":
            with pytest.raises((Conflict, Refused)):
                artifacts.submit(self.requirement, expected)
            return
        submitted = artifacts.submit(self.requirement, expected).artifact
        assert submitted is not None
        self.requirement = submitted
        self.artifact.become("proposed")

    @precondition(lambda self: self.artifact.current.status in ("proposed", "approved"))
    @rule(passed=st.booleans())
    def its_gate_is_decided(self, passed: bool) -> None:
        settle = artifacts.approve if passed else artifacts.reject
        decided = settle(self.requirement, "gat-1").artifact
        assert decided is not None
        self.requirement = decided
        self.artifact.become("approved" if passed else "rejected")

    # Change and runs

    @rule()
    def start(self) -> None:
        submitted = self.artifact.current.status in ("proposed", "approved")
        if self.model.status != "open" or self.model.open_run is not None or not submitted:
            with pytest.raises(Refused):
                runs.start(self.change, REPOSITORY, POLICY, self.requirement, "", RITA, NOW)
            return
        run = runs.start(self.change, REPOSITORY, POLICY, self.requirement, "", RITA, NOW).run
        assert run is not None
        self.runs.append(run)
        self.change.last_run_number, self.change.open_run_id = run.number, run.process_instance_id
        self.model.runs.append(RunModel(self.artifact.current.text))

    @precondition(lambda self: self.runs)
    @rule(place=st.integers(0, 9))
    def ask_to_cancel(self, place: int) -> None:
        place %= len(self.runs)
        if self.model.runs[place].status != "open":
            with pytest.raises(Refused):
                runs.request_cancel(self.runs[place])
            return
        asked = runs.request_cancel(self.runs[place]).run
        assert asked is not None
        self.runs[place] = asked
        self.model.runs[place].cancel_requested = True
        self.model.runs[place].facts += 1

    @precondition(lambda self: self.runs)
    @rule(place=st.integers(0, 9), status=st.sampled_from([RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELED]))
    def close_run(self, place: int, status: RunStatus) -> None:
        """The process says so, and it may say so again."""
        place %= len(self.runs)
        fact = runs.close(self.runs[place], status, "over", NOW)
        assert (fact is None) == (self.model.runs[place].status != "open")
        if fact is not None:
            assert fact.run is not None
            self.runs[place] = fact.run
            self.change.open_run_id = ""
            self.model.runs[place].status = status.name.lower()
            self.model.runs[place].facts += 1

    @rule(by_cancel=st.sampled_from([False, True]))
    def end_change(self, by_cancel: bool) -> None:
        refused = self.model.status != "open" or (not by_cancel and self.model.open_run is not None)
        if refused:
            with pytest.raises(Refused):
                changes.cancel(self.change, "no") if by_cancel else changes.close(self.change)
            return
        ended = (changes.cancel(self.change, "no") if by_cancel else changes.close(self.change)).change
        assert ended is not None
        self.change = ended
        self.model.become("canceled" if by_cancel else "closed")

    # What must hold

    @invariant()
    def versions_are_contiguous_and_keep_their_bytes(self) -> None:
        stored = [state.current for state in (*self.kept, self.requirement)]
        assert [version.number for version in stored if version] == list(range(1, len(self.artifact.versions) + 1))
        for version, model in zip(stored, self.artifact.versions, strict=True):
            assert version is not None
            assert version.content == content(model.text)
            assert version.content_hash == content_hash(content(model.text))
            assert version.status.name.lower() == model.status
        assert self.requirement.version == self.artifact.facts

    @invariant()
    def a_run_keeps_what_it_was_started_with(self) -> None:
        for number, (run, model) in enumerate(zip(self.runs, self.model.runs, strict=True), 1):
            assert run.number == number
            assert run.process_instance_id == f"r2r/default/chg-1/{number}"
            assert (run.status.name.lower(), run.version) == (model.status, model.facts)
            assert run.cancel_requested == model.cancel_requested
            assert run.input is not None
            assert run.input.requirement is not None
            assert run.input.requirement.current is not None
            assert run.input.requirement.current.content == content(model.bound)

    @invariant()
    def one_run_is_open_and_an_end_is_final(self) -> None:
        assert sum(run.status == RunStatus.OPEN for run in self.runs) <= 1
        assert (self.change.status.name.lower(), self.change.version) == (self.model.status, self.model.facts)


def test_changes_do_what_the_model_does() -> None:
    run_state_machine_as_test(Machine, settings=size(courses=60, steps=30))
