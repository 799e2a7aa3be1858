"""The end of a turn."""

from __future__ import annotations

from langgraph.runtime import Runtime

from ameide.architect.nodes.beginning import with_entry
from ameide.architect.state import AGENT, Errand, State
from ameide.architect.turn import Course, Saying
from ameide_core_proto.agent.transformation.v1.architect_service_pb import TurnEnded
from ameide_core_proto.transformation.work.v1.work_pb import Usage


async def close(state: State, runtime: Runtime[Course]) -> dict[str, object]:
    """Say how the turn ended, and put what was said into the transcript."""
    turn, talk, errand = state["turn"], state["talk"], state.get("errand")
    saying = Saying(turn, runtime.stream_writer, runtime.context.agent.redact)
    saying.event(
        "ended",
        TurnEnded(
            waiting_for_consent_id=_consent_of(errand),
            waiting_for_work_request_id=turn["waiting_work"],
            usage=Usage.from_binary(turn["usage"]),
            read_position=talk["position"],
            not_found=turn["not_found"],
            untrusted_count=len(talk["marked"]),
        ),
    )
    talk = with_entry(talk, AGENT, turn["text"] or _asked(errand), turn, turn["cited"])
    kept = runtime.context.agent.limits.entries
    return {
        "turn": {**saying.turn(), "ended": True},
        "talk": {**talk, "entries": talk["entries"][-kept:]},
    }


def _asked(errand: Errand | None) -> str:
    proposal = errand["proposal"] if errand is not None else None
    return f"Asked for consent: {proposal['summary']}" if proposal is not None else ""


def _consent_of(errand: Errand | None) -> str:
    return errand["proposal"]["consent_id"] if errand is not None and errand["proposal"] is not None else ""
