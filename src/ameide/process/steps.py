"""The commands that a workflow may send, as typed activity names. Which call each makes is the activities' business."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from protobuf import Message

from ameide_core_proto.process.transformation.v1.process_fact_service_pb import (
    RecordProcessFactsRequest,
    RecordProcessFactsResponse,
)
from ameide_core_proto.transformation.governance.v1 import command_service_pb as governance
from ameide_core_proto.transformation.knowledge.v1 import command_service_pb as knowledge
from ameide_core_proto.transformation.work.v1 import command_service_pb as work

WORKFLOW_TYPE: Final = "r2r.governance.v1"
TRIAGE_WORKFLOW_TYPE: Final = "r2r.triage.v1"
TASK_QUEUE: Final = "ameide-r2r"
DOMAIN_FACT: Final = "domain_fact"
"""The one signal: any aggregator message of a domain fact topic."""

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


@dataclass(frozen=True, slots=True)
class Command(Generic[Request, Response]):
    """A command to the Domain: the activity's name, what it is sent, what it answers.

    Each activity takes `(request, pending process facts or None)` and sends the facts first, in a call of its own.
    """

    name: str
    request: type[Request]
    response: type[Response]


REQUEST_WORK = Command("request_work", work.RequestWorkRequest, work.RequestWorkResponse)
CANCEL_WORK = Command("cancel_work", work.CancelWorkRequest, work.CancelWorkResponse)
OPEN_GATE = Command("open_gate", governance.OpenGateRequest, governance.OpenGateResponse)
VOID_GATE = Command("void_gate", governance.VoidGateRequest, governance.VoidGateResponse)
RECORD_RELEASE = Command("record_release", governance.RecordReleaseRequest, governance.RecordReleaseResponse)
REQUEST_PROMOTION = Command(
    "request_promotion", governance.RequestPromotionRequest, governance.RequestPromotionResponse
)
RECORD_PROMOTION_PROPOSED = Command(
    "record_promotion_proposed",
    governance.RecordPromotionProposedRequest,
    governance.RecordPromotionProposedResponse,
)
RECORD_PROMOTION_MERGED = Command(
    "record_promotion_merged", governance.RecordPromotionMergedRequest, governance.RecordPromotionMergedResponse
)
RECORD_ROLLOUT_HEALTH = Command(
    "record_rollout_health", governance.RecordRolloutHealthRequest, governance.RecordRolloutHealthResponse
)
CLOSE_RUN = Command("close_run", governance.CloseRunRequest, governance.CloseRunResponse)
PROPOSE_ARTIFACT = Command("propose_artifact", knowledge.ProposeArtifactRequest, knowledge.ProposeArtifactResponse)
RECORD_PROCESS_FACTS = Command("record_process_facts", RecordProcessFactsRequest, RecordProcessFactsResponse)
"""The process facts alone, when no other command follows soon. Its second argument is always None."""

PERFORM_READ: Final = "perform_read"
"""A declared read of a projection. It takes a `Read` and answers a `Reading`."""


@dataclass(frozen=True, slots=True)
class Read:
    """One of `contracts.reads.READS`, about a change of a repository; `seconds` is what it may take."""

    query: str
    tenant_id: str
    repository_id: str
    change_id: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What a read told, in a few lines, as of a position of the log."""

    log_position: int
    lines: list[str]
