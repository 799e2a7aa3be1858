"""Every crash point of the program, the process that it ends, and the load that leads there."""

from __future__ import annotations

from dataclasses import dataclass

from tests.faults.rig import loads
from tests.faults.rig.by_hand import ByHand
from tests.faults.rig.installation import Rig
from tests.faults.rig.loads import Load, run_of
from tests.faults.rig.policies import EXPIRING, GATED, PLAIN, RELEASING
from tests.faults.rig.steps import MOVING
from tests.faults.rig.surgery import Surgery

_COMMIT, _EFFECT = ("before_commit", "after_commit"), ("before", "after")


@dataclass(frozen=True)
class Row:
    """One row of the matrix."""

    role: str
    point: str
    load: Load


def rows(rig: Rig) -> list[Row]:
    """The whole matrix for an installation, by role."""
    hand, surgery = ByHand(rig.folder.effects), Surgery(rig)
    plain, releasing, gated, moving = run_of(PLAIN), run_of(RELEASING), run_of(GATED), run_of(MOVING)
    of_role: dict[str, tuple[tuple[str, str], dict[str, Load]]] = {
        "domain": (
            _COMMIT,
            {
                "service.RegisterRepository": loads.registered,
                "service.AdoptPolicy": loads.registered,
                "service.AdmitPrincipal": loads.admitted,
                "service.IssueToken": loads.admitted,
                "service.RevokeToken": loads.admitted,
                "service.OpenChange": loads.closed_change,
                "service.CloseChange": loads.closed_change,
                "service.CancelChange": loads.canceled_run,
                "service.ProposeArtifact": loads.revised,
                "service.ReviseArtifact": loads.revised,
                "service.SubmitArtifact": loads.revised,
                "service.StartRun": plain,
                "service.CloseRun": plain,
                "service.RecordProcessFacts": plain,
                "service.OpenGate": gated,
                "service.DecideGate": gated,
                "service.VoidGate": moving,
                "service.RecordRelease": releasing,
                "service.RequestPromotion": releasing,
                "service.RecordPromotionProposed": releasing,
                "service.RecordPromotionMerged": releasing,
                "service.RecordRolloutHealth": releasing,
                "service.RequestWork": loads.direct,
                "service.CancelWork": loads.canceled_work,
                "service.PollWork": loads.direct,
                "service.RecordWorkStarted": hand.done,
                "service.RecordWorkHeartbeat": loads.slow,
                "service.RecordWorkOutcome": loads.direct,
                "service.ReleaseWork": hand.released,
            },
        ),
        "relay": (_COMMIT, {"relay.move": plain}),
        "sweeper": (
            _COMMIT,
            {
                "sweeper.lost_claim": hand.abandoned,
                "sweeper.waiting_work": loads.unclaimed,
                "sweeper.due_gate": run_of(EXPIRING),
            },
        ),
        "projector": (_COMMIT, {"projector.batch": plain}),
        "verifier": (
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
        "worker": (
            _EFFECT,
            {
                "worker.process_facts": plain,
                "worker.record_process_facts": plain,
                "worker.request_work": plain,
                "worker.cancel_work": loads.canceled_run,
                "worker.open_gate": gated,
                "worker.void_gate": moving,
                "worker.record_release": releasing,
                "worker.request_promotion": releasing,
                "worker.record_promotion_proposed": releasing,
                "worker.record_promotion_merged": releasing,
                "worker.record_rollout_health": releasing,
                "worker.close_run": plain,
            },
        ),
    }
    found = [
        Row(role, f"{point}.{where}", load)
        for role, (places, points) in of_role.items()
        for point, load in points.items()
        for where in places
    ]
    return found + [Row("ingress", point, load) for point, load in _of_ingress(plain, surgery).items()]


def _of_ingress(plain: Load, surgery: Surgery) -> dict[str, Load]:
    commits = {"ingress.position": plain, "ingress.park": surgery.parked, "ingress.unpark": surgery.parked}
    effects = {"ingress.signal": plain, "ingress.start": plain, "ingress.close_run": surgery.ended_in_temporal}
    return {f"{point}.{where}": load for point, load in effects.items() for where in _EFFECT} | {
        f"{point}.{where}": load for point, load in commits.items() for where in _COMMIT
    }
