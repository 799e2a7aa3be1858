"""Open, decide, void, expire, consume: the pure decisions about gates against the model."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

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
from protobuf import Message
from protobuf.wkt import Timestamp

from ameide.contracts.subjects import subject_hash
from ameide.domain.decisions import gate as gates
from ameide.domain.decisions import gate_pass
from ameide.domain.decisions.default_policy import default_policy
from ameide.errors import InvalidArgument, PermissionDenied, Refused
from ameide_core_proto.common.v1.metadata_pb import Actor, Scope
from ameide_core_proto.transformation.governance.v1.command_service_pb import DecideGateRequest, OpenGateRequest
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Change,
    ChangeStatus,
    Gate,
    GateStatus,
    GateSubject,
    GateVerdict,
    Run,
    RunInput,
)
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    GatePass,
    Outputs,
    WorkInputs,
    WorkKind,
    WorkRequest,
    WorkResult,
    WorkStatus,
)
from tests.models.gate_model import PASSED, PEOPLE, GateModel, Person
from tests.models.sizes import size

SUBJECTS = {"a": "a" * 40, "b": "b" * 40}
VERDICTS = {"approve": GateVerdict.APPROVE, "reject": GateVerdict.REJECT, "override": GateVerdict.OVERRIDE}
VAIN = (WorkStatus.FAILED, WorkStatus.CANCELED)
PLACE = st.integers(0, 10**6)
PID = "r2r/default/chg-1/1"
CHANGE = Change(change_id="chg-1", status=ChangeStatus.OPEN, requester=Actor(principal_id="rita"))


def bound(subject: str) -> GateSubject:
    """What an acceptance binds."""
    return GateSubject(commit_sha=SUBJECTS[subject], diff_hash=subject * 64)


def verified(subject: str) -> WorkRequest:
    """The green verification of a candidate."""
    return WorkRequest(
        work_request_id=f"wrk-verify-{subject}",
        process_instance_id=PID,
        change_id="chg-1",
        work_kind=WorkKind.TOOL_RUN,
        action_kind=ActionKind.VERIFY,
        commit_sha=SUBJECTS[subject],
        status=WorkStatus.SUCCEEDED,
        executor_principal_id="verifier",
        result=WorkResult(outputs=Outputs(diff_hash=subject * 64)),
    )


class Machine(RuleBasedStateMachine):
    """The acceptance gates of one run, and the pushes that want to use them."""

    @initialize(quorum=st.integers(1, 2), expires=st.booleans())
    def begin(self, quorum: int, expires: bool) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.quorum = quorum
        self.policy = default_policy("orders", gitops=False)
        for rule_ in self.policy.gates:
            rule_.quorum = quorum
            rule_.expires_after_seconds = 3600 if expires else 0
        self.expires = expires
        self.run = Run(
            scope=Scope(tenant_id="default"),
            process_instance_id=PID,
            change_id="chg-1",
            input=RunInput(policy=self.policy),
        )
        self.gates: list[Gate] = []
        self.models: list[GateModel] = []
        self.history: list[list[Message]] = []
        self.pushes: list[WorkRequest] = []
        self.open("a")

    def _timestamp(self) -> Timestamp:
        self.now += timedelta(seconds=1)
        return Timestamp.from_datetime(self.now)

    def _state(self, place: int, *facts: Message) -> None:
        for fact in facts:
            gate = getattr(fact, "gate", None)
            assert isinstance(gate, Gate)
            self.history[place].append(fact)
            self.gates[place] = gate

    @precondition(lambda self: len(self.gates) < 4)
    @rule(subject=st.sampled_from(sorted(SUBJECTS)))
    def open(self, subject: str) -> None:
        kind = GateKind.ACCEPTANCE
        command = OpenGateRequest(kind=kind, subject=bound(subject), subject_hash=subject_hash(kind, bound(subject)))
        fact = gates.open_gate(command, f"gat-{len(self.gates)}", self.run, self.policy, self._timestamp())
        assert fact.gate is not None
        self.gates.append(fact.gate)
        self.history.append([fact])
        self.models.append(GateModel(subject, self.quorum))

    @rule(
        place=PLACE,
        by=st.sampled_from(PEOPLE),
        verdict=st.sampled_from(["approve", "approve", "reject", "override"]),
        other=st.sampled_from([False, False, True]),
        comment=st.sampled_from(["", " ", "because"]),
    )
    def decide(self, place: int, by: Person, verdict: str, other: bool, comment: str) -> None:
        place %= len(self.gates)
        gate, model = self.gates[place], self.models[place]
        seen = model.subject if not other else min(set(SUBJECTS) - {model.subject})
        command = DecideGateRequest(
            gate_id=gate.gate_id,
            verdict=VERDICTS[verdict],
            subject_hash=subject_hash(GateKind.ACCEPTANCE, bound(seen)),
            comment=comment,
        )
        voice = gates.Voice(Actor(principal_id=by.name), "PERSON" if by.person else "AGENT", by.roles)
        reasons = model.why_not(by, verdict, seen, comment.strip())
        if reasons:
            with pytest.raises((Refused, PermissionDenied, InvalidArgument)) as refused:
                gates.decide(gate, CHANGE, self.policy, command, voice, self._timestamp())
            named = "NO_COMMENT" if isinstance(refused.value, InvalidArgument) else refused.value.reason
            assert named in reasons
            return
        facts = gates.decide(gate, CHANGE, self.policy, command, voice, self._timestamp())
        self._state(place, *facts)
        model.decide(by, verdict)

    @rule(place=PLACE)
    def void(self, place: int) -> None:
        place %= len(self.gates)
        gate, model = self.gates[place], self.models[place]
        in_vain = model.consumed_by is not None and self.pushes[model.consumed_by].status in VAIN
        if not model.may_void(in_vain):
            with pytest.raises(Refused):
                gates.void(gate, "revised", used_in_vain=in_vain)
            return
        self._state(place, gates.void(gate, "revised", used_in_vain=in_vain))
        model.void()

    @precondition(lambda self: self.expires)
    @rule()
    def time_passes(self) -> None:
        self.now += timedelta(hours=1)
        for model in self.models:
            model.time_is_over = True

    @rule(place=PLACE)
    def sweep(self, place: int) -> None:
        """The sweeper comes to a gate that it found due, and that somebody may have decided meanwhile."""
        place %= len(self.gates)
        gate, model = self.gates[place], self.models[place]
        if model.status != "open":
            with pytest.raises(Refused):
                gates.expire(gate)
        elif model.time_is_over:
            self._state(place, gates.expire(gate))
            model.expire()

    @rule(place=PLACE, candidate=st.sampled_from(sorted(SUBJECTS)), other=st.sampled_from([False, False, True]))
    def push(self, place: int, candidate: str, other: bool) -> None:
        place %= len(self.gates)
        gate, model = self.gates[place], self.models[place]
        carried = subject_hash(GateKind.ACCEPTANCE, bound(candidate)) if other else gate.subject_hash
        work = WorkRequest(
            work_request_id=f"wrk-{len(self.pushes)}",
            process_instance_id=PID,
            change_id="chg-1",
            work_kind=WorkKind.TOOL_RUN,
            action_kind=ActionKind.MERGE,
            commit_sha=SUBJECTS[candidate],
            inputs=WorkInputs(push=True, candidate_sha=SUBJECTS[candidate], expected_main_sha="d" * 40),
            gate_pass=GatePass(gate_id=gate.gate_id, subject_hash=carried),
            status=WorkStatus.REQUESTED,
        )
        works = [*map(verified, SUBJECTS), *self.pushes]
        user = self.pushes[model.consumed_by] if model.consumed_by is not None else None
        may = (
            model.status in PASSED
            and carried == gate.subject_hash
            and candidate == model.subject
            and (user is None or user.status in VAIN)
            and place == len(self.gates) - 1
        )
        if not may:
            with pytest.raises(Refused):
                gate_pass.check(work, self.run, self.policy, self.gates, works, [])
            return
        used = gate_pass.check(work, self.run, self.policy, self.gates, works, [])
        assert used is not None
        self._state(place, used)
        model.use(len(self.pushes))
        self.pushes.append(work)

    @precondition(lambda self: self.pushes)
    @rule(place=PLACE, status=st.sampled_from([WorkStatus.FAILED, WorkStatus.CANCELED, WorkStatus.SUCCEEDED]))
    def push_ends(self, place: int, status: WorkStatus) -> None:
        work = self.pushes[place % len(self.pushes)]
        if work.status == WorkStatus.REQUESTED:
            work.status = status

    @invariant()
    def agrees(self) -> None:
        for gate, model in zip(self.gates, self.models, strict=True):
            assert gate.status.name.lower() == model.status
            assert gate.version == model.facts
            assert [vote.actor.principal_id for vote in gate.votes if vote.actor] == list(model.voices)
            assert gate.consumed_by == ("" if model.consumed_by is None else f"wrk-{model.consumed_by}")

    @invariant()
    def versions_are_contiguous_and_an_end_is_final(self) -> None:
        for history in self.history:
            states = [gate for fact in history if isinstance(gate := getattr(fact, "gate", None), Gate)]
            assert [gate.version for gate in states] == list(range(1, len(states) + 1))
            course = [gate.status for gate in states]
            for before, after in itertools.pairwise(course):
                assert before == after or before == GateStatus.OPEN or after == GateStatus.VOIDED
                assert before not in (GateStatus.VOIDED, GateStatus.EXPIRED, GateStatus.REJECTED) or before == after

    @invariant()
    def nothing_unapproved_ships(self) -> None:
        """Of the pushes that one pass let through, one at most is alive or has shipped."""
        alive = [work for work in self.pushes if work.status not in VAIN]
        carried = [work.gate_pass.gate_id for work in alive if work.gate_pass]
        assert len(carried) == len(set(carried))
        for work in alive:
            gate = next(gate for gate in self.gates if work.gate_pass and gate.gate_id == work.gate_pass.gate_id)
            assert gate.status in (GateStatus.APPROVED, GateStatus.OVERRIDDEN)
            assert gate.subject
            assert gate.subject.commit_sha == work.commit_sha


def test_gates_do_what_the_model_does() -> None:
    run_state_machine_as_test(Machine, settings=size(courses=60, steps=30))
