"""The delegated loop: RequestWork, claim, no-op, outcome, fact, the workflow resumes; against bare Temporal.

The bare workflow on the same server has one activity, which an outside process completes by its token. Both take turns
at the same paced rate.
"""

from __future__ import annotations

from benchmarks import command
from benchmarks.installation import Cluster
from benchmarks.loops import loops
from benchmarks.protocol import Block, Plan, Row, alternate, compare, percentile

NAME = "delegated_loop"
RATE = 5.0


async def bench(cluster: Cluster, plan: Plan) -> list[Row]:
    """Two rows: the medians and the 99th percentiles of the blocks."""
    there = await cluster.installation(NAME)
    taken: dict[str, list[float]] = {"delegated": [], "bare": []}
    async with loops(there) as both:
        for kind in taken:
            await both.turns(kind, RATE, plan.seconds / 2)

        def side(kind: str) -> Block:
            async def block(seconds: float) -> float:
                found = await both.turns(kind, RATE, seconds)
                taken[kind] += found
                return percentile(found, 50) * 1000

            return block

        found = await alternate({kind: side(kind) for kind in taken}, plan)
    p99 = {kind: percentile(values, 99) * 1000 for kind, values in taken.items()}
    return [
        compare(
            f"delegated loop at {RATE:g}/s, p50",
            "bare Temporal, an activity completed by token",
            found["delegated"],
            found["bare"],
            reach=1.5,
            aim=1.2,
            better="low",
            unit="ms",
            note=f"p99 {p99['delegated']:.0f} against {p99['bare']:.0f} ms",
        )
    ]


if __name__ == "__main__":
    command.main(NAME)
