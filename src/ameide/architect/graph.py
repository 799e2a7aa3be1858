"""The course of a turn, as a graph of nodes. Each effect has a node of its own; the one that interrupts has none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol, cast

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph  # pyright: ignore[reportMissingTypeStubs]
from langgraph.runtime import Runtime

from ameide.architect.nodes.beginning import begin, needs_model, open_turn
from ameide.architect.nodes.collecting import collect
from ameide.architect.nodes.consenting import act, ask, prepare, settle, stale, wait
from ameide.architect.nodes.ending import close
from ameide.architect.nodes.recording import report
from ameide.architect.nodes.retrieving import retrieve
from ameide.architect.nodes.shortening import shorten
from ameide.architect.nodes.thinking import call_tools, stop, think
from ameide.architect.state import State, request_of
from ameide.architect.turn import Course

EFFECTS = ("open_turn", "report", "report_before", "report_last", "ask", "act")
"""The nodes that have an effect; all of them may be run again, for their keys are derived."""


class Snapshot(Protocol):
    """Where a thread is: its channels, the nodes that come next, and what it was interrupted for."""

    @property
    def values(self) -> dict[str, Any]: ...

    @property
    def next(self) -> tuple[str, ...]: ...

    @property
    def interrupts(self) -> tuple[object, ...]: ...


class Graph(Protocol):
    """As much of a compiled graph as turns need."""

    def astream(
        self,
        input: object,
        config: dict[str, Any],
        *,
        context: Course,
        stream_mode: str,
        durability: str,
        interrupt_after: Sequence[str] | None = None,
    ) -> AsyncIterator[object]: ...

    def copy(self, update: dict[str, Any]) -> Graph: ...

    async def aget_state(self, config: dict[str, Any]) -> Snapshot: ...


def compiled(saver: BaseCheckpointSaver[str]) -> Graph:
    """The graph on a checkpointer."""
    # The library's own types are partly unknown; what is used of them is above.
    graph: Any = StateGraph(State, context_schema=Course)
    for node in (
        *(begin, open_turn, retrieve, collect, stale),
        *(think, report, call_tools, stop),
        *(prepare, ask, wait, act, settle),
        *(shorten, close),
    ):
        graph.add_node(node.__name__, node)
    # What was read is told before an effect, and what was used before the end.
    graph.add_node("report_before", report)
    graph.add_node("report_last", report)

    graph.add_edge(START, "begin")
    graph.add_edge("begin", "open_turn")
    graph.add_conditional_edges("open_turn", _by_wish, ["think", "retrieve", "collect", "prepare", "act", "stale"])
    # The model's part.
    graph.add_edge("think", "report")
    graph.add_conditional_edges("report", _after_answer, ["call_tools", "stop", "shorten"])
    graph.add_conditional_edges("call_tools", _after_tools, ["prepare", "think"])
    # From an errand to its effects, one command after the other.
    graph.add_conditional_edges("prepare", _after_plan, ["report_before", "settle"])
    graph.add_edge("report_before", "ask")
    graph.add_conditional_edges("ask", _after_act, ["close", "settle"])
    graph.add_edge("wait", "begin")
    graph.add_conditional_edges("act", _after_act, ["close", "prepare", "settle"])
    graph.add_conditional_edges("settle", _after_settling, ["think", "shorten"])
    # The end.
    for last in ("retrieve", "collect", "stale", "stop"):
        graph.add_edge(last, "shorten")
    graph.add_edge("shorten", "report_last")
    graph.add_edge("report_last", "close")
    graph.add_conditional_edges("close", _after_turn, ["wait", END])
    return cast("Graph", graph.compile(checkpointer=saver))


def _by_wish(state: State, runtime: Runtime[Course]) -> str:
    request, errand = request_of(state["turn"]), state["errand"]
    asked = request.instruction.field if request.instruction is not None else ""
    if asked == "consent_decided":
        return "act" if errand is not None and errand["proposal"] is not None else "stale"
    if asked == "collect":
        return "collect"
    if runtime.context.agent.model is not None and state["turn"]["asks_model"] and needs_model(request):
        return "think"
    return "retrieve" if asked == "text" else "prepare"


def _after_answer(state: State, runtime: Runtime[Course]) -> str:
    turn = state["turn"]
    if not turn["pending"]:
        return "shorten"
    return "call_tools" if turn["asks_model"] and turn["calls"] < runtime.context.agent.limits.calls else "stop"


def _after_tools(state: State) -> str:
    return "prepare" if state["errand"] is not None else "think"


def _after_plan(state: State) -> str:
    errand = state["errand"]
    return "report_before" if errand is not None and errand["proposal"] is not None else "settle"


def _after_act(state: State) -> str:
    errand = state["errand"]
    if errand is None or errand["ended"]:
        return "settle"
    # Not answered yet: the turn ends, and the thread waits on.
    return "close" if errand["proposal"] is not None else "prepare"


def _after_settling(state: State) -> str:
    """The model goes on when it had asked, which its last message tells: an answer of a tool."""
    turn, messages = state["turn"], state["talk"]["messages"]
    return "think" if turn["asks_model"] and messages and messages[-1].get("type") == "tool" else "shorten"


def _after_turn(state: State) -> str:
    errand = state["errand"]
    return "wait" if errand is not None and errand["proposal"] is not None else END
