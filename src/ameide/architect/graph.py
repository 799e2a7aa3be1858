"""The course of a turn, as a graph of nodes. Each effect has a node of its own; the one that interrupts has none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol, cast

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph  # pyright: ignore[reportMissingTypeStubs]

from ameide.architect.nodes.beginning import begin, open_turn
from ameide.architect.nodes.ending import close
from ameide.architect.nodes.recording import report
from ameide.architect.nodes.retrieving import retrieve
from ameide.architect.state import State
from ameide.architect.turn import Course


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

    async def aget_state(self, config: dict[str, Any]) -> Snapshot: ...


EFFECTS = ("open_turn", "report")
"""The nodes that have an effect; all of them may be run again, for their keys are derived."""


def compiled(saver: BaseCheckpointSaver[str]) -> Graph:
    """The graph on a checkpointer."""
    # The library's own types are partly unknown; what is used of them is above.
    graph: Any = StateGraph(State, context_schema=Course)
    for name, node in (
        ("begin", begin),
        ("open_turn", open_turn),
        ("retrieve", retrieve),
        ("report", report),
        ("close", close),
    ):
        graph.add_node(name, node)
    graph.add_edge(START, "begin")
    graph.add_edge("begin", "open_turn")
    graph.add_edge("open_turn", "retrieve")
    graph.add_edge("retrieve", "report")
    graph.add_edge("report", "close")
    graph.add_edge("close", END)
    return cast("Graph", graph.compile(checkpointer=saver))
