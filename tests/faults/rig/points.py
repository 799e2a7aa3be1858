"""Every crash point of the program, the process that it ends, and the load that leads there."""

from __future__ import annotations

from dataclasses import dataclass

from tests.faults.rig import by_hand, loads, surgery
from tests.faults.rig.loads import Load, run_of
from tests.faults.rig.policies import EXPIRING, GATED, PLAIN, RELEASING
from tests.faults.rig.steps import MOVING

_COMMIT, _EFFECT = ("before_commit", "after_commit"), ("before", "after")


@dataclass(frozen=True)
class Row:
    """One row of the matrix."""

    role: str
    point: str
    load: Load
    by_kafka: bool = False
    """Whether it takes an installation whose facts and invitations go by Kafka."""


_PLAIN, _RELEASING, _GATED, _MOVING = (run_of(name) for name in (PLAIN, RELEASING, GATED, MOVING))
_TABLE: tuple[tuple[str, tuple[str, str], dict[str, Load]], ...] = (
    (
        "domain",
        _COMMIT,
        {
            "service.RegisterRepository": loads.registered,
            "service.AdoptPolicy": loads.registered,
            "service.AllotTenantBudget": loads.allotted,
            "service.AdmitPrincipal": loads.admitted,
            "service.IssueToken": loads.admitted,
            "service.DelegateToken": loads.admitted,
            "service.RevokeToken": loads.admitted,
            "service.OpenChange": loads.closed_change,
            "service.CloseChange": loads.closed_change,
            "service.CancelChange": loads.canceled_run,
            "service.ProposeArtifact": loads.revised,
            "service.ReviseArtifact": loads.revised,
            "service.SubmitArtifact": loads.revised,
            "service.OpenConversation": loads.talked,
            "service.RecordConversationProgress": loads.talked,
            "service.AskConsent": loads.agreed,
            "service.DecideConsent": loads.agreed,
            "service.StartRun": _PLAIN,
            "service.CloseRun": _PLAIN,
            "service.RecordProcessFacts": _PLAIN,
            "service.OpenGate": _GATED,
            "service.DecideGate": _GATED,
            "service.VoidGate": _MOVING,
            "service.RecordRelease": _RELEASING,
            "service.RequestPromotion": _RELEASING,
            "service.RecordPromotionProposed": _RELEASING,
            "service.RecordPromotionMerged": _RELEASING,
            "service.RecordRolloutHealth": _RELEASING,
            "service.RequestWork": loads.direct,
            "service.CancelWork": loads.canceled_work,
            "service.PollWork": loads.direct,
            "service.RecordWorkStarted": by_hand.done,
            "service.RecordWorkHeartbeat": loads.slow,
            "service.RecordWorkOutcome": loads.direct,
            "service.RecordWorkOutcomes": by_hand.reported_together,
            "service.ReleaseWork": by_hand.released,
            "service.OpenEvidenceUpload": by_hand.uploaded,
            "service.BeginUpload": by_hand.uploaded,
            "service.FinishUpload": by_hand.uploaded,
        },
    ),
    ("relay", _COMMIT, {"relay.move": _PLAIN}),
    (
        "sweeper",
        _COMMIT,
        {
            "sweeper.lost_claim": by_hand.abandoned,
            "sweeper.waiting_work": loads.unclaimed,
            "sweeper.due_gate": run_of(EXPIRING),
            "sweeper.moved_queue": surgery.moved,
        },
    ),
    ("projector", _COMMIT, {"projector.batch": _PLAIN}),
    (
        "verifier",
        _EFFECT,
        {
            "executor.claim": loads.direct,
            "executor.effect": loads.direct,
            "executor.evidence": loads.direct,
            "executor.outcome": loads.direct,
            "executor.heartbeat": loads.slow,
            "executor.release": surgery.released_by_its_executor,
        },
    ),
    (
        "worker",
        _EFFECT,
        {
            "worker.process_facts": _PLAIN,
            "worker.record_process_facts": _PLAIN,
            "worker.request_work": _PLAIN,
            "worker.cancel_work": loads.canceled_run,
            "worker.open_gate": _GATED,
            "worker.void_gate": _MOVING,
            "worker.record_release": _RELEASING,
            "worker.request_promotion": _RELEASING,
            "worker.record_promotion_proposed": _RELEASING,
            "worker.record_promotion_merged": _RELEASING,
            "worker.record_rollout_health": _RELEASING,
            "worker.close_run": _PLAIN,
            "worker.propose_artifact": loads.triaged,
            "worker.perform_read": loads.triaged,
        },
    ),
    (
        "ingress",
        _EFFECT,
        {
            "ingress.signal": _PLAIN,
            "ingress.start": _PLAIN,
            "ingress.close_run": surgery.ended_in_temporal,
        },
    ),
    (
        "ingress",
        _COMMIT,
        {"ingress.position": _PLAIN, "ingress.park": surgery.parked, "ingress.unpark": surgery.parked},
    ),
)

_BY_KAFKA: tuple[tuple[str, tuple[str, str], dict[str, Load]], ...] = (
    ("forwarder", _EFFECT, {"forwarder.publish": _PLAIN}),
    ("ingress", _EFFECT, {"ingress.offsets": _PLAIN}),
    (
        "forwarder",
        _COMMIT,
        {
            "forwarder.position": _PLAIN,
            "forwarder.watermark": _PLAIN,
            "forwarder.park": surgery.refused_by_the_broker,
            "forwarder.unpark": surgery.refused_by_the_broker,
        },
    ),
)

ROWS = tuple(
    Row(role, f"{point}.{where}", load, table is _BY_KAFKA)
    for table in (_TABLE, _BY_KAFKA)
    for role, places, points in table
    for point, load in points.items()
    for where in places
)
"""The whole matrix, by role."""
