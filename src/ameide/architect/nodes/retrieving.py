"""An answer without a model: from the records alone, cited like any other."""

from __future__ import annotations

from langgraph.runtime import Runtime

from ameide.architect.state import State, ledger_of, request_of
from ameide.architect.turn import Course, Saying, noted, used


async def retrieve(state: State, runtime: Runtime[Course]) -> dict[str, object]:
    """Look for what the question names. Reads only."""
    course, turn = runtime.context, state["turn"]
    wish = request_of(turn).instruction
    question = wish.value if wish is not None and wish.field == "text" else ""
    found = await course.agent.retrieve(course.reading(state), question)
    saying = Saying(turn, runtime.stream_writer, course.agent.redact)
    for name, answer in found.calls:
        used(saying, name, answer, course.agent.redact)
    talk, turn = noted(state["talk"], turn, [answer for _, answer in found.calls])
    numbers = dict(turn["numbers"])
    speech = course.agent.speaking(ledger_of(talk), numbers, course.lines)
    saying.pieces(await speech.hear(found.text))
    saying.pieces(await speech.end())
    said = saying.turn()
    return {
        "talk": talk,
        "turn": {**turn, "said": said["said"], "text": said["text"], "cited": said["cited"], "numbers": numbers},
    }
