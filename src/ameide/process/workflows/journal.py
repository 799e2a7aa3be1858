"""Process facts: what the run says about its own course, ordered by (run_epoch, seq), never by time."""

from __future__ import annotations

from dataclasses import dataclass, field

from protobuf import Message, Oneof
from protobuf.wkt import Timestamp

from ameide.contracts.ids import process_message_id
from ameide_core_proto.common.v1.metadata_pb import MessageMetadata
from ameide_core_proto.process.transformation.v1.facts_pb import (
    ActivityTransition,
    ActivityTransitioned,
    Awaiting,
    GateDecisionRecorded,
    Phase,
    PhaseEntered,
    ProcessInstanceCanceled,
    ProcessInstanceCompleted,
    ProcessInstanceFailed,
    ProcessInstanceStarted,
    ReadPerformed,
    TransformationProcessFact,
)
from ameide_core_proto.process.transformation.v1.process_fact_service_pb import RecordProcessFactsRequest
from ameide_core_proto.transformation.governance.v1.governance_pb import RunInput, RunStatus

_FIELDS: dict[type[Message], str] = {
    ProcessInstanceStarted: "process_instance_started",
    ProcessInstanceCompleted: "process_instance_completed",
    ProcessInstanceFailed: "process_instance_failed",
    ProcessInstanceCanceled: "process_instance_canceled",
    PhaseEntered: "phase_entered",
    ActivityTransitioned: "activity_transitioned",
    Awaiting: "awaiting",
    GateDecisionRecorded: "gate_decision_recorded",
    ReadPerformed: "read_performed",
}
_PRODUCER = "ameide.process"
_SCHEMA_VERSION = 1


@dataclass
class Pages:
    """The part that is carried: epoch counts Continue-As-New, seq restarts at 1 in each."""

    epoch: int = 0
    seq: int = 0
    unsent: list[TransformationProcessFact] = field(default_factory=list[TransformationProcessFact])


class Journal:
    """Notes facts; they leave with the next command, and stay until one has taken them."""

    def __init__(self, run: RunInput, pages: Pages) -> None:
        self._run = run
        self._pages = pages
        self.causation_id = ""

    def turn_page(self) -> None:
        """A new epoch begins. Facts not sent yet keep the place they had."""
        self._pages.epoch += 1
        self._pages.seq = 0

    def batch(self) -> RecordProcessFactsRequest | None:
        """The facts to send before the next command, or None."""
        if not self._pages.unsent:
            return None
        return RecordProcessFactsRequest(
            scope=self._run.scope,
            process_instance_id=self._run.process_instance_id,
            facts=list(self._pages.unsent),
        )

    def sent(self, batch: RecordProcessFactsRequest | None) -> None:
        """The owner has them. Sending one again would do no harm: known places are ignored."""
        if batch is not None:
            del self._pages.unsent[: len(batch.facts)]

    def drop(self) -> None:
        """The owner refuses them, and would again."""
        self._pages.unsent.clear()

    def started(self, workflow_type: str) -> None:
        """The run has begun."""
        self._note(ProcessInstanceStarted(workflow_type=workflow_type))

    def phase(self, phase: Phase) -> None:
        """The course entered a phase."""
        self._note(PhaseEntered(phase=phase))

    def activity(
        self,
        name: str,
        iteration: int,
        transition: ActivityTransition,
        *,
        work: str = "",
        fact: str = "",
        reason: str = "",
    ) -> None:
        """A step began or ended; `work` and `fact` are references."""
        self._note(
            ActivityTransitioned(
                activity=name,
                iteration=iteration,
                transition=transition,
                work_request_id=work,
                fact_message_id=fact,
                reason=reason,
            )
        )

    def awaiting(self, what: str, ref: str) -> None:
        """What the run waits for: gate, work, new_version, release or promotion."""
        self._note(Awaiting(what=what, ref=ref))

    def decided(self, gate_id: str, fact: str) -> None:
        """A gate was decided, by that fact."""
        self._note(GateDecisionRecorded(gate_id=gate_id, fact_message_id=fact))

    def read(self, query: str, log_position: int, deadline: Timestamp) -> None:
        """A declared read was performed before its deadline."""
        self._note(ReadPerformed(query=query, log_position=log_position, deadline=deadline))

    def ended(self, status: RunStatus, outcome: str) -> None:
        """The run is over."""
        if status == RunStatus.CANCELED:
            self._note(ProcessInstanceCanceled(outcome=outcome))
        elif status == RunStatus.FAILED:
            self._note(ProcessInstanceFailed(outcome=outcome))
        else:
            self._note(ProcessInstanceCompleted(outcome=outcome))

    def _note(self, body: Message) -> None:
        pages, run = self._pages, self._run
        pages.seq += 1
        fact: Oneof[str, Message] = Oneof(field=_FIELDS[type(body)], value=body)
        self._pages.unsent.append(
            TransformationProcessFact(
                metadata=MessageMetadata(
                    message_id=process_message_id(run.process_instance_id, pages.epoch, pages.seq),
                    schema_version=_SCHEMA_VERSION,
                    tenant_id=run.scope.tenant_id if run.scope else "",
                    correlation_id=run.change_id,
                    causation_id=self.causation_id,
                    producer=_PRODUCER,
                    process_instance_id=run.process_instance_id,
                ),
                run_epoch=pages.epoch,
                seq=pages.seq,
                # The table above pairs each body with its own field, which the type checker cannot follow.
                fact=fact,  # pyright: ignore[reportArgumentType]
            )
        )
